"""Take changes from a file, one JSON object a line.

The file is read once, from front to back, and only a batch of it is ever in memory. A refused
line is told of with all its faults and its number, and does not stop the others; empty lines
are passed over. A change stays where it is: it is settled by going on behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import IOBase
from itertools import chain
from typing import BinaryIO, cast

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, SkipValidation

from bus.connect.source import (
    Limits,
    Published,
    Refusal,
    SoleTerm,
    SourceCapabilities,
    Taken,
    documents,
)
from bus.connect.source_kind import SourceContext
from bus.model import Fault

MOST_LINE_BYTES = 16 * 1024 * 1024
"""A longer line is refused unread; no change is that long, and memory is bounded."""
_BLANK = b" \t\r\n"
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``data`` is None if it is too long; ``end`` is the offset after its newline."""

    number: int  # from 1
    data: bytes | None
    end: int
    is_whole: bool  # it ends in a newline

    @property
    def is_blank(self) -> bool:
        """Whether the line holds nothing but blanks."""
        return self.data is not None and not self.data.strip(_BLANK)


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that was not published, and all its faults."""

    number: int
    faults: Sequence[Fault]

    @property
    def as_json(self) -> dict[str, object]:
        """The line for a report: names and codes, no values."""
        return {"line": self.number, "faults": documents(self.faults)}


@dataclass(slots=True)
class LoadProgress:
    """How far a load has come; its counts include earlier, interrupted runs."""

    lines: int = 0  # read, empty ones included
    offset: int = 0  # bytes
    changes: int = 0
    published: int = 0  # changes, those that were there already included
    events: int = 0
    resent: int = 0  # events that were there already
    refused: int = 0  # lines
    warnings: Counter[tuple[str, str]] = field(default_factory=Counter)  # (code, field)


class LinesSource:
    """See :class:`bus.connect.source.Source`; it has one reader, and comes to an end.

    Args:
        file: Opened for reading bytes; at the offset of *progress*.
        progress: How far the load is; counts go on in it.
        refused: Called for each refused line, in the order of lines.
        advanced: Called whenever the load is further.
    """

    name = "file"
    capabilities = SourceCapabilities()

    by_settings = False

    class Options(BaseModel):
        """The open file, and whom to tell of its lines; settings cannot name this source."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        file: InstanceOf[IOBase] = Field(repr=False)
        progress: SkipValidation[LoadProgress | None] = None
        refused: SkipValidation[Callable[[RefusedLine], None]] = lambda _: None
        advanced: SkipValidation[Callable[[LoadProgress], None]] = lambda _: None

    @classmethod
    def of(cls, options: Options, _: SourceContext) -> LinesSource:
        """See :class:`bus.connect.source_kind.SourceKind`."""
        file = cast("BinaryIO", options.file)
        return cls(file, options.progress, refused=options.refused, advanced=options.advanced)

    def __init__(
        self,
        file: BinaryIO,
        progress: LoadProgress | None = None,
        *,
        refused: Callable[[RefusedLine], None] = lambda _: None,
        advanced: Callable[[LoadProgress], None] = lambda _: None,
    ) -> None:
        self.progress = LoadProgress() if progress is None else progress
        self._file = file
        self._refused = refused
        self._advanced = advanced
        self._in_hand: list[Line] = []
        self._settled: set[int] = set()  # of those, behind one that is not
        self._is_over = False

    @asynccontextmanager
    async def term(self) -> AsyncIterator[SoleTerm]:
        """See the port."""
        yield SoleTerm()

    async def take(self, limits: Limits) -> Sequence[Taken]:
        """See the port."""
        if not self._in_hand:
            self._in_hand = self._read(limits)
            self._is_over = not self._in_hand
            self._go_on(set())  # over blank lines
        return [
            _taken(line, limits.change_bytes)
            for line in self._in_hand
            if not line.is_blank and line.number not in self._settled
        ]

    async def settle(self, published: Sequence[Published], refused: Sequence[Refusal]) -> None:
        """See the port: counts, and tells of what is refused."""
        left = {line.number for line in self._in_hand} - self._settled
        published = [each for each in published if each.place in left]
        refused = sorted((e for e in refused if e.place in left), key=lambda each: each.place)
        progress = self.progress
        progress.changes += len(published) + len(refused)
        progress.published += len(published)
        progress.refused += len(refused)
        for each in published:
            progress.events += len(each.event_ids)
            progress.resent += each.known
        warnings = chain(*(one.warnings for one in published), *(one.warnings for one in refused))
        progress.warnings.update((fault.code, fault.field or "") for fault in warnings)
        for refusal in refused:
            self._refused(RefusedLine(refusal.place, refusal.reasons))
        self._go_on({e.place for e in published} | {e.place for e in refused})

    async def wait(self, most: timedelta) -> bool:  # noqa: ARG002 - it never waits
        """See the port: nothing comes after the last line."""
        return not self._is_over

    def _read(self, limits: Limits) -> list[Line]:
        """The next lines, blank ones included."""
        found: list[Line] = []
        held = 0
        before = self.progress
        for line in lines(self._file, before.lines, before.offset, most=limits.change_bytes):
            found.append(line)
            held += len(line.data or b"")
            if len(found) >= limits.changes or held >= limits.bytes:
                break
        return found

    def _go_on(self, settled: set[int]) -> None:
        """Note that these lines are settled, and move the progress past all settled ones."""
        self._settled |= settled
        done = 0
        for line in self._in_hand:
            if not line.is_blank and line.number not in self._settled:
                break
            done += 1
        if done:
            last = self._in_hand[done - 1]
            self.progress.lines, self.progress.offset = last.number, last.end
            self._in_hand = self._in_hand[done:]
            self._settled = self._settled if self._in_hand else set()
            self._advanced(self.progress)


def _taken(line: Line, most: int) -> Taken:
    if line.data is None:
        return Taken(
            line.number, None, Fault(code="too-large", expected=f"a line of at most {most} bytes")
        )
    return Taken(line.number, line.data.strip(_BLANK), is_whole=line.is_whole)


def lines(
    file: BinaryIO, number: int = 0, offset: int = 0, *, most: int = MOST_LINE_BYTES
) -> Iterator[Line]:
    """The lines that follow *offset*; *number* is that of the line before."""
    while data := file.readline(most + 1):
        number += 1
        offset += len(data)
        if data.endswith(b"\n") or len(data) <= most:
            yield Line(number, data, offset, data.endswith(b"\n"))
            continue
        while data and not data.endswith(b"\n"):
            data = file.readline(_CHUNK)
            offset += len(data)
        yield Line(number, None, offset, data.endswith(b"\n"))
