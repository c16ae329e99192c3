"""Write files.txt from a lock in PEP 751's form on stdin: SHA-256 and name of each file that
serves a stated platform (wheels of Linux with glibc, wheels of any machine, sources).

``lock.txt`` has hashes alone, by which nobody can say for which machines they are; with these
names ``tests/architecture/test_platforms.py`` can, without a network.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

SERVES = re.compile(r"-(py|cp)\d.*-(any|.*(manylinux|linux)\w*_(x86_64|aarch64))\.whl$|\.tar\.gz$")


def main() -> None:
    """One line a file, by name."""
    lines = []
    for package in tomllib.load(sys.stdin.buffer)["packages"]:
        for file in [*package.get("wheels", ()), package.get("sdist")]:
            name = file and (file.get("name") or file["url"].rpartition("/")[2])
            if name and SERVES.search(name) and "musllinux" not in name:
                lines.append((name.lower(), f"{file['hashes']['sha256']}  {name}\n"))
    text = "".join(line for _, line in sorted(lines))
    Path(__file__).with_name("files.txt").write_text(text, encoding="utf-8")


main()
