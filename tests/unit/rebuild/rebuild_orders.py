"""A seeded order of everything that decides what a table holds, and a judge that knows nothing of
the product.

Persons have versions in and out of the view's conditions, garbage, events of another schema and
events that the store refuses under their keys, and erasures. An operator sets aside, tries again
and dismisses; tables are rebuilt meanwhile, and the rebuilding is cut off.

The judge keeps what was appended, in order, and which events the operator dismissed. A person's
row is the last version of the log that was not dismissed, was not refused for ever, and is in the
conditions; none, if an erasure or a version outside the conditions came after it. A version never
goes down, also not by way of a row that is gone for a while.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from bus.connect import Sink
from bus.deliver.state import LaneStatus
from bus.errors import BusError
from bus.model import LaneName, View
from bus.policy import compile_view
from bus.policy.grants import Where
from bus.rebuild.rebuild import TableRebuild
from tests.support.lanes import CATALOG, SUBSCRIPTIONS, TODAY, Hosted, Town, hosted
from tests.support.waiting import until

SYSTEM, STREAM, TOPIC = "child_allowance", "resident", "linkage.resident"
SUBJECTS = [f"{number:015d}" for number in range(1, 5)]
HERE, GONE = "1", "2"
REFUSED = "a\x00b"  # no store of these tests takes it
FOR_EVER = ("garbage", "foreign", "refused")
STUCK_AFTER = 20.0


def view() -> View:
    """What child_allowance sees of those alone who are residents now."""
    subscription = SUBSCRIPTIONS[SYSTEM]
    rule = Where.model_validate({"field": "resident_state", "equals": HERE})
    grant = subscription.streams[STREAM].model_copy(update={"where": (rule,)})
    streams = {**subscription.streams, STREAM: grant}
    return compile_view(
        subscription.model_copy(update={"streams": streams}), CATALOG.stream(STREAM), TODAY
    )


VIEW = view()


class Cut(BaseException):
    """A rebuild's process dies."""


@dataclass
class Judge:
    """What was appended and dismissed, and what may be seen."""

    log: defaultdict[str, list[tuple[int, str, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )  # subject -> (offset, kind, version), in log order
    dismissed: set[int] = field(default_factory=set)
    newest: dict[str, int] = field(default_factory=dict)  # that was ever seen
    failures: list[str] = field(default_factory=list)
    _before: dict[str, int] = field(default_factory=dict)

    def said(self, subject: str, offset: int, kind: str, version: int = 0) -> None:
        self.log[subject].append((offset, kind, version))

    def kind_at(self, offset: int) -> str:
        (kind,) = [k for events in self.log.values() for o, k, _ in events if o == offset]
        return kind

    def is_followed_by_leaving(self, offset: int) -> bool:
        """Whether the subject of this event is erased, or leaves the view, after it."""
        (events,) = [e for e in self.log.values() if any(o == offset for o, _, _ in e)]
        return any(o > offset and kind in ("erasure", "gone") for o, kind, _ in events)

    def look(self, held: Mapping[str, int]) -> None:
        """See the table as it is now."""
        for subject, version in held.items():
            if version < self.newest.get(subject, 0):
                self.failures.append(f"{subject} went to {version} from {self.newest[subject]}")
            self.newest[subject] = max(version, self.newest.get(subject, 0))
        for subject in self._before.keys() - held.keys():
            at = [o for o, _, version in self.log[subject] if version == self._before[subject]]
            if not any(k in ("erasure", "gone") and o > at[0] for o, k, _ in self.log[subject]):
                self.failures.append(f"{subject} is gone, and nothing says so")
        self._before = dict(held)

    def expected(self) -> dict[str, int]:
        """The table once everything is settled."""
        rows: dict[str, int] = {}
        for subject, events in self.log.items():
            for offset, kind, version in events:
                if kind == "here" and offset not in self.dismissed:
                    rows[subject] = version
                elif kind in ("erasure", "gone"):
                    rows.pop(subject, None)
        return rows


@dataclass
class Order:
    """One seeded order over one store."""

    town: Town
    make_sink: Callable[[View], Sink]
    held: Callable[[], Awaitable[dict[str, int]]]
    random: Random
    cut: Callable[[bool], None] = lambda _: None  # whether the next swap dies
    refuse: Callable[[str, bool], None] | None = None  # for a while, a subject
    judge: Judge = field(default_factory=Judge)
    rebuilds: int = 0
    _versions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUBJECTS, 0))
    _refused: set[str] = field(default_factory=set)
    _rebuilding: asyncio.Task[None] | None = None

    async def run(self, steps: int) -> None:
        """Do so many things, then settle what is open, and compare."""
        async with AsyncExitStack() as stack:
            bus = await stack.enter_async_context(
                hosted(self.town, {SYSTEM: self.make_sink}, views=lambda *_: VIEW)
            )
            await self._here(bus)
            for _ in range(steps):
                await self.random.choices(
                    [
                        self._here, self._gone, self._garbage, self._foreign, self._unfit,
                        self._erasure, self._dismiss, self._retry, self._rebuild, self._turn,
                        self._catch_up,
                    ],
                    [24, 6, 6, 3, 4, 4, 12, 8, 14, 4, 15],
                )[0](bus)  # fmt: skip
                await self._look()
            await self._settle(bus)
            expected = self.judge.expected()
            _same(await self.held(), expected, self.judge.log)
            await self._rebuilt(bus)
            await bus.news()
            _same(await self.held(), expected, self.judge.log)
            _same(bus.parked(), [], self.judge.log)
        self._nothing_dismissed_came_back()
        _same(self.judge.failures, [], self.judge.log)

    # -- what may happen

    async def _here(self, bus: Hosted) -> None:
        await self._publish(resident_state=HERE)

    async def _gone(self, bus: Hosted) -> None:
        await self._publish("gone", resident_state=GONE)

    async def _unfit(self, bus: Hosted) -> None:
        await self._publish("refused", resident_state=HERE, household_number=REFUSED)

    async def _garbage(self, bus: Hosted) -> None:
        subject = self.random.choice(SUBJECTS)
        offset = await self.town.append(STREAM, subject, b"\x00no event")
        self.judge.said(subject, offset, "garbage")

    async def _erasure(self, bus: Hosted) -> None:
        subject = self.random.choice(SUBJECTS)
        self.judge.said(subject, await self.town.append(STREAM, subject, None), "erasure")

    async def _foreign(self, bus: Hosted) -> None:
        """An event of another schema; at once set aside, and now and then dismissed before the
        lane has passed it."""
        subject = self.random.choice(SUBJECTS)
        value = self.town.value("household", subject, 1)
        offset = await self.town.append(STREAM, subject, value)
        self.judge.said(subject, offset, "foreign")
        index = bus.process.control.parked
        await bus.stopped()
        event = await index.refer_to(LaneName(SYSTEM, STREAM, 0), TOPIC, offset, "T-1")
        await index.record([event])
        if self.random.random() < 0.5:
            await self._dismissed(bus, [event])
        await bus.resume(SYSTEM)
        await bus.until(lambda: bus.lane().status is LaneStatus.RUNNING)

    async def _dismiss(self, bus: Hosted) -> None:
        if parked := [e for e in bus.parked() if e.state != "WAITING"]:
            await self._dismissed(bus, [self.random.choice(parked)])

    async def _retry(self, bus: Hosted) -> None:
        if parked := [e for e in bus.parked() if e.state == "PARKED"]:
            await bus.process.control.parked.ask_retry([self.random.choice(parked)])
            bus.process.control.parked.lane(LaneName(SYSTEM, STREAM, 0)).on_news()

    async def _turn(self, bus: Hosted) -> None:
        """The store refuses somebody from now on, or does so no longer."""
        subject = self.random.choice(SUBJECTS)
        if self.refuse is not None:
            self._refused ^= {subject}
            self.refuse(subject, subject in self._refused)

    async def _rebuild(self, bus: Hosted) -> None:
        """While everything else goes on, or by itself; it may be cut off."""
        await self._rebuilding_done()
        self._rebuilding = asyncio.create_task(self._rebuilt(bus, self.random.random() < 0.3))
        if self.random.random() < 0.5:
            await self._rebuilding_done()

    async def _catch_up(self, bus: Hosted) -> None:
        end = max((e[0] for events in self.judge.log.values() for e in events), default=-1) + 1
        await bus.at(end, seconds=20)

    # -- how

    async def _publish(self, kind: str = "here", **items: Any) -> None:
        subject = self.random.choice(SUBJECTS)
        self._versions[subject] += 1
        version = self._versions[subject]
        offset = await self.town.publish(STREAM, subject, version, **items)
        self.judge.said(subject, offset, kind, version)

    async def _dismissed(self, bus: Hosted, events: list[Any]) -> None:
        await bus.process.control.parked.dismiss(events, "T-1")
        await bus.news()
        lane = bus.process.control.parked.lane(LaneName(SYSTEM, STREAM, 0))
        lane.on_news()
        # one that a try was asked for may have been applied before anybody heard
        said = self._last_words()
        self.judge.dismissed |= {e.offset for e in events if said[e.offset] == "DISMISSED"}

    async def _rebuilt(self, bus: Hosted, is_cut: bool = False) -> None:
        stream = CATALOG.stream(STREAM)
        async with hosted(self.town, {}) as own:
            rebuild = TableRebuild(
                VIEW, stream.topic, reader=self.town.reader(STREAM),
                sink=self.make_sink(VIEW), process=own.process,
            )  # fmt: skip
            self.cut(is_cut)
            try:
                await rebuild.run()
                self.rebuilds += 1
            except Cut:
                pass
            except BusError as error:
                if error.code != "RK-100":  # nothing was delivered yet
                    raise
            finally:
                self.cut(False)
        await self._look()

    async def _rebuilding_done(self) -> None:
        task, self._rebuilding = self._rebuilding, None
        if task is not None:
            await task

    async def _look(self) -> None:
        self.judge.look(await self.held())

    async def _settle(self, bus: Hosted) -> None:
        await self._rebuilding_done()
        for subject in self._refused if self.refuse is not None else ():
            self.refuse(subject, False)
        await self._catch_up(bus)

        async def is_nothing_parked() -> bool:
            await bus.news()
            for event in [e for e in bus.parked() if e.state == "PARKED"]:
                if self.judge.kind_at(event.offset) in FOR_EVER:
                    await self._dismissed(bus, [event])
                else:
                    await bus.process.control.parked.ask_retry([event])
                    bus.process.control.parked.lane(LaneName(SYSTEM, STREAM, 0)).on_news()
            return not bus.parked()

        try:
            await until(is_nothing_parked, STUCK_AFTER, every=0.005)
        except TimeoutError:
            stuck = [replace(e, subject="") for e in bus.parked()]
            raise AssertionError(f"stuck: {stuck}") from None

    def _last_words(self) -> dict[int, str]:
        return {row["offset"]: row["state"] for row in self.town.read_all("exception")}

    def _nothing_dismissed_came_back(self) -> None:
        """But for a try that was under way when it was dismissed; the last word counts.

        What leaves the store closes what stands before it, in the same moment as an operator may.
        """
        closed: set[int] = set()
        for row in self.town.read_all("exception"):
            is_set_aside = row["state"] in ("PARKED", "WAITING") and row["attempts"] < 2
            if is_set_aside and row["offset"] in closed:
                self.judge.failures.append(f"offset {row['offset']} was dismissed, and parked anew")
            if row["state"] == "DISMISSED":
                closed.add(row["offset"])
        for offset, state in self._last_words().items():
            is_closed = state == "DISMISSED" or (
                state == "SUPERSEDED" and self.judge.is_followed_by_leaving(offset)
            )
            if offset in self.judge.dismissed and not is_closed:
                self.judge.failures.append(f"offset {offset} was dismissed, and is {state}")


def _same(found: Any, wanted: Any, log: Mapping[str, Any]) -> None:
    if found != wanted:
        raise AssertionError(f"{found}, and should be {wanted}; {dict(log)}")
