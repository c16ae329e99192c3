"""The runner over a source in memory: in order, once, whatever is away, lost or broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import structlog

from bus.connect.source import Guard
from bus.errors import (
    BrokerUnavailable,
    BusError,
    EventTooLarge,
    IntakeDiffers,
    KeysUnusable,
    SchemaMismatch,
)
from bus.model import Change
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.publish.outcome import Outcome
from bus.publish.runner import Runner, RunnerLimits
from bus.publish.runners import run_together
from bus.publish.sender import MOST_BROKEN
from bus.publish.source_reports import RelayReport, Report
from connectors.memory.source import MemoryBox, MemorySource
from tests.support.changes import change, record
from tests.support.clock import Clock
from tests.support.waiting import until

QUICK = RunnerLimits(
    batch_changes=4,
    poll=timedelta(milliseconds=20),
    retry_first=timedelta(milliseconds=1),
    retry_most=timedelta(milliseconds=5),
    stop_within=timedelta(seconds=5),
)


@dataclass
class Log:
    """What was published, by whichever publisher; and what goes wrong with the next calls."""

    changes: list[str] = field(default_factory=list)
    failing: list[BaseException | None] = field(default_factory=list)
    broken: Callable[[str], BaseException | None] = lambda _: None
    failing_start: list[BaseException] = field(default_factory=list)
    started: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)

    def publisher(self, guard: Guard) -> Publisher:
        """A publisher for one term."""
        return Publisher(self, guard)


@dataclass
class Publisher:
    """Appends to the log, or does not."""

    log: Log
    guard: Guard

    async def start(self) -> None:
        if self.log.failing_start:
            raise self.log.failing_start.pop(0)
        self.log.started += 1

    async def publish(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        self.log.called.set()
        await asyncio.sleep(0)  # others have their turn
        if self.log.failing and (error := self.log.failing.pop(0)) is not None:
            raise error
        ids = [one.records[0].subject_id for one in changes]
        for each in ids:
            if (error := self.log.broken(each)) is not None:
                raise error
        self.guard()
        self.log.changes += [each for each in ids if each not in self.log.changes]
        return [Outcome(change_id=None, event_ids=("e",)) for _ in ids]

    async def close(self) -> None:
        """Nothing is open."""


def put(box: MemoryBox, *subjects: str) -> None:
    """Have a change of each wait."""
    for subject in subjects:
        box.put(json.dumps(change(record(subject_id=subject))).encode())


@asynccontextmanager
async def running(runner: Runner, tasks: Tasks | None = None) -> AsyncIterator[Tasks]:
    """The runner, hosted, inside the block."""
    tasks = tasks or Tasks(first=timedelta(milliseconds=1), most=timedelta(milliseconds=5))
    stop = asyncio.Event()
    hosting = asyncio.create_task(run_together([runner], stop, tasks))
    try:
        yield tasks
    finally:
        stop.set()
        await asyncio.wait_for(hosting, 10)


@pytest.fixture
def box() -> MemoryBox:
    """Seven changes wait."""
    made = MemoryBox()
    put(made, *"abcdefg")
    return made


async def test_all_are_published_in_order_and_settled(box: MemoryBox) -> None:
    """In batches, and what comes later as well."""
    log = Log()
    async with running(Runner(MemorySource(box), log.publisher, pace=QUICK)):
        await until(lambda: not box.waiting)
        put(box, "h")
        await until(lambda: not box.waiting)

    assert log.changes == list("abcdefgh")
    assert log.started == 1
    assert box.term is None


async def test_what_does_not_answer_is_asked_again(box: MemoryBox) -> None:
    """Within the same term."""
    log = Log(failing=[BrokerUnavailable("away"), None, BrokerUnavailable("away")])
    async with running(Runner(MemorySource(box), log.publisher, pace=QUICK)):
        await until(lambda: not box.waiting)

    assert (log.changes, log.started) == (list("abcdefg"), 1)


@pytest.mark.parametrize("error", [TypeError("秘密"), EventTooLarge("an event is above the limit")])
async def test_the_one_that_breaks_is_found(box: MemoryBox, error: BaseException) -> None:
    """Alone it is refused, and told without its values."""
    log, metrics = Log(broken=lambda subject: error if subject == "c" else None), Metrics()
    report = RelayReport("register", metrics)
    with structlog.testing.capture_logs() as logs:
        async with running(Runner(MemorySource(box), log.publisher, pace=QUICK, report=report)):
            await until(lambda: not box.waiting)

    code = getattr(error, "code", "RK-000")
    assert log.changes == list("abdefg")
    assert [each.codes for each in box.refused] == [{code}]
    assert metrics.value("renkei_publish_refused_total", code=code) == 1
    assert "秘密" not in repr([line for line in logs if line["event"] != "change-breaks-a-check"])


async def test_a_row_of_changes_that_break_holds_up_nothing(box: MemoryBox) -> None:
    """After a few in a row the runner ends, aloud, with those settled; begun again it comes to the
    next, and so to what waits behind them all."""
    put(box, "h", "z")
    log = Log(broken=lambda subject: None if subject == "z" else TypeError())
    with structlog.testing.capture_logs() as logs:
        async with running(Runner(MemorySource(box), log.publisher, pace=QUICK)):
            await until(lambda: not box.waiting)

    assert log.changes == ["z"]
    assert [each.codes for each in box.refused] == [{"RK-000"}] * len("abcdefgh")
    assert [line["event"] for line in logs].count("task-ended") == len("abcdefgh") // (
        MOST_BROKEN + 1
    )


async def test_a_lost_term_is_taken_anew(box: MemoryBox) -> None:
    """With another publisher, which learns what is there; nothing doubles."""
    log = Log()
    async with running(Runner(MemorySource(box), log.publisher, pace=QUICK)):
        await until(lambda: not box.waiting)
        box.term = None  # somebody else had it, and is gone
        put(box, "h")
        await until(lambda: not box.waiting and log.started == 2)

    assert log.changes == list("abcdefgh")


async def test_a_source_that_is_away_is_waited_for(box: MemoryBox) -> None:
    """And begun anew."""
    log = Log()
    box.is_away = True
    with structlog.testing.capture_logs() as logs:
        report = RelayReport("register", Metrics())
        async with running(Runner(MemorySource(box), log.publisher, pace=QUICK, report=report)):
            await until(lambda: any(line["event"] == "relay-interrupted" for line in logs))
            assert log.changes == []
            box.is_away = False
            await until(lambda: not box.waiting)

    assert log.changes == list("abcdefg")


@pytest.mark.parametrize("error", [SchemaMismatch("another schema"), None])
async def test_whatever_ends_it_is_said_and_it_is_begun_again(
    box: MemoryBox, error: BusError | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that stops, or what keeps the term coming back: log, readiness, metric."""
    log, metrics = Log(failing=[error]), Metrics()
    if error is None:
        once = iter([True])
        real = MemorySource.take

        async def take(self: MemorySource, limits: Any) -> Any:
            if next(once, False):
                raise asyncio.CancelledError
            return await real(self, limits)

        monkeypatch.setattr(MemorySource, "take", take)
    tasks = Tasks(metrics, first=timedelta(milliseconds=50))
    other = Runner(MemorySource(MemoryBox()), log.publisher, pace=QUICK)
    stop = asyncio.Event()
    runners = [Runner(MemorySource(box), log.publisher, pace=QUICK), other]
    with structlog.testing.capture_logs() as logs:
        hosting = asyncio.create_task(run_together(runners, stop, tasks))
        await until(lambda: tasks.fallen)
        assert tasks.ill()[0].startswith("relay memory ended ")
        assert metrics.value("renkei_tasks_ended", task="relay") == 1
        await until(lambda: not box.waiting)
        stop.set()
        await asyncio.wait_for(hosting, 10)

    assert [line["event"] for line in logs].count("task-ended") == 1
    assert log.changes == list("abcdefg")


async def test_a_stop_lets_the_batch_in_hand_end(box: MemoryBox) -> None:
    """And takes no other; the rest waits for the next."""
    log = Log()
    runner = Runner(MemorySource(box), log.publisher, pace=QUICK)
    run = asyncio.create_task(runner.run())
    await log.called.wait()
    runner.stop()
    await asyncio.wait_for(run, 10)

    assert log.changes == list("abcd")
    assert len(box.waiting) == 3
    assert box.term is None


async def test_without_patience_what_is_away_is_raised(box: MemoryBox) -> None:
    """Somebody waits for it, and is told; what was settled before stays so."""
    log = Log(failing=[None, BrokerUnavailable("away")])
    pace = RunnerLimits(batch_changes=4, retry_first=None)
    with pytest.raises(BrokerUnavailable):
        await Runner(MemorySource(box), log.publisher, pace=pace).run()

    assert log.changes == list("abcd")
    assert len(box.waiting) == 3
    assert box.term is None


def test_what_waits_is_said_by_whoever_leads() -> None:
    """Once, and again when it goes on; a process that leads no more says nothing of it."""
    metrics = Metrics()
    report = RelayReport("register", metrics)
    error = KeysUnusable("set RENKEI_SEAL_KEYS_FILE")

    with structlog.testing.capture_logs() as logs:
        report.holds(0, None)
        for changes in (1, 2):
            report.holds(changes, error)
        assert report.ill() == ["changes wait (RK-105)"]
        assert metrics.value("renkei_relay_held", system="register") == 2
        report.leads_no_more()
        assert report.ill() == []
        assert metrics.value("renkei_relay_held", system="register") == 0
        report.holds(2, error)
        report.holds(0, None)

    said = [line["event"] for line in logs]
    assert said == ["changes-held", "changes-held", "changes-go-on"]


def test_whoever_sends_nothing_for_long_is_not_ready() -> None:
    """A moment is nothing; as long as nobody may lead is too long, whatever is not there."""
    clock = Clock()
    report = RelayReport("register", Metrics(), clock=clock)

    for clock.now in (100.0, 109.0):
        report.waits(BrokerUnavailable("away"))
        assert report.ill() == []
    clock.now = 111.0
    report.waits(IntakeDiffers("another setting"))
    assert report.ill() == ["nothing is sent for 11 s (RK-411)"]
    report.goes_on()
    assert report.ill() == []


async def test_what_was_waited_for_goes_on(box: MemoryBox) -> None:
    """A term that could begin after all, with nothing to send, waits for nothing."""
    box.waiting.clear()
    log = Log(failing_start=[IntakeDiffers("another setting")])
    told: list[str] = []

    class Told(Report):
        def waits(self, error: BusError) -> None:
            told.append(error.code)

        def goes_on(self) -> None:
            told.append("goes on")

    async with running(Runner(MemorySource(box), log.publisher, pace=QUICK, report=Told())):
        await until(lambda: "goes on" in told)

    assert told[:2] == ["RK-411", "goes on"]
