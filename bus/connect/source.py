"""The port of a source: where changes wait until they are published.

A source hands changes over as they were written, as text, in order, and keeps those that were not
settled. It never judges: what may be published is for :mod:`bus.publish`, which reads, checks and
sends, and says of each change what became of it. What else a source can do it declares
(:attr:`Source.capabilities`). The contract is ``bus.conformance.source_suite``, a part for each
capability; a connector is done when its rig passes the parts that it declares.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Protocol

from bus.model import Change, Fault

MOST_REASONS = 100  # kept of one change: a broken program's faults repeat themselves

Guard = Callable[[], None]
"""Called before each append; raises :class:`~bus.errors.LeaseLost`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken at once: changes and bytes."""

    changes: int
    bytes: int
    """Of their text together: what passes it is left for the next time. One change is taken."""
    change_bytes: int
    """A change with more text than that is not read."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One change as it waits in a source: its text, or why that cannot be read."""

    place: int
    """What its source knows it by; those of one subject ascend in the order they were made in."""
    text: bytes | None
    fault: Fault | None = None
    """Why there is no text."""
    is_whole: bool = True
    """The text ended where a text should."""
    is_from_json: bool = False
    """The text was written out by a JSON type: it is JSON, and has no key twice."""


@dataclass(frozen=True, slots=True)
class Published:
    """A change that is in the log: its place in the source."""

    place: int
    change: Change
    event_ids: Sequence[str] = ()
    known: int = 0
    """How many of the events were there already."""
    warnings: Sequence[Fault] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that will not be published, and the errors for which it is not."""

    place: int
    reasons: Sequence[Fault]
    warnings: Sequence[Fault] = ()

    @property
    def codes(self) -> set[str]:
        """The codes of the errors."""
        return {fault.code for fault in self.reasons}

    @property
    def as_json(self) -> str:
        """The errors as a source keeps them: names and codes, no values, and a bounded number."""
        return json.dumps(documents(self.reasons[:MOST_REASONS]), ensure_ascii=False)


def documents(faults: Sequence[Fault]) -> list[dict[str, object]]:
    """Faults as a report has them: names and codes, no values."""
    return [
        {
            name: value
            for name in ("code", "record", "field", "item", "expected")
            if (value := getattr(fault, name)) is not None
        }
        for fault in faults
    ]


class Term(Protocol):
    """One process's exclusive right to publish what waits in a source."""

    @property
    def holder(self) -> str | None:
        """The name by which an operator finds the process; None where nobody needs it."""

    def guard(self) -> None:
        """Return if an append that begins now surely ends within the right.

        Raises:
            LeaseLost: Another process may have it before such an append would be over.
        """

    async def keep(self) -> None:
        """Keep the right, and listen for new changes; ends only by an error.

        Raises:
            LeaseLost: Another process has it.
            SourceUnavailable: The source does not answer.
        """

    def abandon(self) -> None:
        """Do not release the right at the end, because an append may be under way.

        It runs out, and this process waits for that, too.
        """


class SoleTerm:
    """The term of a source that only this process can read."""

    holder = None

    def guard(self) -> None:
        """Return: the right does not end."""

    async def keep(self) -> None:
        """Wait for ever: nothing has to be kept."""
        await asyncio.Event().wait()

    def abandon(self) -> None:
        """Do nothing: no other process waits for the right."""


class Source(Protocol):
    """Where the changes of one publishing system wait. May be run through several terms."""

    @property
    def name(self) -> str:
        """The publishing system, or what else tells this source from others of the process."""

    @property
    def capabilities(self) -> SourceCapabilities:
        """What this source can do besides handing changes over; never changes."""

    def term(self) -> AbstractAsyncContextManager[Term]:
        """Wait until no other process may publish from here; have that right inside the block.

        Everything below is called inside only. The right ends with the block, at once unless it
        was abandoned.

        Raises:
            ConfigurationError: This is no source, or it lets us not in.
            SourceUnavailable: It does not answer.
        """

    async def take(self, limits: Limits) -> Sequence[Taken]:
        """The next changes that are not settled, in order; none if none is there now.

        Those of one subject come in the order they were made in. What was taken and not settled
        comes again. Something may be under way although nothing is returned: see :meth:`wait`.

        Raises:
            SourceUnavailable: The source does not answer.
            Unavailable: What is needed to read it does not; nothing has changed.
        """

    async def settle(self, published: Sequence[Published], refused: Sequence[Refusal]) -> None:
        """Remove changes that were taken: published ones, and refused ones with their errors.

        May be repeated. Content that must not lie about does not, from then on.

        Raises:
            SourceUnavailable: The source does not answer; some may be settled.
            Unavailable: What is needed for it does not; nothing has changed.
        """

    async def wait(self, most: timedelta) -> bool:
        """Wait until there may be something to take, for *most* at longest; may be cancelled.

        Returns:
            Whether anything can come any more.
        """


class Holds(Protocol):
    """Can pass over changes that have to wait."""

    def hold(self, places: Collection[int]) -> None:
        """Pass over exactly these changes, until the next call or the end of the term."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many changes wait in a source, and for how long."""

    pending: int  # counted up to a bound
    oldest_s: float  # age of the first pending change; 0 if none
    refused: int  # counted up to a bound
    refused_oldest_s: float = 0.0  # since the first of them was refused; 0 if none

    def refused_go_in(self, keep: timedelta | None) -> timedelta | None:
        """The time until the first refused change is deleted; None if none is, or none ever."""
        if keep is None or not self.refused:
            return None
        return keep - timedelta(seconds=self.refused_oldest_s)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source's backlog, and which process publishes it."""

    system: str
    backlog: Backlog
    leader: str | None
    lease_left_s: float | None  # negative: it ran out

    @property
    def is_led(self) -> bool:
        """Whether a process leads, and has renewed its lease in time."""
        return self.lease_left_s is not None and self.lease_left_s > 0


class Watch(Protocol):
    """Looks at a source from outside, whoever publishes it. For use by one task."""

    async def look(self) -> SourceStatus:
        """The source's status now; connects if needed.

        Raises:
            BusError: It cannot be looked at; the next call tries anew.
        """

    async def close(self) -> None:
        """Close the connection; safe to call twice."""


class Watched(Protocol):
    """Can be looked at from outside."""

    def watch(self) -> Watch:
        """A watch with a connection of its own, which is not opened yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCapabilities:
    """What a source declares that it can do: per capability the object that does it, or None.

    A source names itself, so that a type checker holds it to the capability's protocol.
    """

    exclusive: bool = False
    """Several processes may run it: its term keeps all of them but one out."""
    endless: bool = False
    """Something may always come. What comes to an end is published by a command, not by a relay."""
    remote: bool = False
    """Its store may be away, and says so."""
    holds: Holds | None = None
    watched: Watched | None = None

    @property
    def kept(self) -> Mapping[str, bool]:
        """Whether each capability is declared, by its name."""
        return {entry.name: bool(getattr(self, entry.name)) for entry in fields(self)}
