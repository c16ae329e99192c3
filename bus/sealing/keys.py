"""The keys that a process has read, and reading them again when they change.

Keys are read when they are first needed, and again where the source says that they may have
changed or a text names one that is not known. A ring that cannot be read anew (its file is
being written, its command does not answer) does not take away the keys that are known: they go on
being used, and it is said. So a key is added, and an old one retired, without a restart.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar

from bus.errors import BusError, KeysUnusable
from bus.sealing.ring import KeyRing
from bus.sealing.source import KeySource


class Keys(ABC):
    """A source of keys, and the ring that was read from it last.

    Args:
        source: None: there are no keys; whoever needs one is refused.
    """

    settings: ClassVar[tuple[str, str]]
    """The settings that may name a source: a file, or a command."""

    def __init__(self, source: KeySource | None = None) -> None:
        self._source = source
        self._ring: KeyRing | None = None
        self._reading = asyncio.Lock()

    @property
    def has_source(self) -> bool:
        """Whether keys come from somewhere."""
        return self._source is not None

    async def ring(self, needed: Collection[str] = ()) -> KeyRing:
        """The keys as they are now; read again if one of *needed* is not known.

        Raises:
            KeysUnusable: There are none, or they are not in order.
            KeysUnavailable: Whoever has them does not answer.
        """
        source = self._source
        if source is None:
            raise KeysUnusable("set " + " or ".join(f"RENKEI_{s.upper()}" for s in self.settings))
        async with self._reading:
            is_lacking = self._ring is None or not self._ring.keys.keys() >= set(needed)
            if is_lacking or source.has_changed():
                try:
                    self._ring = KeyRing.parse(await source.read())
                except BusError as error:
                    if self._ring is None or is_lacking:
                        raise
                    self._say_unread(error)
            assert self._ring is not None  # it was read, or was there
            return self._ring

    @abstractmethod
    def _say_unread(self, error: BusError) -> None:
        """Log that the keys cannot be read again; those known are used on."""
