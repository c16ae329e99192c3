"""個人番号 in an outbox: gone once it was sent, sealed once it was refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from importlib import resources
from typing import Any

import pytest
import structlog

from bus.observe.metrics import Metrics
from bus.publish.held_changes import KeyGate
from bus.publish.source_reports import RelayReport
from bus.publish.source_watch import SourceWatch
from bus.sealing import Seals
from connectors.outbox import upkeep
from connectors.outbox.concealing import Concealer
from tests.support.keys import Pocket
from tests.support.outbox import KEEPING, SYSTEM, Outbox, change, until

pytestmark = pytest.mark.service

NUMBER = "123456789018"
SEALED, KNOWN = {"individual_number"}, {"individual_number", "resident"}


def assigned(subject: str, version: int = 1, **body: Any) -> dict[str, Any]:
    """A change: somebody has a number."""
    made = change(subject, version, number=NUMBER, **body)
    made["records"][0]["stream"] = "individual_number"
    return made


def held(outbox: Outbox) -> str:
    """All that stands in the tables, as text."""
    return repr(outbox.rows("SELECT o::text FROM renkei.outbox o")) + repr(
        outbox.rows("SELECT r::text FROM renkei.outbox_refused r")
    )


def concealer(*keys: str) -> Concealer:
    """With these keys; none: the site has none."""
    return Concealer(Seals(Pocket(*keys)) if keys else None, SEALED, KNOWN)


async def test_what_was_sent_is_emptied_as_it_is_marked(outbox: Outbox) -> None:
    """The journal stays: that it was sent, when, and of whom; others keep their content."""
    outbox.publish(assigned("1"), change("2", 1))
    assert NUMBER in held(outbox)

    async with outbox.relaying(outbox.relay(concealer=concealer("k1"))):
        await until(lambda: outbox.pending() == 0)

    assert NUMBER not in held(outbox)
    assert outbox.rows(
        "SELECT subjects[1], change ? 'records', change ->> 'source', sent_at IS NOT NULL"
        " FROM renkei.outbox ORDER BY seq"
    ) == [("131130/1", False, SYSTEM, True), ("131130/2", True, SYSTEM, True)]
    assert outbox.sent() == [("1", 1), ("2", 1)]


async def test_what_was_refused_is_sealed_and_can_be_put_back(outbox: Outbox) -> None:
    """Wherever the number stood, whom it stood for included; put back, it is read and sent."""
    outbox.publish(
        assigned("1", 2), change("2", 1, refuse=True, note=f"no. {NUMBER}"),
        change(NUMBER, 1, refuse=True), change("3", 1, refuse=True),
    )  # fmt: skip
    async with outbox.relaying(outbox.relay(concealer=concealer("k1"))):
        await until(lambda: outbox.pending() == 0)
        refused = await upkeep.refused(SYSTEM, outbox.uri)
        assert NUMBER not in held(outbox) + repr(refused)
        assert [one.kept for one in refused] == ["sealed", "sealed", "sealed", "plain"]
        assert refused[2].subjects == ("131130/hidden",)
        assert [one.reasons[0]["code"] for one in refused] == ["version-gap"] + 3 * ["code-list"]

        outbox.publish(assigned("1", 1))
        await until(lambda: outbox.pending() == 0)
        assert await upkeep.retry(SYSTEM, outbox.uri, [1, 2]) == [1, 2]
        assert NUMBER not in held(outbox)
        await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("1", 1), ("1", 2)]
    assert [one.seq for one in await upkeep.refused(SYSTEM, outbox.uri)] == [2, 3, 4]
    assert NUMBER not in held(outbox)


async def test_without_its_key_it_stays_sealed_and_stops_nobody(outbox: Outbox) -> None:
    """Put back under keys that do not open it, it is refused anew by that; others go."""
    outbox.publish(assigned("1", 2))
    async with outbox.relaying(outbox.relay(concealer=concealer("k1"))):
        await until(lambda: outbox.pending() == 0)
    before = outbox.rows("SELECT sealed FROM renkei.outbox_refused")
    await upkeep.retry(SYSTEM, outbox.uri, None)
    outbox.publish(change("2", 1))

    async with outbox.relaying(outbox.relay(concealer=concealer("k2"))):
        await until(lambda: outbox.pending() == 0)

    (refused,) = await upkeep.refused(SYSTEM, outbox.uri)
    assert (refused.kept, refused.reasons[0]["code"]) == ("sealed", "RK-504")
    assert outbox.rows("SELECT sealed FROM renkei.outbox_refused") == before
    assert outbox.sent() == [("2", 1)]


async def test_where_there_are_no_keys_it_is_taken_out_and_said(outbox: Outbox) -> None:
    """And it is not put back: what would be sent is not what was handed in."""
    outbox.publish(assigned("1", 2))
    async with outbox.relaying(outbox.relay(concealer=concealer())):
        await until(lambda: outbox.pending() == 0)

    (refused,) = await upkeep.refused(SYSTEM, outbox.uri)
    assert (refused.kept, refused.reasons[0]["code"]) == ("lacking", "taken-out")
    assert NUMBER not in held(outbox)
    assert await upkeep.retry(SYSTEM, outbox.uri, None) == []
    assert await upkeep.drop(SYSTEM, outbox.uri, [refused.seq]) == [refused.seq]


async def test_without_keys_numbers_wait_and_others_go(outbox: Outbox) -> None:
    """Nothing is refused, nobody else is held up, and it is said once, loud; then all go."""
    outbox.publish(assigned("1"), change("2", 1), change("1", 1), change("3", 1))
    pocket, metrics = Pocket(), Metrics()
    report = RelayReport(SYSTEM, metrics)
    relay = outbox.relay(gate=KeyGate(Seals(pocket), SEALED), report=report)

    with structlog.testing.capture_logs() as logs:
        async with outbox.relaying(relay):
            await until(lambda: len(outbox.sent()) == 2)
            outbox.publish(change("4", 1), assigned("1", 2))
            await until(lambda: len(outbox.sent()) == 3)
            await until(lambda: metrics.value("renkei_relay_held", system=SYSTEM) == 3)
            assert report.ill() == ["changes wait (RK-105)"]
            await until(lambda: outbox.pending() == 3)  # what is sent is settled a moment later
            pocket.hold("k1")
            await until(lambda: outbox.pending() == 0)
            assert report.ill() == []

    assert outbox.sent() == [
        ("2", 1), ("3", 1), ("4", 1), ("1", 1), ("1", 1), ("1", 2),
    ]  # fmt: skip
    assert await upkeep.refused(SYSTEM, outbox.uri) == []
    events = [log["event"] for log in logs]
    assert (events.count("changes-held"), events.count("changes-go-on")) == (1, 1)
    assert "task-ended" not in events
    assert metrics.value("renkei_relay_held", system=SYSTEM) == 0


async def test_a_refusal_that_cannot_be_sealed_waits_as_well(outbox: Outbox) -> None:
    """Where keys should be there and are not in order, the relay goes on, and nothing is lost."""
    outbox.publish(change("1", 1, refuse=True, note=f"no. {NUMBER}"), change("2", 1))
    pocket = Pocket()
    keys = Seals(pocket)
    relay = outbox.relay(gate=KeyGate(keys, SEALED), concealer=Concealer(keys, SEALED, KNOWN))

    async with outbox.relaying(relay):
        await until(lambda: outbox.sent() == [("2", 1)])
        assert outbox.pending() == 1
        pocket.hold("k1")
        await until(lambda: outbox.pending() == 0)

    (refused,) = await upkeep.refused(SYSTEM, outbox.uri)
    assert refused.kept == "sealed"
    assert NUMBER not in held(outbox)


async def test_what_was_refused_before_anybody_looked_is_sealed_too(
    database: str, tmp_path: Any
) -> None:
    """By the first relay that leads an outbox that was brought up to date."""
    outbox = Outbox(database, tmp_path / "topic.jsonl")
    former = resources.files("connectors.outbox") / "former" / "1.sql"
    with outbox.connect() as session:
        session.execute(former.read_text("utf-8").encode())
        for seq, one in enumerate([assigned("1"), change("2", 1)] * 30):
            session.execute(
                "INSERT INTO renkei.outbox_refused (seq, change_id, change, subjects, created_at,"
                " reasons) VALUES (%s, gen_random_uuid(), %s, '{}', now(), '[]')",
                [seq, json.dumps(one)],
            )
    await upkeep.install(SYSTEM, database)

    kept = "SELECT kept, count(*) FROM renkei.outbox_refused GROUP BY 1 ORDER BY 1"
    async with outbox.relaying(outbox.relay(concealer=concealer("k1"))):
        await until(lambda: outbox.rows(kept) == [("plain", 30), ("sealed", 30)])

    assert NUMBER not in held(outbox)


async def test_it_is_said_before_refused_changes_go(outbox: Outbox) -> None:
    """A week before, while somebody can still settle them."""
    outbox.publish(change("1", 1, refuse=True))
    async with outbox.relaying(outbox.relay(keeping=replace(KEEPING, refused=timedelta(days=30)))):
        await until(lambda: outbox.pending() == 0)
    watch = SourceWatch(
        SYSTEM, upkeep.OutboxWatch(SYSTEM, outbox.uri), refused_keep=timedelta(days=30)
    )

    with structlog.testing.capture_logs() as logs:
        watch.saw(await upkeep.status(SYSTEM, outbox.uri))
        assert [log["event"] for log in logs] == []
        with outbox.connect() as session:
            session.execute(
                "UPDATE renkei.outbox_refused SET refused_at = refused_at - interval '25 days'"
            )
        for _ in range(2):
            watch.saw(await upkeep.status(SYSTEM, outbox.uri))

    assert [log["event"] for log in logs] == ["outbox-refused-go-soon"]
