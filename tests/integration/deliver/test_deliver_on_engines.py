"""Delivery over a real Kafka into a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from bus.broker import Message
from bus.deliver.state import LaneStatus
from bus.hosting.host import follow
from bus.model import LaneName, Operation, OperationState
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.changes import MUNICIPALITY
from tests.support.lanes import CATALOG, Hosted, Town, hosted

pytestmark = pytest.mark.service
SYSTEM = "child_allowance"
SOON = 30.0


@pytest.fixture
def sinks(database: str) -> dict[str, Any]:
    """One system with a database of this test's own."""
    options = PostgresOptions(uri=SecretStr(database))
    return {SYSTEM: lambda _view: PostgresSink(options)}


PAUSED = {LaneStatus.PAUSED}


def held(database: str) -> dict[str, int]:
    """Subject -> version, as the store has it."""
    with psycopg.connect(database, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT subject_id, version FROM linkage.resident").fetchall()
    return {row["subject_id"]: row["version"] for row in rows}


async def publish(town: Town, subjects: range, version: int) -> dict[int, int]:
    """One event for each subject; by partition, how many there are now."""
    topic = CATALOG.stream("resident").topic
    messages = [
        Message(
            topic,
            number % town.partitions,
            f"{MUNICIPALITY}/{number:015d}".encode(),
            town.value("resident", f"{number:015d}", version),
        )
        for number in subjects
    ]
    offsets = await town.producer.send(messages)
    counts: dict[int, int] = {}
    for message, offset in zip(messages, offsets, strict=True):
        counts[message.partition] = offset + 1
    return counts


async def receipts(town: Town) -> list[dict[str, Any]]:
    """Everything in the receipt topic."""
    topic = CATALOG.stream("receipt").topic
    consumer = town.broker.consumer()
    await consumer.start()
    places = [(topic, partition) for partition in range(town.partitions)]
    await consumer.assign(places)
    ends = await consumer.end_offsets(places)
    values: list[bytes] = []
    for place in places:
        while await consumer.position(place) < ends[place]:
            for piece in await consumer.fetch(1000, timedelta(seconds=1)):
                values += [value for value in piece.values if value is not None]
    await consumer.close()
    return (await town.reader("receipt").read(values)).to_pylist() if values else []


async def test_everything_arrives_and_goes_on_after_a_restart(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """Loads in several batches, stops, starts, takes what came meanwhile; an unbroken chain."""
    ends = await publish(town, range(1500), 1)
    async with hosted(town, sinks) as bus:
        for partition, end in ends.items():
            await bus.at(end, partition=partition, seconds=SOON)
    ends = await publish(town, range(1500), 2)
    async with hosted(town, sinks) as bus:
        for partition, end in ends.items():
            await bus.at(end, partition=partition, seconds=SOON)
        told = await town.broker.committed(f"renkei.{SYSTEM}")

    assert Counter(held(database).values()) == {2: 1500}
    assert all(offset <= 1500 for offset in told.values())
    for partition in range(town.partitions):
        chain = {r["chain"]: r for r in await receipts(town) if r["partition"] == partition}
        rows = list(chain.values())
        assert sum(row["rows"] for row in rows) == 1500
        assert [r["previous"] for r in rows[1:]] == [r["chain"] for r in rows[:-1]]


async def test_a_refused_row_is_parked_and_tried_again(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """A constraint of the receiving system: found among many, and tried again when it is gone."""
    await publish(town, range(2), 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1, seconds=SOON)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "ALTER TABLE linkage.resident ADD CONSTRAINT odd"
                " CHECK (subject_id <> '000000000000700')"
            )
        ends = await publish(town, range(100, 900), 1)
        await bus.at(ends[0], partition=0, seconds=SOON)
        (event,) = bus.parked()
        assert (event.subject, event.code) == (f"{MUNICIPALITY}/{700:015d}", "RK-202")
        assert f"{700:015d}" not in held(database)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE linkage.resident DROP CONSTRAINT odd")

        await bus.process.control.parked.ask_retry([event])
        bus.process.control.parked.lane(LaneName(SYSTEM, "resident", 0)).on_news()
        await bus.until(lambda: not bus.parked(), SOON)

    assert len(held(database)) == 802


async def test_a_refused_row_does_not_hold_up_a_protection(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """The flagged snapshot overtakes what a constraint keeps out: the old address is gone."""
    subject = f"{0:015d}"

    def row() -> tuple[Any, ...]:
        with psycopg.connect(database) as connection:
            (found,) = connection.execute(
                "SELECT version, protected, address_lot FROM linkage.resident"
            ).fetchall()
        return found

    async with hosted(town, sinks) as bus:
        await town.publish("resident", subject, 1)
        await bus.at(1, seconds=SOON)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "ALTER TABLE linkage.resident ADD CONSTRAINT odd CHECK (version <> 2)"
            )
        await town.publish("resident", subject, 2)
        await bus.at(2, seconds=SOON)
        assert [event.state.value for event in bus.parked()] == ["PARKED"]
        assert row()[2] is not None

        await town.publish("protection", subject, 1)
        await town.publish("resident", subject, 3, protected=True)
        await bus.at(3, seconds=SOON)

        assert bus.parked() == []
        assert row() == (3, True, None)


async def test_a_store_that_cuts_its_lines(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """Connections killed in the middle of a load: nothing is lost, doubled or parked."""

    async def cut() -> None:
        while True:
            await asyncio.sleep(0.3)
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    async with hosted(town, sinks) as bus:
        cutting = asyncio.create_task(cut())
        for version in range(1, 7):
            ends = await publish(town, range(600), version)
            await asyncio.sleep(0.2)
        cutting.cancel()
        for partition, end in ends.items():
            await bus.at(end, partition=partition, seconds=SOON)
        assert bus.parked() == []
        assert {lane.status for lane in bus.lanes} == {LaneStatus.RUNNING}

    assert Counter(held(database).values()) == {6: 600}
    for partition in range(town.partitions):
        chain = {r["chain"]: r for r in await receipts(town) if r["partition"] == partition}
        assert sum(row["rows"] for row in chain.values()) == 1800


async def test_a_second_process_takes_half_and_gives_it_back(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """While events keep coming: no gap, no double, whoever has the lane."""
    async with hosted(town, sinks) as first:
        await first.until(lambda: len(first.lanes) == town.partitions, SOON)
        publishing = asyncio.create_task(_publish_slowly(town))
        async with hosted(town, sinks) as second:
            await second.until(lambda: len(second.lanes) == len(first.lanes) == 1, SOON)
            await asyncio.sleep(0.5)
        ends = await publishing
        await first.until(lambda: len(first.lanes) == town.partitions, SOON)
        for partition, end in ends.items():
            await first.at(end, partition=partition, seconds=SOON)

    assert Counter(held(database).values()) == {20: 100}
    for partition in range(town.partitions):
        chain = {r["chain"]: r for r in await receipts(town) if r["partition"] == partition}
        rows = sorted(chain.values(), key=lambda row: row["start"])
        assert sum(row["rows"] for row in rows) == 1000
        assert [r["previous"] for r in rows[1:]] == [r["chain"] for r in rows[:-1]]


async def test_a_pause_reaches_every_process_and_outlives_them(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """Two processes with a lane each: both stand within seconds, and so does the next; then all
    of it is there once."""

    async def stand(*processes: Hosted) -> None:
        for process in processes:
            await process.until(lambda p=process: {s.status for s in p.lanes} == PAUSED, 10)

    async with hosted(town, sinks) as first, hosted(town, sinks) as second:
        following = [kept for p in (first, second) for kept in follow(p.process)]
        await first.until(lambda: len(first.lanes) == len(second.lanes) == 1, SOON)
        await publish(town, range(400), 1)
        await first.until(lambda: len(held(database)) == 400, SOON)
        await first.process.control.operations.instruct([_word(OperationState.PAUSED)])
        await stand(first, second)
        assert len(first.lanes) == len(second.lanes) == 1
        for kept in following:
            await kept.end()
    ends = await publish(town, range(600), 2)

    async with hosted(town, sinks) as bus:
        await bus.until(lambda: len(bus.lanes) == town.partitions, SOON)
        await stand(bus)
        await asyncio.sleep(1)
        assert Counter(held(database).values()) == {1: 400}
        await bus.resume(SYSTEM)
        for partition, end in ends.items():
            await bus.at(end, partition=partition, seconds=SOON)

    assert Counter(held(database).values()) == {2: 600}
    for partition in range(town.partitions):
        chain = {r["chain"]: r for r in await receipts(town) if r["partition"] == partition}
        rows = sorted(chain.values(), key=lambda row: row["start"])
        assert sum(row["rows"] for row in rows) == 500
        assert [r["previous"] for r in rows[1:]] == [r["chain"] for r in rows[:-1]]


async def test_a_pause_makes_no_address_visible(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """A protection during the pause masks what was published before it, in a system that
    withholds."""
    subjects = range(200)
    async with hosted(town, sinks) as bus:
        await bus.until(lambda: len(bus.lanes) == town.partitions, SOON)
        await bus.pause(SYSTEM)
        await bus.until(lambda: {s.status for s in bus.lanes} == PAUSED, SOON)
        ends = await publish(town, subjects, 1)
        for number in subjects:
            await town.publish("protection", f"{number:015d}", 1, partition=number % 2)
        await bus.resume(SYSTEM)
        for partition, end in ends.items():
            await bus.at(end, partition=partition, seconds=SOON)

    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT protected, address_lot, count(*) FROM linkage.resident GROUP BY 1, 2"
        ).fetchall()
    assert rows == [(True, None, len(subjects))]


async def test_a_lane_that_stopped_goes_on_without_a_restart(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """A right was revoked and is granted again; nobody starts a process."""
    ends = await publish(town, range(10), 1)
    async with hosted(town, sinks) as bus:
        for partition, end in ends.items():
            await bus.at(end, partition=partition, seconds=SOON)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE linkage.resident RENAME COLUMN version TO other")
        ends = await publish(town, range(10), 2)
        await bus.until(lambda: len(bus.process.lanes.stopped()) == town.partitions, SOON)
        await bus.until(lambda: not bus.process.control.operations._unsent, SOON)
        await bus.news()
        assert {o.code for o in bus.process.control.operations.standing()} == {"RK-100"}
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE linkage.resident RENAME COLUMN other TO version")

        await bus.resume(SYSTEM)
        for partition, end in ends.items():
            await bus.at(end, partition=partition, seconds=SOON)
        await bus.until(lambda: not bus.process.control.operations._unsent, SOON)
        await bus.news()
        assert bus.process.control.operations.standing() == []

    assert Counter(held(database).values()) == {2: 10}


async def test_an_event_of_another_schema_is_set_aside_unread(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """Somebody published to the wrong topic: its lane stops at that event, is told to go past it,
    and applies the rest; the same subject's later events wait."""
    foreign, key = 77, f"{77:015d}"
    partition = foreign % town.partitions
    await publish(town, range(60), 1)
    offset = await town.append(
        "resident", key, town.value("household", key, 1), partition=partition
    )
    ends = await publish(town, range(100), 2)
    lane = LaneName(SYSTEM, "resident", partition)
    async with hosted(town, sinks) as bus:
        await bus.until(bus.process.lanes.stopped, SOON)
        await bus.until(lambda: not bus.process.control.operations._unsent, SOON)
        await bus.news()
        (said,) = bus.process.control.operations.standing()
        assert (said.partition, said.code, said.offset) == (partition, "RK-205", offset)

        topic = CATALOG.stream("resident").topic
        event = await bus.process.control.parked.refer_to(lane, topic, offset, "T-1")
        await bus.process.control.parked.record([event])
        await bus.resume(SYSTEM)
        for number, end in ends.items():
            await bus.at(end, partition=number, seconds=SOON)
        found = held(database)
        assert set(found.values()) == {2}
        assert set(found) == {f"{n:015d}" for n in range(100) if n != foreign}
        assert [(e.state.value, e.code) for e in bus.parked()] == [
            ("PARKED", "RK-210"),
            ("WAITING", "RK-208"),
        ]

        await bus.process.control.parked.dismiss([event], "T-1")
        bus.process.control.parked.lane(lane).on_news()
        await bus.until(lambda: not bus.parked(), SOON)

    assert held(database)[key] == 2


def _word(state: OperationState) -> Operation:
    now = datetime.now(UTC)
    return Operation(system=SYSTEM, stream="resident", state=state, at=now, operator="ops")


async def _publish_slowly(town: Town) -> dict[int, int]:
    ends: dict[int, int] = {}
    for version in range(1, 21):
        ends = await publish(town, range(100), version)
        await asyncio.sleep(0.15)
    return ends


async def test_an_altered_table_stops_the_lane_alone(
    town: Town, sinks: dict[str, Any], database: str
) -> None:
    """A column dropped under a running sink: the position stays, and nothing is parked."""
    ends = await publish(town, range(10), 1)
    async with hosted(town, sinks, streams=("resident", "household")) as bus:
        await bus.at(ends[0], seconds=SOON)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER TABLE linkage.resident DROP COLUMN version CASCADE")
        await publish(town, range(2), 2)
        await bus.until(bus.process.lanes.stopped, SOON)
        await town.publish("household", "000000000000001", 1)
        await bus.at(1, "household", seconds=SOON)

        assert {lane.code for lane in bus.process.lanes.stopped()} <= {"RK-100"}
        assert bus.parked() == []
