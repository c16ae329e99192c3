"""Check who owns a file: the process trusts files of its own user and of root only.

A file that holds a secret is for its owner's eyes; one that says what is to be done must not be
somebody else's to write.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TextIO

_OTHERS_READ = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OWNER_ONLY = 0o600


def objection(there: os.stat_result, *, is_secret: bool) -> tuple[str, str] | None:
    """Why a file is not to be trusted: a code, and what was expected; None if it is.

    Args:
        there: What the file system says of the opened file.
        is_secret: Whether nobody else may read it either.
    """
    if not stat.S_ISREG(there.st_mode):
        return "no-file", "a regular file"
    if there.st_uid not in (os.geteuid(), 0):
        return "owned-by-another", "a file of the user that runs this, or of root"
    if is_secret and there.st_mode & _OTHERS_READ:
        return "readable-by-others", "a file of mode 0600 or 0400"
    if there.st_mode & _OTHERS_WRITE:
        return "writable-by-others", "a file that its owner alone may write"
    return None


def create_private(path: Path, *, is_new: bool = False) -> TextIO:
    """Open a text file for its owner alone, emptied if it exists.

    Args:
        path: Where; a file that is there gets the mode too.
        is_new: Whether a file that is there is left alone.

    Raises:
        FileExistsError: It is there, and was to be new.
        OSError: It cannot be made.
    """
    how = os.O_EXCL if is_new else os.O_TRUNC
    file = os.open(path, os.O_WRONLY | os.O_CREAT | how | os.O_CLOEXEC, OWNER_ONLY)
    if stat.S_ISREG(os.fstat(file).st_mode):
        os.fchmod(file, OWNER_ONLY)
    return os.fdopen(file, "w", encoding="utf-8", newline="")


def write_private(path: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with create_private(temporary) as stream:
        stream.write(text)
    temporary.replace(path)
