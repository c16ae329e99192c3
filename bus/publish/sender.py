"""Hand changes to a publisher and say what became of each, also if one of them makes it fail.

An error that names no change, one about data or a defect, is narrowed down by halves, in order, to
the change that meets it alone; that one is refused. Whoever takes changes in sends them by this: a
runner from a source, :class:`~bus.publish.intake.Intake` from somebody's hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from bus.connect.source import Published, Refusal
from bus.errors import is_defect
from bus.halving import Halves
from bus.model import Change
from bus.publish.fault_search import fault_of, is_of_data
from bus.publish.outcome import Outcome

MOST_BROKEN = 3
"""After so many changes in a row that a defect meets while they are sent, it is not the changes."""


class Publishes(Protocol):
    """The part of ``bus.publish.publisher.Publisher`` that is needed to send changes."""

    async def start(self) -> None: ...

    async def publish(self, changes: Sequence[Change]) -> Sequence[Outcome]: ...

    async def close(self) -> None: ...


Send = Callable[[Sequence[Change]], Awaitable[Sequence[Outcome]]]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of changes, each by its place, in order.

    With a *defect* that met one change after another, and so is not theirs, those are missing that
    were not decided: whoever settles the others raises it then.
    """

    published: list[Published] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    defect: BaseException | None = None


class Sender:
    """Sends changes, and counts how often in a row a defect was raised."""

    def __init__(self) -> None:
        self._broken = 0

    async def send(self, changes: Sequence[tuple[int, Change]], act: Send) -> Sent:
        """Send *changes*, which each have a place, by *act*.

        Raises:
            BusError: What is no matter of the changes.
        """
        sent = Sent()
        halves = Halves(changes)
        for piece in halves:
            if not piece:
                continue
            try:
                outcomes = await act([change for _, change in piece])
            except BaseException as error:
                if not is_of_data(error):
                    raise
                if halves.halve(piece):
                    continue
                self._broken += is_defect(error)
                if self._broken > MOST_BROKEN:
                    self._broken = 0
                    return replace(sent, defect=error)
                sent.refused.append(Refusal(piece[0][0], [fault_of(error)]))
                continue
            self._broken = 0
            for (place, change), outcome in zip(piece, outcomes, strict=True):
                reasons = [fault for fault in outcome.faults if fault.is_error]
                warnings = [fault for fault in outcome.faults if not fault.is_error]
                if reasons:
                    sent.refused.append(Refusal(place, reasons, warnings))
                else:
                    events = outcome.event_ids
                    resent = outcome.resent
                    sent.published.append(Published(place, change, events, resent, warnings))
        return sent
