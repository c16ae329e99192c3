"""The runner: publishes what waits in a source, in order, and settles it.

Changes are taken in batches that are bounded in number and bytes, read and admitted
(:mod:`~bus.publish.admission`), handed to the publisher, which answers once all in-sync replicas
have them, and only then settled.

A crash between sending and settling: the changes still wait and are handed over again. Their
event ids follow from the change's id, so the publisher finds in the topic what is there already
and appends only what is missing.

One process at a time publishes from a source (its term, :class:`bus.connect.source.Term`); others
stand by. A new leader starts a new publisher, which learns the topics' ends after the term began,
and the publisher must call the guard it was given immediately before each append.

What answers nothing is asked again without end, after a back-off with jitter: the broker and
the registry while the term is kept, the source by a new term. A setting, a right or a schema that
cannot work, and a defect that is nobody's change's, end the runner with the error; whoever hosts
it begins it again and says so (:mod:`~bus.publish.runners`). No change does: what it breaks is
narrowed down to it, and it is refused (:mod:`~bus.publish.sender`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import TypeVar, cast

from bus.backoff import BackOff
from bus.connect.source import Guard, Holds, Limits, Source, Taken, Term
from bus.connect.together import end, until_one_ends
from bus.errors import BusError, LeaseLost, SourceUnavailable, Unavailable
from bus.failpoints import Point, passed
from bus.observe.tasks import CameBack
from bus.publish.admission import Admission, read
from bus.publish.held_changes import Gate, HeldChanges
from bus.publish.sender import Publishes, Sender
from bus.publish.source_reports import Report
from bus.retry import retried

T = TypeVar("T")

ALL_BATCHES = 16 * 1024 * 1024  # bytes of text that all runners of a process have in hand together


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerLimits:
    """How fast, how much at once and for how long a runner tries."""

    batch_changes: int = 1_000  # most changes handed over at once
    batch_bytes: int = 4 * 1024 * 1024  # most bytes of them as text: bounds memory
    change_bytes: int = 4 * 1024 * 1024  # a larger change is refused where it is
    poll: timedelta = timedelta(seconds=5)  # should the news of a change be lost
    send_within: timedelta = timedelta(seconds=8)  # acknowledged or given up; the producer's bound
    retry_first: timedelta | None = timedelta(milliseconds=200)  # None: what is away is raised
    retry_most: timedelta = timedelta(seconds=30)
    stop_within: timedelta = timedelta(seconds=10)  # the batch in hand, once asked to stop

    @property
    def limits(self) -> Limits:
        """How much is taken at once."""
        return Limits(self.batch_changes, self.batch_bytes, self.change_bytes)

    def shared_by(self, runners: int) -> RunnerLimits:
        """The pace of each of so many runners in one process, which share its limits.

        They come in turn, a batch each; batches are the smaller the more there are.
        """
        return replace(self, batch_bytes=min(self.batch_bytes, ALL_BATCHES // max(runners, 1)))


BULK = RunnerLimits(
    batch_changes=2_000,
    batch_bytes=8 * 1024 * 1024,
    change_bytes=16 * 1024 * 1024,
    retry_first=None,
)
"""For a load that somebody waits for: as much at once as is good for one call, and what is away is
said at once."""


class Runner:
    """Publishes what waits in one source. May be run again after it ended by an error.

    Args:
        publisher: Makes a publisher for one term; it calls the guard before each append.
        admit: What may come from this source; None: whatever has a change's shape.
        gate: What may be lacking for some changes, which then wait; None: nothing. The source is
            one that holds.
        report: Told how it goes.
    """

    def __init__(
        self,
        source: Source,
        publisher: Callable[[Guard], Publishes],
        *,
        admit: Admission | None = None,
        gate: Gate | None = None,
        pace: RunnerLimits | None = None,
        report: Report | None = None,
    ) -> None:
        self._source = source
        self._make_publisher = publisher
        self._admit = admit
        self._gate = gate
        self._pace = pace or RunnerLimits()
        self._report = report or Report()
        self._stopping = asyncio.Event()
        self._sender = Sender()

    @property
    def name(self) -> str:
        """The name of the source."""
        return self._source.name

    def stop(self) -> None:
        """Finish the batch in hand and end; may be called from a signal handler."""
        self._stopping.set()

    async def run(self) -> None:
        """Publish until stopped, or until the source has come to its end.

        Raises:
            BusError: What cannot work as it is configured; that something is away only at a pace
                without retries.
        """
        work = asyncio.create_task(self._run())
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({work}, timeout=self._pace.stop_within.total_seconds())
            if not work.done():
                self._report.abandoned()
        finally:
            await end(stop, work)
        if not (work.cancelled() and self._stopping.is_set()):
            work.result()

    async def _run(self) -> None:
        back_off = self._back_off()
        lead = partial(self._lead, back_off)
        with suppress(_Over):
            await (lead() if back_off is None else retried(lead, back_off, self._wait_for_term))

    async def _wait_for_term(self, error: BusError, time: timedelta) -> None:
        self._report.interrupted(error)
        await self._sleep(time)

    async def _lead(self, back_off: BackOff | None) -> None:
        """Wait for a term and publish in it; until it is lost, or the runner is stopped."""
        taking = self._source.term()
        term = await self._unless_stopped(taking.__aenter__())
        try:
            if back_off is not None:
                back_off.reset()
            self._report.leads(term.holder)
            try:
                await until_one_ends(self._publish_all(term), term.keep())
                raise CameBack  # whoever keeps the right is deaf, or without it
            finally:
                self._report.leads_no_more()
        except BaseException as error:
            await taking.__aexit__(type(error), error, error.__traceback__)
            raise

    async def _publish_all(self, term: Term) -> None:
        publisher = self._make_publisher(term.guard)
        try:
            await self._insist(publisher.start)
            holding = self._holding()
            while True:
                taken = await self._take(holding)
                if taken:
                    passed(Point.RELAY_TAKEN)
                    await self._publish(publisher, taken, holding)
                if self._stopping.is_set():
                    raise _Over
                if not await self._unless_stopped(self._source.wait(self._pace.poll)):
                    raise _Over
        finally:
            await self._close(publisher, term)

    def _holding(self) -> HeldChanges | None:
        """A term's held changes, empty at first; None if nothing is ever held."""
        self._report.holds(0, None)
        if self._gate is None:
            return None
        return HeldChanges(cast("Holds", self._source), self._gate, self._pace.poll.total_seconds())

    async def _take(self, holding: HeldChanges | None) -> Sequence[Taken]:
        if holding is not None:
            await holding.ask_again()
            self._report.holds(len(holding), holding.error)
            if holding.is_full:
                await self._sleep(self._pace.poll)
                return ()
        return await self._insist(partial(self._source.take, self._pace.limits))

    async def _close(self, publisher: Publishes, term: Term) -> None:
        """Close the publisher; if that does not end, a send may be under way: abandon the term."""
        try:
            async with asyncio.timeout(2 * self._pace.send_within.total_seconds()):
                await publisher.close()
        except (TimeoutError, Unavailable):
            term.abandon()

    async def _publish(
        self, publisher: Publishes, taken: Sequence[Taken], holding: HeldChanges | None
    ) -> None:
        """Send what can be sent, and settle everything but what is held."""
        began = monotonic()
        changes, unread = read(taken, self._admit)
        if holding is not None:
            changes = await holding.without(changes)
        sent = await self._sender.send(
            changes, lambda some: self._insist(lambda: publisher.publish(some))
        )
        published, refused = sent.published, [*unread, *sent.refused]
        if holding is not None:
            refused = await holding.without_refusals(refused, changes)
            self._report.holds(len(holding), holding.error)
        passed(Point.RELAY_SENT)
        await self._insist(partial(self._source.settle, published, refused))
        passed(Point.RELAY_MARKED)
        self._report.settled(len(published), refused, monotonic() - began)
        if sent.defect is not None:  # what was decided is settled: no change stands in the way
            raise sent.defect

    async def _insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Repeat *act* while the broker, the registry or a key service does not answer.

        Raises:
            LeaseLost: The right to publish ended meanwhile.
            SourceUnavailable: The source does not answer.
        """
        back_off = self._back_off()
        if back_off is None:
            return await act()
        result = await retried(act, back_off, self._wait)
        self._report.goes_on()
        return result

    async def _wait(self, error: BusError, time: timedelta) -> None:
        if isinstance(error, LeaseLost | SourceUnavailable):
            raise error
        self._report.waits(error)
        await self._sleep(time)

    async def _sleep(self, time: timedelta) -> None:
        await self._unless_stopped(asyncio.sleep(time.total_seconds()))

    async def _unless_stopped(self, work: Awaitable[T]) -> T:
        """The result of *work*; cancels it if the runner is asked to stop first."""
        doing = asyncio.ensure_future(work)
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({doing, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise _Over
            return doing.result()
        finally:
            await end(stop, doing)

    def _back_off(self) -> BackOff | None:
        first = self._pace.retry_first
        return None if first is None else BackOff(first, self._pace.retry_most)


class _Over(BaseException):
    """Ends a run without an error, so that no change is searched for a cause."""
