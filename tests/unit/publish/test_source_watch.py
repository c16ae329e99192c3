"""What is said of an outbox that nobody leads, or that cannot be looked into."""

from __future__ import annotations

from datetime import timedelta

import structlog

from bus.connect.source import Backlog, SourceStatus
from bus.errors import SourceUnavailable
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.publish.runner import ALL_BATCHES, RunnerLimits
from bus.publish.source_watch import SAY_AGAIN, SourceWatch
from tests.support.clock import Clock
from tests.support.waiting import until


class Nowhere:
    """Is never asked."""

    async def look(self) -> SourceStatus:
        raise SourceUnavailable("nothing answers")

    async def close(self) -> None:
        """Nothing is open."""


LED = SourceStatus("register", Backlog(0, 0.0, 0), "somebody", 5.0)
UNLED = SourceStatus("register", Backlog(7, 33.0, 2, 60.0), "somebody", -1.0)


def test_no_leader_for_ten_seconds_is_an_alarm() -> None:
    """A metric from the first moment on; after ten seconds a line and a reason, once a minute."""
    clock, metrics = Clock(), Metrics()
    watch = SourceWatch("register", Nowhere(), metrics=metrics, clock=clock)

    def value(name: str) -> float | None:
        return metrics.value(f"renkei_relay_{name}", system="register")

    with structlog.testing.capture_logs() as logs:
        watch.saw(LED)
        assert value("unled_seconds") == 0
        for clock.now in (100.0, 109.0):
            watch.saw(UNLED)
        assert (value("unled_seconds"), value("waiting"), value("oldest_seconds")) == (9, 7, 33)
        assert (value("refused"), value("refused_oldest_seconds")) == (2, 60)
        assert watch.ill() == []
        for clock.now in (110.0, 112.0, 110.0 + SAY_AGAIN):
            watch.saw(UNLED)
        assert watch.ill() == ["no relay has led it for 70 s"]
        watch.saw(LED)
        assert watch.ill() == []

    told = [(line["event"], line["seconds"]) for line in logs]
    assert told == [("outbox-unled", 10), ("outbox-unled", 70), ("outbox-led-again", 70)]


def test_what_cannot_be_seen_has_no_figures() -> None:
    """They would be old ones; it is said once, and a reason until it is seen again."""
    metrics = Metrics()
    watch = SourceWatch("register", Nowhere(), metrics=metrics)
    watch.saw(UNLED)

    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            watch._cannot(SourceUnavailable("nothing answers"))
        assert metrics.value("renkei_relay_waiting", system="register") is None
        assert metrics.value("renkei_relay_seen", system="register") == 0
        assert watch.ill() == ["it cannot be looked into (RK-403)"]
        watch.saw(LED)
        assert watch.ill() == []

    assert [line["event"] for line in logs] == ["outbox-unseen", "outbox-seen-again"]
    assert metrics.value("renkei_relay_waiting", system="register") == 0


def test_relays_of_a_process_share_what_is_in_hand() -> None:
    """However many there are, all their batches together have an end."""
    assert RunnerLimits().shared_by(1) == RunnerLimits()
    for relays in (4, 20, 1_000):
        assert relays * RunnerLimits().shared_by(relays).batch_bytes <= ALL_BATCHES


async def test_one_that_is_killed_is_seen_and_begun_again() -> None:
    """The process is not ready meanwhile; what it looked with was closed, and is opened anew."""

    class Once:
        looks = closed = 0

        async def look(self) -> SourceStatus:
            self.looks += 1
            if self.looks == 1:
                raise RuntimeError
            return LED

        async def close(self) -> None:
            self.closed += 1

    watched, metrics = Once(), Metrics()
    tasks = Tasks(metrics, first=timedelta(milliseconds=50))
    kept = SourceWatch("register", watched, metrics=metrics).begin(tasks)
    await until(lambda: tasks.ill() == ["lookout register ended RuntimeError"])
    assert (watched.closed, metrics.value("renkei_tasks_ended", task="lookout")) == (1, 1)
    await until(lambda: not tasks.fallen and watched.looks == 2)
    assert metrics.value("renkei_tasks_restarted_total", task="lookout") == 1
    await kept.end()
    assert watched.closed == 2
