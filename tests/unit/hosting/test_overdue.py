"""What is set aside for too long is said: in the log once a day, in the metrics always."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from bus.hosting.host import ill, observe
from bus.hosting.overdue import Overdue
from bus.model import LaneName
from tests.support.lanes import Hosted, Town, hosted

SYSTEM = "child_allowance"
LANE = {"system": SYSTEM, "stream": "resident"}
ONE, TWO = "000000000000001", "000000000000002"


@pytest.fixture
async def bus(town: Town, sinks, store) -> AsyncIterator[Hosted]:
    """One event is parked, one waits behind it."""
    store.refused = {ONE}
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as hosting:
        await hosting.at(1)
        town.moved.time += timedelta(days=1)
        await town.publish("resident", ONE, 2)
        await hosting.at(2)
        yield hosting


def said_by(overdue: Overdue) -> list[Any]:
    """What it says when it looks, twice in a row."""
    with capture_logs() as lines:
        overdue.look()
        overdue.look()
    return [line for line in lines if line["event"] == "parked-overdue"]


async def test_it_is_said_once_a_day(town: Town, bus: Hosted) -> None:
    """From two thirds of the compaction lag on, for the oldest, without a word about whom."""
    overdue = Overdue(bus.process)
    for days, expected in ((1, 0), (17, 0), (2, 1), (0, 0), (1, 1)):
        town.moved.time += timedelta(days=days, minutes=1)
        said = said_by(overdue)
        assert len(said) == expected, days
        for line in said:
            assert line["seconds"] >= 20 * 86_400
            assert line.keys() == {"system", "stream", "seconds", "event", "log_level"}
            assert (line["system"], line["stream"]) == (SYSTEM, "resident")


async def test_a_setting_says_when(town: Town, bus: Hosted) -> None:
    """Another limit than two thirds."""
    settings = town.settings.model_copy(update={"parked_alarm": timedelta(days=3)})
    runtime = replace(bus.process.runtime, settings=settings)
    overdue = Overdue(replace(bus.process, runtime=runtime))
    town.moved.time += timedelta(days=3)

    assert len(said_by(overdue)) == 1


async def test_who_has_no_lane_of_it_says_nothing(town: Town, bus: Hosted) -> None:
    """Each process sees all that is set aside; one of them is enough."""
    async with hosted(town, {}) as other:
        overdue = Overdue(other.process)
        town.moved.time += timedelta(days=30)

        assert other.process.control.parked.oldest()
        assert said_by(overdue) == []


async def test_the_metrics_say_how_long(town: Town, bus: Hosted, store) -> None:
    """Until it is settled; the process is ready all the same."""
    observe(bus.process, bus.deliveries)
    metrics = bus.process.runtime.metrics
    town.moved.time += timedelta(days=30)
    await metrics.render()

    age = metrics.value("renkei_exceptions_oldest_seconds", **LANE)
    assert age == pytest.approx(31 * 86_400, rel=0.001)
    assert ill(bus.process) == []

    store.refused = set()
    await bus.process.control.parked.ask_retry([bus.parked()[0]])
    bus.process.control.parked.lane(LaneName(SYSTEM, "resident", 0)).on_news()
    await bus.until(lambda: not bus.parked())
    await metrics.render()
    assert metrics.value("renkei_exceptions_oldest_seconds", **LANE) is None
