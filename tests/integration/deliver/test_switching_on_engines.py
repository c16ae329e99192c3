"""A policy that changes while events flow, over a real Kafka into a real PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from bus.broker import Message
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.integration.deliver.test_deliver_on_engines import receipts
from tests.support.changes import MUNICIPALITY
from tests.support.lanes import CATALOG, Town, hosted
from tests.support.policies import Policies, fields_are, text_of, tiled

pytestmark = pytest.mark.service
SYSTEM = "child_allowance"
SOON = 30.0

COLUMNS = {
    "name.full": "name_full",
    "name.kana": "name_kana",
    "household_number": "household_number",
    "relationship": "relationship",
    "address.town": "address_town",
}
"""Items of these tests, and what each is called in the store."""

SETS = [
    {"name.full"},
    {"name.full", "household_number", "address.town"},
    {"name.full", "name.kana", "relationship"},
    {"name.kana", "household_number", "address.town"},
    set(COLUMNS),
]


def text(items: set[str]) -> str:
    """A subscription to exactly these items of residents."""
    return text_of(SYSTEM, fields_are("resident", *sorted(items), "protected"))


@dataclass
class Said:
    """What was published, by (subject, version)."""

    versions: dict[str, int] = field(default_factory=dict)
    values: dict[tuple[str, int], dict[str, str]] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)

    def next(self, number: int) -> tuple[str, int, dict[str, Any]]:
        subject = f"{number:015d}"
        version = self.versions[subject] = self.versions.get(subject, 0) + 1
        mark = f"{subject}-{version}"
        self.values[subject, version] = {
            "name_full": f"full {mark}",
            "name_kana": f"kana {mark}",
            "household_number": f"{version:015d}",
            "relationship": "02",
            "address_town": f"town {mark}",
        }
        items = {
            "name__full": f"full {mark}",
            "name__kana": f"kana {mark}",
            "household_number": f"{version:015d}",
            "address__town": f"town {mark}",
        }
        return subject, version, items


async def publish(town: Town, said: Said, numbers: range) -> None:
    """One more event of each subject, in one go."""
    messages = []
    for number in numbers:
        subject, version, items = said.next(number)
        value = town.value("resident", subject, version, **items)
        key = f"{MUNICIPALITY}/{subject}".encode()
        topic = CATALOG.stream("resident").topic
        messages.append(Message(topic, number % town.partitions, key, value))
    for message, offset in zip(messages, await town.producer.send(messages), strict=True):
        said.offsets[message.partition] = offset + 1


async def test_nothing_is_lost_or_doubled_and_nothing_stays_behind(
    town: Town, database: str
) -> None:
    """A dozen editions while events flow in batches of all sizes: every row is the newest event,
    in what all editions since it show, and receipts tile the log, each under one of the views."""
    options = PostgresOptions(uri=SecretStr(database))
    sinks = {SYSTEM: lambda _view: PostgresSink(options)}
    said, done = Said(), asyncio.Event()
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        editions = [text(SETS[turn % len(SETS)]) for turn in range(12)]
        await policies.apply(SYSTEM, editions[0])
        fingerprints = {policies.feeds(SYSTEM)[0].view.fingerprint}

        async def flow() -> None:
            turn = 0
            while not done.is_set():
                size = (1, 7, 60, 300)[turn % 4]
                await publish(town, said, range(turn, turn + size))
                turn += 1
                await asyncio.sleep(0.05)

        flowing = asyncio.create_task(flow())
        for edition in editions[1:]:
            await asyncio.sleep(0.4)
            await policies.apply(SYSTEM, edition)
            fingerprints.add(policies.feeds(SYSTEM)[0].view.fingerprint)
        await asyncio.sleep(0.5)
        done.set()
        await flowing
        for partition, end in said.offsets.items():
            await bus.at(end, partition=partition, seconds=SOON)
        assert bus.parked() == []

    under: set[str] = set()
    by_event: dict[tuple[int, int], str] = {}
    sent = await receipts(town)
    for partition, end in said.offsets.items():
        mine = [r for r in sent if r["partition"] == partition]
        under |= set(tiled(mine, end))
        for receipt in mine:
            for offset in range(receipt["start"], receipt["end"]):
                by_event[partition, offset] = receipt["view"]
    assert under <= fingerprints
    assert len(under) >= 4

    last = {COLUMNS[item] for item in SETS[(len(editions) - 1) % len(SETS)]}
    with psycopg.connect(database, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM linkage.resident").fetchall()
    assert {row["subject_id"]: row["version"] for row in rows} == said.versions
    full = 0
    for row in rows:
        published = said.values[row["subject_id"], row["version"]]
        for column in COLUMNS.values():
            if column not in last:
                assert row.get(column) is None
            elif row[column] is not None:
                assert row[column] == published[column]
                full += 1
    assert full > 0


async def test_what_was_lost_is_gone_although_nobody_publishes(town: Town, database: str) -> None:
    """Hundreds of rows, not one of which is written again."""
    options = PostgresOptions(uri=SecretStr(database))
    sinks = {SYSTEM: lambda _view: PostgresSink(options)}
    said = Said()
    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, ["resident"])
        await policies.apply(SYSTEM, text(set(COLUMNS)))
        await publish(town, said, range(700))
        for partition, end in said.offsets.items():
            await bus.at(end, partition=partition, seconds=SOON)
        await policies.apply(SYSTEM, text({"name.full"}))

        def stands() -> int:
            with psycopg.connect(database) as connection:
                ((edition,),) = connection.execute(
                    "SELECT edition FROM linkage.renkei_view WHERE stream = 'resident'"
                ).fetchall()
            return int(edition)

        await bus.until(lambda: stands() == 2, SOON)
        with psycopg.connect(database) as connection:
            found = connection.execute(
                "SELECT count(*), count(name_full), count(name_kana), count(address_town),"
                " count(household_number) FROM linkage.resident"
            ).fetchall()

    assert found == [(700, 700, 0, 0, 0)]


async def test_a_system_gains_and_loses_a_stream(town: Town, database: str) -> None:
    """On the real group: other streams' lanes begin anew, and lose nothing by it."""
    options = PostgresOptions(uri=SecretStr(database))
    sinks = {SYSTEM: lambda _view: PostgresSink(options)}
    streams = ["resident", "household"]
    said = Said()

    def count(table: str) -> int:
        with psycopg.connect(database) as connection:
            ((rows,),) = connection.execute(f"SELECT count(*) FROM linkage.{table}").fetchall()
        return int(rows)

    async with hosted(town, sinks) as bus:
        policies = Policies(town, bus, sinks, streams)
        await publish(town, said, range(100))
        await town.publish("household", f"{1:015d}", 1)
        await policies.apply(SYSTEM, text_of(SYSTEM))
        await bus.at(1, "household", seconds=SOON)
        await publish(town, said, range(200))
        await policies.apply(SYSTEM, text_of(SYSTEM, lambda granted: granted.pop("household")))
        await bus.until(lambda: count("household") == 0, SOON)
        await publish(town, said, range(300))
        for partition, end in said.offsets.items():
            await bus.at(end, partition=partition, seconds=SOON)

    with psycopg.connect(database) as connection:
        held = connection.execute("SELECT subject_id, version FROM linkage.resident").fetchall()
    assert dict(held) == said.versions
    sent = await receipts(town)
    for partition, end in said.offsets.items():
        mine = [r for r in sent if (r["stream"], r["partition"]) == ("resident", partition)]
        assert set(tiled(mine, end)) != set()
