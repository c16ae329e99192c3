"""The files of keys: those that seal 個人番号, and those that prove receipts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from bus.app.keys import proofs, seals
from bus.errors import ConfigurationError
from bus.sealing import Keys
from bus.sealing import file as key_file
from bus.sealing.ring import Key, new_key
from bus.settings import Settings


class KeyKind(StrEnum):
    """A kind of keys."""

    NUMBERS = "numbers"  # to seal 個人番号
    RECEIPTS = "receipts"  # to prove receipts

    @property
    def does(self) -> str:
        """What the newest key of this kind does."""
        return "what is sealed with" if self is KeyKind.NUMBERS else "what receipts are proved with"

    def file(self, settings: Settings) -> Path | None:
        """The file of this kind that *settings* name."""
        is_numbers = self is KeyKind.NUMBERS
        return settings.seal_keys_file if is_numbers else settings.receipt_keys_file

    def keys(self, settings: Settings) -> Keys:
        """The keys of this kind that *settings* name."""
        is_numbers = self is KeyKind.NUMBERS
        return seals(settings) if is_numbers else proofs(settings)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key, and the file that holds it."""

    key: Key
    file: Path


def made(
    settings: Settings, kind: KeyKind, file: Path | None, key_id: str | None, *, is_dry: bool
) -> NewKey:
    """Add a new key to a file; from now on it is the one that is used.

    Args:
        file: Which; None: the one that the settings name.
        key_id: Its id; None: the day and four digits.
        is_dry: Only look whether it could be written.

    Raises:
        ConfigurationError: No file is named, or it cannot be written.
    """
    path = file or kind.file(settings)
    if path is None:
        setting = kind.keys(settings).settings[0]
        raise ConfigurationError(f"say where: --file, or RENKEI_{setting.upper()}")
    key = new_key(key_id, datetime.now(UTC).replace(microsecond=0))
    if is_dry:
        key_file.check(path, key)
    else:
        key_file.add(path, key)
    return NewKey(key, path)
