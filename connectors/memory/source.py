"""A source inside the process, for tests and as the shortest example of one.

Changes wait in a :class:`MemoryBox` until they are settled; what it holds ends with the process.
One term at a time: whoever has it keeps it until it is given back, or is taken by force.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field, InstanceOf

from bus.connect.source import Limits, Published, Refusal, SourceCapabilities, Taken
from bus.connect.source_kind import SourceContext
from bus.errors import LeaseLost, SourceUnavailable
from bus.model import Fault


@dataclass
class MemoryBox:
    """The changes that wait; share it to let them outlive a source."""

    waiting: dict[int, bytes] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    term: object | None = None  # that of whoever leads
    is_away: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    _last: int = 0

    def put(self, text: bytes) -> int:
        """Add a change; its place."""
        self._last += 1
        self.waiting[self._last] = text
        self.news.set()
        return self._last

    def answer(self) -> None:
        """Answer as a store does: raise if it is away.

        Raises:
            SourceUnavailable: It is away.
        """
        if self.is_away:
            raise SourceUnavailable("the box does not answer")


class MemoryTerm:
    """See :class:`bus.connect.source.Term`; an abandoned one is never given back."""

    holder = "memory"

    def __init__(self, box: MemoryBox) -> None:
        self._box = box
        self.is_abandoned = False

    def guard(self) -> None:
        """See the port."""
        if self._box.term is not self:
            raise LeaseLost("another source leads here")

    async def keep(self) -> None:
        """See the port."""
        while True:
            await asyncio.sleep(0.01)
            self._box.answer()
            self.guard()

    def abandon(self) -> None:
        """See the port."""
        self.is_abandoned = True


class MemorySource:
    """See :class:`bus.connect.source.Source`; it holds, too."""

    name: str = "memory"

    by_settings = True

    class Options(BaseModel):
        """The box with its changes."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        box: InstanceOf[MemoryBox] = Field(default_factory=MemoryBox)

    @classmethod
    def of(cls, options: Options, context: SourceContext) -> MemorySource:
        """See :class:`bus.connect.source_kind.SourceKind`."""
        made = cls(options.box)
        made.name = context.system
        return made

    def __init__(self, box: MemoryBox) -> None:
        self._box = box
        self._held: frozenset[int] = frozenset()

    @property
    def capabilities(self) -> SourceCapabilities:
        """See the port."""
        return SourceCapabilities(exclusive=True, endless=True, remote=True, holds=self)

    @asynccontextmanager
    async def term(self) -> AsyncIterator[MemoryTerm]:
        """See the port."""
        box, term = self._box, MemoryTerm(self._box)
        box.answer()
        while box.term is not None:
            await box.freed.wait()
            box.freed.clear()
        box.term = term
        self._held = frozenset()
        try:
            yield term
        finally:
            if box.term is term and not term.is_abandoned:
                box.term = None
                box.freed.set()

    async def take(self, limits: Limits) -> Sequence[Taken]:
        """See the port."""
        self._box.answer()
        self._box.news.clear()
        found: list[Taken] = []
        size = 0
        expected = f"a change of at most {limits.change_bytes} bytes as text"
        for place, text in sorted(self._box.waiting.items()):
            if place in self._held:
                continue
            if len(found) == limits.changes or size >= limits.bytes:
                self._box.news.set()
                break
            if len(text) > limits.change_bytes:
                found.append(Taken(place, None, Fault(code="too-large", expected=expected)))
            else:
                found.append(Taken(place, text))
                size += len(text)
        return found

    async def settle(self, published: Sequence[Published], refused: Sequence[Refusal]) -> None:
        """See the port."""
        self._box.answer()
        for each in published:
            self._box.waiting.pop(each.place, None)
        for refusal in refused:
            if self._box.waiting.pop(refusal.place, None) is not None:
                self._box.refused.append(refusal)

    async def wait(self, most: timedelta) -> bool:
        """See the port; anything may come at any time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most.total_seconds()):
                await self._box.news.wait()
        return True

    def hold(self, places: Collection[int]) -> None:
        """See :class:`bus.connect.source.Holds`."""
        self._held = frozenset(places)
