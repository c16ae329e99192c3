"""Keys that seal, the ring that holds them, and the text that they are written in.

A line is ``<id> <32 bytes in base64> <when it was made>``; the last one is the key that is sealed
with, all of them open. Empty lines and those that begin with ``#`` are passed over. The text is
taken whole or not at all: a line that is no key may be half of one.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from bus.errors import KeysUnusable

KEY_BYTES = 32
ID = r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
_ID = re.compile(ID)


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Its secret is never printed."""

    id: str
    secret: bytes = field(repr=False)
    made_at: datetime

    @property
    def line(self) -> str:
        """The key as a line of its file, without the line's end."""
        return f"{self.id} {base64.b64encode(self.secret).decode()} {self.made_at.isoformat()}"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id, in the order in which they were written; at least one."""

    keys: MappingProxyType[str, Key]

    @property
    def current(self) -> Key:
        """The newest key, which seals."""
        return self.keys[next(reversed(self.keys))]

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """The ring in *text*.

        Raises:
            KeysUnusable: A line is no key, an id or a key is there twice, or there is none.
        """
        keys: dict[str, Key] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            key = _key(words, number)
            if key.id in keys or any(key.secret == other.secret for other in keys.values()):
                raise KeysUnusable("a key is there twice", line=number)
            keys[key.id] = key
        if not keys:
            raise KeysUnusable("there is no key among the keys")
        return cls(MappingProxyType(keys))


def is_key_id(text: str) -> bool:
    """Whether *text* may be the id of a key: it is part of every sealed text."""
    return _ID.fullmatch(text) is not None


def new_key(key_id: str | None, at: datetime) -> Key:
    """A fresh key, made *at* (aware); without an id it is named by the day and a random part.

    Raises:
        KeysUnusable: *key_id* cannot name a key.
    """
    key_id = f"{at:%Y-%m-%d}-{secrets.token_hex(2)}" if key_id is None else key_id
    if not is_key_id(key_id):
        raise KeysUnusable("an id is 1 to 32 small letters, digits and hyphens between them")
    return Key(key_id, secrets.token_bytes(KEY_BYTES), at)


def _key(words: list[str], number: int) -> Key:
    if len(words) != 3 or not is_key_id(words[0]):
        raise KeysUnusable("a line is no key: <id> <base64 of 32 bytes> <made at>", line=number)
    try:
        secret = base64.b64decode(words[1], validate=True)
        made_at = datetime.fromisoformat(words[2])
    except (binascii.Error, ValueError):  # neither may quote the line
        raise KeysUnusable("a line holds no base64, or no time", line=number) from None
    if len(secret) != KEY_BYTES or made_at.tzinfo is None:
        raise KeysUnusable("a key is 32 bytes, and made at a time with its zone", line=number)
    return Key(words[0], secret, made_at)
