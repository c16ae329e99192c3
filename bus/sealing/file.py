"""Add a key to a file of keys; the file is replaced whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from bus.errors import ConfigurationError, KeysUnusable
from bus.files import create_private
from bus.sealing.ring import Key, KeyRing
from bus.sealing.source import FileSource


def check(path: Path, key: Key) -> str:
    """The file's text with *key* added; nothing is written.

    Raises:
        KeysUnusable: The file as it is cannot be used, or has that key already.
    """
    before = FileSource(path).content() if path.exists() else ""
    if before:
        KeyRing.parse(before)  # what is wrong already is said of the file as it is
        before = before if before.endswith("\n") else f"{before}\n"
    text = f"{before}{key.line}\n"
    KeyRing.parse(text)
    return text


def add(path: Path, key: Key) -> None:
    """Add *key* at the end of the file, which is made if there is none.

    What was in the file stays, comments included. Whoever reads meanwhile reads the file of before
    or of after; a second one who writes is turned away.

    Raises:
        KeysUnusable: The file as it is cannot be used, or has that key already.
        ConfigurationError: It cannot be written.
    """
    text = check(path, key)
    beside = path.with_name(f".{path.name}.new")
    try:
        made = create_private(beside, is_new=True)
    except FileExistsError:
        raise KeysUnusable(
            "somebody else is writing these keys; if nobody is, delete the file beside",
            file=str(beside),
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with made as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        beside.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "the file of keys cannot be written", file=str(path), reason=error.strerror
    )
