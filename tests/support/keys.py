"""Keys for tests, that are in nobody's file."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from bus.sealing import Key

_AT = datetime(2026, 4, 1, tzinfo=UTC)


def key(key_id: str) -> Key:
    """The key of that name: always the same one."""
    return Key(key_id, hashlib.sha256(f"test {key_id}".encode()).digest(), _AT)


class Pocket:
    """A source of keys that a test changes in place."""

    def __init__(self, *ids: str) -> None:
        self.text = ""
        self.reads = 0
        self._has_changed = True
        self.hold(*ids)

    def hold(self, *ids: str) -> None:
        """Have these keys and no others; the last is what is sealed with."""
        self.text = "".join(f"{key(each).line}\n" for each in ids)
        self._has_changed = True

    def has_changed(self) -> bool:
        return self._has_changed

    async def read(self) -> str:
        self.reads += 1
        self._has_changed = False
        return self.text
