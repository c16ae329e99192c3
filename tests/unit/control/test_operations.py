"""How lanes are operated: known after a restart, told to whoever listens, said by lanes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bus.backoff import BackOff
from bus.control.operations import Operations
from bus.errors import ConfigurationError, SchemaUnknown
from bus.log.internal import InternalTopic
from bus.model import LaneName, Operation, OperationState
from bus.observe.tasks import Tasks
from tests.support.lanes import CATALOG, Town, until

SYSTEM = "child_allowance"
LANE = LaneName(SYSTEM, "resident", 0)


async def operations_of(town: Town, ids: Any = None) -> Operations:
    producer = town.broker.producer()
    await producer.start()
    stream = CATALOG.stream("operation")
    topic = InternalTopic(town.broker, producer, ids or town.registry, stream)
    back_off = BackOff(timedelta(milliseconds=1), timedelta(seconds=1))
    reader = town.reader("operation")
    made = Operations(town.broker, topic, stream, reader, town.clock, back_off, Tasks())
    await made.start()
    return made


def word(town: Town, state: OperationState, stream: str = "resident", **more: Any) -> Operation:
    return Operation(system=SYSTEM, stream=stream, state=state, at=town.clock.now(), **more)


async def test_a_pause_is_known_after_a_restart(town: Town) -> None:
    """With who, when and why; a stream that goes on is not among what stands."""
    here = await operations_of(town)
    pause = word(town, OperationState.PAUSED, operator="ops", note="T-1")
    ended = word(town, OperationState.PAUSED, "household")
    await here.instruct([pause, ended])
    await here.instruct([word(town, OperationState.RUNNING, "household")])
    await here.close()

    again = await operations_of(town)

    assert again.pause_of(SYSTEM, "resident") == pause
    assert again.pause_of(SYSTEM, "household") is None
    assert again.pause_of("electoral_roll", "resident") is None
    assert again.standing() == again.standing(SYSTEM) == [pause]
    assert again.standing("electoral_roll") == []


async def test_one_process_hears_what_another_says(town: Town) -> None:
    """Only of its own systems, and only what operators say."""
    here, there = await operations_of(town), await operations_of(town)
    heard: list[OperationState] = []
    here.listen(SYSTEM, lambda operation: heard.append(operation.state))
    here.listen("electoral_roll", lambda _: pytest.fail("it was not spoken to"))

    await there.instruct([word(town, OperationState.PAUSED)])
    await there.instruct([word(town, OperationState.RUNNING)])
    there.stopped(LANE, "RK-205", 3)
    await there.close()
    await here.catch_up()

    assert heard == [OperationState.PAUSED, OperationState.RUNNING]
    assert [(o.state, o.code, o.offset) for o in here.standing()] == [
        (OperationState.STOPPED, "RK-205", 3)
    ]


async def test_only_a_lane_that_had_stopped_says_that_it_is_open(town: Town) -> None:
    """Otherwise each start would write a line for each lane."""
    here = await operations_of(town)
    here.opened(LANE)
    here.stopped(LANE, "RK-100", 0)
    here.opened(LANE)
    here.opened(LANE)
    await here.close()

    assert [row["state"] for row in town.read_all("operation")] == ["RUNNING"]  # the newest word


async def test_another_process_takes_a_stop_back(town: Town) -> None:
    """The lane moved, and opened there."""
    here = await operations_of(town)
    here.stopped(LANE, "RK-100", 0)
    await here.close()
    there = await operations_of(town)
    there.opened(LANE)
    await there.close()

    assert (await operations_of(town)).standing() == []


async def test_a_word_waits_for_the_broker(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told when the broker is back; meanwhile the log says that it was not."""
    here = await operations_of(town)
    town.memory.is_away = True
    here.stopped(LANE, "RK-100", 0)
    await until(lambda: "operations-untold" in capsys.readouterr().out)
    town.memory.is_away = False

    await until(lambda: town.read_all("operation"))
    await here.close()


async def test_a_word_that_nobody_can_read_is_given_up(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """The schema was not pushed: the lane is stopped all the same, and the log says so."""

    class Unpushed:
        async def id_of(self, _: Any) -> int:
            raise SchemaUnknown("this version is not registered")

    here = await operations_of(town, Unpushed())
    here.stopped(LANE, "RK-100", 0)
    await until(lambda: "RK-203" in capsys.readouterr().out)
    await here.close()

    assert town.read_all("operation") == []


async def test_without_its_topic_nothing_starts(town: Town) -> None:
    """A missing topic is named, and how to make it."""
    del town.memory._topics["linkage.operation"]

    with pytest.raises(ConfigurationError, match="renkei topics apply"):
        await operations_of(town)


async def test_garbage_in_the_stream_is_passed_over(town: Town) -> None:
    """One unreadable record does not hide the others."""
    here = await operations_of(town)
    await town.append("operation", "x", b"garbage")
    await here.instruct([word(town, OperationState.PAUSED)])

    await here.catch_up()

    assert here.pause_of(SYSTEM, "resident") is not None
