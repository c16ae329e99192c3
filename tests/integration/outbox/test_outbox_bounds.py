"""What one core system's memory bomb or flood costs the others: nothing; and what is seen of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import structlog
from psycopg.types.json import Jsonb

from bus.local.endpoints import Endpoints
from bus.observe.metrics import Metrics
from bus.publish.outcome import Outcome
from bus.publish.source_watch import SourceWatch
from connectors.outbox import statements, upkeep
from tests.support import engines as test_engines
from tests.support.outbox import (
    KEEPING,
    QUICK,
    SYSTEM,
    FilePublisher,
    Outbox,
    change,
    until,
)

pytestmark = pytest.mark.service

INSERT = (
    "INSERT INTO renkei.outbox (change_id, change, subjects)"
    " SELECT id, {change}, '{{}}' FROM renkei.new_change_id() AS id"
)


def slip_in(outbox: Outbox, change: str) -> None:
    """A row past the function, as whoever administers the database can write one."""
    with outbox.connect() as session:
        session.execute(INSERT.format(change=change).encode())


async def test_a_memory_bomb_is_refused_where_it_is(outbox: Outbox) -> None:
    """A few stored bytes that unpack to many are measured, not fetched; others go."""
    slip_in(outbox, "jsonb_build_object('note', repeat('x', 16000000))")
    slip_in(outbox, "jsonb_build_object('note', (SELECT jsonb_agg(1e131071)"
            " FROM generate_series(1, 20)))")  # fmt: skip
    stored = outbox.rows("SELECT max(pg_column_size(change)) FROM renkei.outbox")[0][0]
    outbox.publish(change("1", 1))
    limits = {"rows": 10, "bytes": 1_000_000, "most": 1_000_000, "held": []}
    with outbox.connect() as session:
        taken = session.execute(statements.TAKE.encode(), limits).fetchall()
    assert [text is None for _, _, text, *_ in taken] == [True, True, False]

    async with outbox.relaying(outbox.relay(pace=replace(QUICK, change_bytes=1_000_000))):
        await until(lambda: outbox.pending() == 0)

    assert stored < 250_000
    assert outbox.sent() == [("1", 1)]
    refused = await upkeep.refused(SYSTEM, outbox.uri)
    assert [[reason["code"] for reason in one.reasons] for one in refused] == [["too-large"]] * 2


async def test_a_row_that_cannot_be_read_is_found_and_refused(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the database itself fails at one row, fewer are read, until it is that one."""
    breaking = statements.TAKE.replace(
        "octet_length(change::text)) AS size", "octet_length(change::text) / (seq - 40)) AS size"
    )  # not quite a size, and none at all of row 40
    monkeypatch.setattr(statements, "TAKE", breaking)
    outbox.publish(*(change(str(n), 1) for n in range(1, 100)))

    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0, within=30)

    (refused,) = await upkeep.refused(SYSTEM, outbox.uri)
    assert (refused.seq, refused.reasons[0]["code"]) == (40, "unreadable")
    assert len(outbox.sent()) == 98


async def test_batches_are_bounded_by_what_they_are_as_text(outbox: Outbox) -> None:
    """Not by what they are as they are stored."""
    for subject in range(6):
        outbox.publish(change(str(subject), 1, note="x" * 200_000))
    sizes: list[int] = []

    class Counting(FilePublisher):
        async def publish(self, changes: Any) -> Any:
            sizes.append(len(changes))
            return await super().publish(changes)

    relay = outbox.relay(
        publisher=lambda guard: Counting(outbox.topic, guard),
        pace=replace(QUICK, batch_bytes=300_000),
    )
    async with outbox.relaying(relay):
        await until(lambda: outbox.pending() == 0)

    assert sizes == [2, 2, 2]


async def test_a_flood_in_one_outbox_holds_up_no_other(
    outbox: Outbox, engines: Endpoints, tmp_path: Any
) -> None:
    """Relays of one process come in turn: another's change goes between two batches of it."""
    with test_engines.fresh_database(engines.database) as second:
        await upkeep.install(SYSTEM, second)
        other = Outbox(second, tmp_path / "other.jsonl")
        with outbox.connect(autocommit=False) as session:
            for number in range(3_000):
                session.execute(
                    "SELECT renkei.publish_change(%s)",
                    [Jsonb(change(str(number), 1))],
                )
            session.commit()
        turns: list[str] = []

        def publisher(of: Outbox, name: str) -> Any:
            class Taking(FilePublisher):
                async def publish(self, changes: Any) -> list[Outcome]:
                    turns.append(name)
                    if turns.count("flood") == 3 and name == "flood":
                        await asyncio.to_thread(other.publish, change("1", 1))
                    return list(await super().publish(changes))

            return lambda guard: Taking(of.topic, guard)

        pace = replace(QUICK, batch_changes=50).shared_by(2)
        relays = [
            outbox.relay(publisher=publisher(outbox, "flood"), pace=pace),
            other.relay(publisher=publisher(other, "other"), pace=pace),
        ]
        async with outbox.relaying(relays[0]), other.relaying(relays[1]):
            await until(lambda: other.sent() == [("1", 1)])

    assert turns.index("other") - turns.index("flood") < 12
    assert "flood" in turns[turns.index("other") :] or len(turns) < 62


async def test_a_backlog_shows_though_no_relay_leads(outbox: Outbox) -> None:
    """It is read from the outbox; so is that nobody leads, and when somebody does again."""
    outbox.publish(*(change(str(n), 1) for n in range(5)))
    metrics, now = Metrics(), [0.0]
    watch = SourceWatch(
        SYSTEM,
        upkeep.OutboxWatch(SYSTEM, outbox.uri),
        metrics=metrics,
        every=KEEPING.stand_by / 4,
        clock=lambda: now[0],
    )
    looking = asyncio.create_task(watch.run())

    def value(name: str) -> float | None:
        return metrics.value(f"renkei_relay_{name}", system=SYSTEM)

    with structlog.testing.capture_logs() as logs:
        try:
            await until(lambda: value("waiting") == 5)
            assert watch.ill() == []
            now[0] = 11.0
            await until(lambda: value("unled_seconds") == 11)
            assert watch.ill() == ["no relay has led it for 11 s"]
            async with outbox.relaying():
                await until(lambda: value("unled_seconds") == 0 and value("waiting") == 0)
                assert watch.ill() == []
        finally:
            looking.cancel()
            await asyncio.wait({looking})
    assert {"outbox-unled", "outbox-led-again"} <= {log["event"] for log in logs}


async def test_an_outbox_that_is_away_is_said_and_seen_again(outbox: Outbox, tmp_path: Any) -> None:
    """Nobody takes what was seen an hour ago for what is."""
    metrics = Metrics()
    nowhere = upkeep.OutboxWatch(SYSTEM, "postgresql://nobody@127.0.0.1:1/none")
    away = SourceWatch(SYSTEM, nowhere, metrics=metrics)
    looking = asyncio.create_task(away.run())
    try:
        await until(lambda: away.ill() == ["it cannot be looked into (RK-403)"])
    finally:
        looking.cancel()
        await asyncio.wait({looking})

    assert metrics.value("renkei_relay_waiting", system=SYSTEM) is None
