#!/bin/sh
# Write requirements/lock.txt anew: every package that the product, its options and its tests need,
# pinned with hashes and without index addresses. Needs uv (pip install uv).
set -eu
cd "$(dirname "$0")/.."
uv pip compile pyproject.toml --all-extras --group dev requirements/build.in --universal \
  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
  --output-file requirements/lock.txt "$@"
