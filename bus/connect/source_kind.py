"""The port of a kind of source that the roster names: its options, and how one is made.

Whoever writes a source gives it options of its own, which are what the settings may say of it, and
a way to make one from them. What a process has for all its sources comes beside them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from bus.connect.source import Source
from bus.sealing import Seals


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Times that the settings give all sources: of leases, of sends, and of what is kept."""

    lease: timedelta = timedelta(seconds=12)
    """How long a leader that was killed keeps others waiting."""
    send_within: timedelta = timedelta(seconds=8)
    """Acknowledged or given up; the producer's bound."""
    sent: timedelta = timedelta(days=7)
    """How long what was sent stays."""
    refused: timedelta | None = None
    """How long what was refused does; None: until it is settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """What a process hands to every source that it makes."""

    system: str
    """The publishing system, or what else tells this source from the others of the process."""
    holder: str = "here"
    """A name of this process, by which an operator finds it."""
    seals: Seals = field(default_factory=Seals)
    """The keys of what must not lie about as it is."""
    sealed: Collection[str] = ()
    """The streams that have an item which is sealed."""
    known: Collection[str] = ()
    """All streams that may be published."""
    times: Times = field(default_factory=Times)


class SourceKind(Protocol):
    """A class that makes sources of one kind; what the roster names."""

    Options: ClassVar[type[BaseModel]]
    """What may be said of one of this kind; what it does not know it forbids."""
    by_settings: ClassVar[bool]
    """Whether it is named in the settings and run by a relay; otherwise a command runs it."""

    @classmethod
    def of(cls, options: Any, context: SourceContext) -> Source:
        """A source by *options*, an instance of :attr:`Options`; nothing is opened yet."""
