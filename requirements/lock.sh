#!/bin/sh
# Write requirements/lock.txt anew: every package that the product, its options and its tests need,
# pinned with hashes and without index addresses; and files.txt, the names behind those hashes.
# Needs uv (pip install uv).
set -eu
cd "$(dirname "$0")/.."
uv pip compile pyproject.toml --all-extras --group dev requirements/build.in --universal \
  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
  --output-file requirements/lock.txt "$@"
uv pip compile requirements/lock.txt --universal --python-version 3.11 --no-header --quiet \
  --format pylock.toml | "${PYTHON:-python3}" requirements/files.py
