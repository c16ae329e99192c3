"""Take changes from a caller who waits: each is checked, published and answered by itself.

The other ways in take changes from where they wait; here whoever has them gives them, and is told
of each what became of it. The checks are the same, and so is the sending. Who hands in has proved
who they are to whoever calls this (:class:`Principal`); for whom they speak stands in its bounds.

**Twice is once.** Each change brings its id. One that was handed in before, here or at another
process, is *known*: nothing is appended, and the answer is the same but for that word. So whoever
got no answer hands the same changes in again.

**Two processes at once.** Kafka has no compare-and-set, so a publishing system's changes go through
one process at a time: by a term of that system in the bus's own database
(:mod:`~bus.publish.terms`), taken for each call and given back after it, once nothing that was sent
can still be under way; otherwise it runs out. What each knows of the log it reads anew, before each
call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from bus.connect.source import Guard, Limits, Published, Refusal, Taken, Term
from bus.errors import ChangeRefused, Unavailable
from bus.model import Change, Fault
from bus.publish.admission import Bounds, read
from bus.publish.sender import Publishes, Sender, Sent
from bus.publish.taking_turns import HeldTerms, Terms

AT_ONCE = Limits(changes=1_000, bytes=8 * 1024 * 1024, change_bytes=4 * 1024 * 1024)
"""What may be handed in by one call."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller who hands changes in."""

    name: str
    bounds: Bounds


class IntakeStatus(StrEnum):
    """The possible answers to a change."""

    ACCEPTED = "accepted"  # in the log, at least a part of it by this call
    KNOWN = "known"  # in the log, all of it, before this call
    REFUSED = "refused"  # not in the log


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one change that was handed in."""

    fate: IntakeStatus
    change_id: str | None = None
    event_ids: Sequence[str] = ()
    faults: Sequence[Fault] = ()
    """Why it was refused, and what is odd about it though it was not."""


class Intake:
    """Takes changes in, one call after the other. One per process.

    Args:
        publisher: Makes a publisher, which calls the guard before each append.
        terms: Who may publish for which system.
        here: What may be handed in here, whoever does.
        close_within: After which time something that was sent is taken to be under way still.
    """

    def __init__(
        self,
        publisher: Callable[[Guard], Publishes],
        terms: Terms,
        *,
        here: Bounds | None = None,
        limits: Limits = AT_ONCE,
        close_within: timedelta = timedelta(seconds=16),
    ) -> None:
        self._make_publisher = publisher
        self._held = HeldTerms(terms)
        self._here = here
        self._limits = limits
        self._close_within = close_within.total_seconds()
        self._sender = Sender()
        self._publisher: Publishes | None = None
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        """Close the publisher; safe to call twice."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()

    async def accept(self, principal: Principal, changes: Sequence[bytes]) -> list[Answer]:
        """Check and publish changes, each a JSON text in UTF-8; an answer to each, in order.

        Those of one subject are published in the order given. May be called again with the same
        changes, here or at another process.

        Raises:
            ChangeRefused: There are too many at once; nothing was looked at.
            Unavailable: Something does not answer, or another process is publishing for the
                system; some may be published. Call again with the same changes.
            KeysUnusable: One has what must be sealed, and there are no keys; nothing was published.
        """
        if len(changes) > self._limits.changes or sum(map(len, changes)) > self._limits.bytes:
            raise ChangeRefused("too many changes at once", principal=principal.name)
        taken = [self._taken(place, text) for place, text in enumerate(changes)]
        admitted, refused = read(taken, _Admission(principal.bounds, self._here))
        sent = Sent()
        if admitted:
            async with self._turn:
                sent = await self._publish(admitted)
        refused += sent.refused
        answers = {each.place: _accepted(each) for each in sent.published}
        ids = {place: change.change_id for place, change in admitted}
        answers |= {each.place: _refused(each, ids.get(each.place)) for each in refused}
        return [answers[place] for place in range(len(changes))]

    def _taken(self, place: int, text: bytes) -> Taken:
        if len(text) <= self._limits.change_bytes:
            return Taken(place, text)
        expected = f"a change of at most {self._limits.change_bytes} bytes as text"
        return Taken(place, None, Fault(code="too-large", expected=expected))

    async def _publish(self, changes: Sequence[tuple[int, Change]]) -> Sent:
        """Publish in the terms of all systems that the changes come from."""

        async def send() -> Sent:
            publisher = await self._started()
            sent = await self._sender.send(changes, publisher.publish)
            if sent.defect is not None:
                raise sent.defect
            return sent

        sources = (change.source for _, change in changes)
        return await self._held.during(sources, send, self._let_go)

    async def _let_go(self, terms: Sequence[Term], _: BaseException) -> None:
        """Close the publisher, which stopped in the middle; if it does not end, keep the terms."""
        try:
            async with asyncio.timeout(self._close_within):
                await self.close()
        except (TimeoutError, Unavailable):
            for term in terms:
                term.abandon()

    async def _started(self) -> Publishes:
        if self._publisher is None:
            made = self._make_publisher(self._held.guard)
            self._publisher = made
            await made.start()
        return self._publisher


@dataclass(frozen=True, slots=True)
class _Admission:
    """Admits a change that brings its own id and comes from a system of the principal."""

    bounds: Bounds
    here: Bounds | None

    def __call__(self, change: Change, text: bytes) -> Change | list[Fault]:
        if change.change_id is None:
            expected = "an id (UUIDv7) of its own, so that it can be handed in again"
            return [Fault(code="missing", expected=expected, field="change_id")]
        faults = [] if self.here is None else self.here.faults(change)
        return faults or self.bounds(change, text)


def _accepted(each: Published) -> Answer:
    is_known = each.known == len(each.event_ids)
    return Answer(
        IntakeStatus.KNOWN if is_known else IntakeStatus.ACCEPTED,
        each.change.change_id,
        each.event_ids,
        each.warnings,
    )


def _refused(refusal: Refusal, change_id: str | None) -> Answer:
    return Answer(IntakeStatus.REFUSED, change_id, faults=(*refusal.reasons, *refusal.warnings))
