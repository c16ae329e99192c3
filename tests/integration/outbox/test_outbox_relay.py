"""The relay: in order, once, whatever dies, and whoever else runs."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog

from bus.connect.lease import Lease, LeaseStore
from bus.errors import (
    BrokerUnavailable,
    ConfigurationError,
    EventTooLarge,
    LoginRefused,
    RegistryUnavailable,
)
from bus.failpoints import Point
from bus.model import Change
from bus.observe.metrics import Metrics
from bus.publish.admission import Bounds
from bus.publish.outcome import Outcome
from bus.publish.sender import MOST_BROKEN
from connectors.outbox import upkeep
from connectors.outbox.installing import InstallPlan
from connectors.outbox.source import OutboxSource
from tests.support import waiting
from tests.support.outbox import (
    KEEPING,
    QUICK,
    SYSTEM,
    FilePublisher,
    Outbox,
    change,
    change_of,
    hand_over,
    until,
)

pytestmark = pytest.mark.service


@asynccontextmanager
async def another_process(
    outbox: Outbox, *, pause: float = 0.0, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A relay in a process of its own, gone after the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.outbox", SYSTEM, outbox.uri, str(outbox.topic),
        str(pause), env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()


async def test_sends_in_order_and_marks(outbox: Outbox) -> None:
    """What was committed before the relay came is sent in order of commit."""
    outbox.publish(change("1", 1), change("2", 1), change("1", 2), change_of([("1", 3), ("2", 2)]))

    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("1", 1), ("2", 1), ("1", 2), ("1", 3), ("2", 2)]


async def test_is_woken_by_a_commit(outbox: Outbox) -> None:
    """A change does not wait for the poll."""
    slow = outbox.relay(pace=replace(QUICK, poll=timedelta(minutes=5)))
    async with outbox.relaying(slow):
        outbox.publish(change("1", 1))
        await until(lambda: outbox.pending() == 0)
        took = []
        with outbox.connect() as session:
            for version in range(2, 12):
                began = time.monotonic()
                await asyncio.to_thread(hand_over, session, change("1", version))
                await waiting.until(lambda n=version: len(outbox.sent()) >= n, 60)
                took.append(time.monotonic() - began)

    assert statistics.median(took) < 0.1


async def test_finds_a_commit_whose_notification_was_lost(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poll stands behind the notifications."""
    waits, wait = asyncio.Event(), OutboxSource.wait

    async def told(self: OutboxSource, most: timedelta) -> bool:
        waits.set()
        return await wait(self, most)

    monkeypatch.setattr(OutboxSource, "wait", told)
    async with outbox.relaying():
        await waits.wait()  # it has looked, and found nothing
        with outbox.connect() as session:  # a row that came without any NOTIFY
            session.execute(
                """
                INSERT INTO renkei.outbox (change_id, change, subjects)
                SELECT id, %s::jsonb || jsonb_build_object('change_id', id::text), '{}'
                FROM renkei.new_change_id() AS id
                """,
                [json.dumps(change("1", 1))],
            )
        await until(lambda: outbox.sent() == [("1", 1)])


async def test_picks_up_a_lower_number_that_commits_later(outbox: Outbox) -> None:
    """A long transaction is not passed over when others overtake it."""
    async with outbox.relaying():
        slow = outbox.connect(autocommit=False)
        hand_over(slow, change("slow", 1))
        outbox.publish(change("quick", 1), change("quick", 2))
        await until(lambda: len(outbox.sent()) == 2)

        slow.commit()
        slow.close()
        await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("quick", 1), ("quick", 2), ("slow", 1)]


async def test_a_refused_change_does_not_stop_the_others(outbox: Outbox) -> None:
    """It is set aside with its reason; what comes behind it says so; strangers flow."""
    outbox.publish(
        change("1", 1), change("1", 2, refuse=True), change("2", 1), change("1", 3), change("2", 2)
    )

    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)
        outbox.publish(change("1", 4))
        await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("1", 1), ("2", 1), ("2", 2)]
    bad, later, latest = await upkeep.refused(SYSTEM, outbox.uri)
    assert [reason["code"] for reason in bad.reasons] == ["code-list"]
    assert bad.behind is None
    assert [reason["code"] for reason in later.reasons] == ["version-gap"]
    assert (later.behind, latest.behind) == (bad.seq, later.seq)
    assert later.subjects == ("131130/1",)


async def test_a_refused_change_goes_back_to_its_old_place(outbox: Outbox) -> None:
    """After correction all are put back, and arrive in the order they were made in."""
    outbox.publish(change("1", 1, refuse=True), change("1", 2))
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)
        outbox.publish(change("2", 1))
        with outbox.connect() as session:
            session.execute(
                "UPDATE renkei.outbox_refused SET change = change #- '{records,0,body,refuse}'"
            )

        put_back = await upkeep.retry(SYSTEM, outbox.uri, None)
        await until(lambda: outbox.pending() == 0)

    assert len(put_back) == 2
    assert [one for one in outbox.sent() if one[0] == "1"] == [("1", 1), ("1", 2)]
    assert await upkeep.refused(SYSTEM, outbox.uri) == []


async def test_a_refused_change_that_came_again_is_not_put_back(outbox: Outbox) -> None:
    """Handed in anew under its own id, the old one stays aside until it is dropped."""
    (name,) = outbox.publish(change("1", 1, refuse=True))
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)
        outbox.publish(change("1", 1) | {"change_id": name})
        await until(lambda: outbox.pending() == 0)

    assert await upkeep.retry(SYSTEM, outbox.uri, None) == []
    (old,) = await upkeep.refused(SYSTEM, outbox.uri)
    assert await upkeep.drop(SYSTEM, outbox.uri, [old.seq, 999]) == [old.seq]
    assert await upkeep.refused(SYSTEM, outbox.uri) == []


async def test_what_is_not_of_this_outbox_is_refused(outbox: Outbox) -> None:
    """Another system's word and another municipality's are kept with the reason; others flow."""
    bounds = Bounds(frozenset({SYSTEM}), frozenset({"131130"}))
    outbox.publish(
        change("1", 1),
        change("2", 1) | {"source": "individual_resident_tax"},
        change("3", 1) | {"municipality_code": "131016"},
        change("1", 2),
    )

    async with outbox.relaying(outbox.relay(admit=bounds)):
        await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("1", 1), ("1", 2)]
    refused = await upkeep.refused(SYSTEM, outbox.uri)
    assert [[reason["code"] for reason in one.reasons] for one in refused] == [
        ["source"],
        ["municipality"],
    ]


async def test_garbage_is_refused_without_its_values(outbox: Outbox) -> None:
    """Whatever a core system writes, logs and reasons repeat none of it."""
    outbox.publish(
        change("1", 1) | {"records": "山田太郎"},
        change("1", 1) | {"山田太郎": 1},
        change("1", 1) | {"processed_at": "山田太郎"},
        change("1", 1) | {"records": [{"山田太郎": {"山田": "太郎"}}]},
        change("1", 1) | {"records": []},
        {},
        change("2", 1),
    )

    with structlog.testing.capture_logs() as logs:
        async with outbox.relaying():
            await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("2", 1)]
    refused = await upkeep.refused(SYSTEM, outbox.uri)
    assert len(refused) == 6
    assert "山田" not in repr(refused) + repr(logs)
    assert {log["event"] for log in logs} >= {"relay-leads", "changes-refused"}


class OneTooLarge(FilePublisher):
    """Fails whole batches in which subject 3 is, as a producer does for its limit."""

    async def publish(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        if any(one.records[0].subject_id == "3" for one in changes):
            raise EventTooLarge("an event is above the broker's limit")
        return await super().publish(changes)


async def test_an_error_that_names_no_change_is_narrowed_down(outbox: Outbox) -> None:
    """One change that no broker takes is found in the batch, and only it is set aside."""
    outbox.publish(*(change(str(n), 1) for n in range(7)))

    relay = outbox.relay(publisher=lambda guard: OneTooLarge(outbox.topic, guard))
    async with outbox.relaying(relay):
        await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [(str(n), 1) for n in range(7) if n != 3]
    (refused,) = await upkeep.refused(SYSTEM, outbox.uri)
    assert [reason["code"] for reason in refused.reasons] == [EventTooLarge.code]


class Breaking(FilePublisher):
    """Meets a defect in whole batches in which a subject of ``breaks`` is."""

    breaks: Callable[[str], bool] = staticmethod(lambda subject: subject == "3")

    async def publish(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        if any(self.breaks(one.records[0].subject_id) for one in changes):
            raise TypeError("unhashable type: 山田")
        return await super().publish(changes)


async def test_a_change_that_breaks_its_sending_ends_no_relay(outbox: Outbox) -> None:
    """It is found, refused by RK-000 and counted; the log says where, and nothing of it."""
    outbox.publish(*(change(str(n), 1) for n in range(7)))
    metrics = Metrics()
    relay = outbox.relay(publisher=lambda guard: Breaking(outbox.topic, guard), metrics=metrics)

    with structlog.testing.capture_logs() as logs:
        async with outbox.relaying(relay):
            await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [(str(n), 1) for n in range(7) if n != 3]
    (refused,) = await upkeep.refused(SYSTEM, outbox.uri)
    assert [reason["code"] for reason in refused.reasons] == ["RK-000"]
    assert metrics.value("renkei_publish_refused_total", code="RK-000") == 1
    assert "山田" not in repr(refused)
    assert "change-breaks-a-check" in {log["event"] for log in logs}


async def test_a_defect_that_is_no_changes_refuses_nothing_for_long(outbox: Outbox) -> None:
    """Where one change after another meets it, they wait, it is told, and goes on when mended."""
    outbox.publish(*(change(str(n), 1) for n in range(20)))
    broken = [True]

    class Broken(Breaking):
        breaks = staticmethod(lambda _: broken[0])

    with structlog.testing.capture_logs() as logs:
        relay = outbox.relay(publisher=lambda guard: Broken(outbox.topic, guard))
        async with outbox.relaying(relay):
            await until(lambda: any(log["event"] == "task-ended" for log in logs))
            broken[0] = False
            await until(lambda: outbox.pending() == 0)

    assert len(outbox.sent()) >= 20 - 2 * MOST_BROKEN
    assert len(await upkeep.refused(SYSTEM, outbox.uri)) + len(outbox.sent()) == 20


@pytest.mark.parametrize("point", [p for p in Point if p.value.startswith("relay-")])
@pytest.mark.parametrize("count", [1, 2])
async def test_killed_between_two_steps_it_loses_and_doubles_nothing(
    outbox: Outbox, point: Point, count: int
) -> None:
    """SIGKILL wherever something has just happened; the next relay goes on from there."""
    outbox.publish(*(change(str(n % 3), 1 + n // 3) for n in range(9)))
    async with another_process(outbox, RENKEI_KILL_AT=f"{point}:{count}") as doomed:
        if count == 2:
            await until(lambda: len(outbox.sent()) >= 9)
            outbox.publish(change("0", 4), change_of([("1", 4), ("2", 4)]))
        assert await asyncio.wait_for(doomed.wait(), 20) == -signal.SIGKILL

    expected = 9 + (3 if count == 2 else 0)
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)

    assert len(outbox.sent()) == len(set(outbox.sent())) == expected
    for subject in "012":
        versions = [version for name, version in outbox.sent() if name == subject]
        assert versions == sorted(versions)


async def test_two_relays_take_turns(outbox: Outbox) -> None:
    """One leads; when it stops by itself the other follows without waiting for the lease."""
    patient = replace(KEEPING, lease=timedelta(minutes=5))
    first = outbox.relay(keeping=patient)
    async with outbox.relaying(first):
        outbox.publish(change("1", 1))
        await until(lambda: outbox.pending() == 0)
        async with outbox.relaying(outbox.relay(keeping=patient)):
            outbox.publish(*(change("1", version) for version in range(2, 50)))
            await until(lambda: outbox.pending() == 0)
            leader = outbox.rows("SELECT holder FROM renkei.relay_lease")
            first.stop()
            await until(lambda: outbox.rows("SELECT holder FROM renkei.relay_lease") != leader)
            outbox.publish(change("1", 50))
            await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("1", version) for version in range(1, 51)]
    assert outbox.rows("SELECT holder FROM renkei.relay_lease") == [(None,)]


async def test_a_killed_leader_is_followed_when_its_lease_ran_out(outbox: Outbox) -> None:
    """Within seconds, and not before."""
    outbox.publish(change("1", 1))
    async with another_process(outbox) as leader:
        await until(lambda: outbox.pending() == 0)
        leader.kill()
        await leader.wait()
        killed_at = time.monotonic()
        left = (await upkeep.status(SYSTEM, outbox.uri)).lease_left_s
        outbox.publish(change("1", 2))
        async with outbox.relaying():
            await until(lambda: outbox.pending() == 0)
    took = time.monotonic() - killed_at

    assert left is not None
    assert left - 0.1 < took < left + 2


async def test_a_paused_leader_sends_nothing_after_its_lease(outbox: Outbox) -> None:
    """Stopped in the middle of a batch and woken when another leads, it finds the guard shut."""
    async with another_process(outbox, pause=1.0) as sleeper:
        await until(lambda: outbox.rows("SELECT holder FROM renkei.relay_lease") != [(None,)])
        (asleep,) = outbox.rows("SELECT holder FROM renkei.relay_lease")
        outbox.publish(change("1", 1), change("2", 1))
        await asyncio.sleep(0.5)
        sleeper.send_signal(signal.SIGSTOP)
        assert outbox.sent() == []

        async with outbox.relaying():
            await until(lambda: outbox.pending() == 0)
            outbox.publish(change("1", 2))
            await until(lambda: outbox.pending() == 0)
            sleeper.send_signal(signal.SIGCONT)
            await asyncio.sleep(1.5)
            assert outbox.rows("SELECT holder FROM renkei.relay_lease") != [asleep]

        outbox.publish(change("2", 2))  # and when it is its turn again, it knows what came
        await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("1", 1), ("2", 1), ("1", 2), ("2", 2)]


async def test_waits_for_a_broker_and_keeps_the_lease(outbox: Outbox) -> None:
    """What answers nothing is asked again; the rows stay, and nobody else need take over."""
    away = [
        BrokerUnavailable("nothing answers"), RegistryUnavailable("nothing answers"),
        BrokerUnavailable("nothing answers"), BrokerUnavailable("nothing answers"),
    ]  # fmt: skip
    outbox.publish(change("1", 1))

    with structlog.testing.capture_logs() as logs:
        async with outbox.relaying(outbox.relay(publisher=outbox.publisher(failing=away))):
            await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("1", 1)]
    events = [log["event"] for log in logs]
    assert events.count("relay-waits") == 4
    assert events.count("relay-leads") == 1


async def test_stops_while_the_broker_is_away(outbox: Outbox) -> None:
    """Asked to stop, it does not wait for a broker; the change stays for the next one."""
    away = [BrokerUnavailable("nothing answers") for _ in range(1_000)]
    outbox.publish(change("1", 1))
    slow = replace(QUICK, retry_first=timedelta(minutes=1), retry_most=timedelta(minutes=1))

    relay = outbox.relay(publisher=outbox.publisher(failing=away), pace=slow)
    async with outbox.relaying(relay):
        await until(lambda: len(away) < 1_000)
        began = time.monotonic()

    assert time.monotonic() - began < 1
    assert outbox.pending() == 1


async def test_finishes_the_batch_in_hand(outbox: Outbox) -> None:
    """A stop in the middle of a batch lets it be sent and marked."""
    in_hand, may_go = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        in_hand.set()
        await may_go.wait()

    outbox.publish(change("1", 1))
    relay = outbox.relay(publisher=outbox.publisher(before_append=slow))
    async with outbox.relaying(relay):
        await in_hand.wait()
        relay.stop()
        asyncio.get_running_loop().call_later(0.5, may_go.set)  # the stop is there before the end

    assert outbox.sent() == [("1", 1)]
    assert outbox.pending() == 0


async def test_gives_up_a_batch_that_does_not_end(outbox: Outbox) -> None:
    """A stopping relay waits so long and no longer; the change stays."""
    in_hand = asyncio.Event()

    async def forever() -> None:
        in_hand.set()
        await asyncio.Event().wait()

    outbox.publish(change("1", 1))
    hurried = replace(QUICK, stop_within=timedelta(milliseconds=300))
    relay = outbox.relay(publisher=outbox.publisher(before_append=forever), pace=hurried)
    async with outbox.relaying(relay):
        await in_hand.wait()

    assert outbox.pending() == 1


async def test_goes_on_when_its_sessions_were_ended(outbox: Outbox) -> None:
    """A database that restarts is a pause."""
    async with outbox.relaying():
        outbox.publish(change("1", 1))
        await until(lambda: outbox.pending() == 0)
        for version in (2, 3, 4):
            ended = outbox.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'renkei relay%'"
                " AND datname = current_database()"
            )
            assert len(ended) >= 1
            outbox.publish(change("1", version))
            await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("1", version) for version in (1, 2, 3, 4)]


async def test_prunes_what_was_sent_long_ago(outbox: Outbox) -> None:
    """The table stays small; what is pending is never old enough."""
    outbox.publish(*(change("1", version) for version in range(1, 26)))
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)
    outbox.publish(change("1", 26))
    with outbox.connect() as session:
        session.execute("UPDATE renkei.outbox SET created_at = created_at - interval '30 days'")
        session.execute("UPDATE renkei.outbox SET sent_at = sent_at - interval '8 days'"
                        " WHERE seq <= 20")  # fmt: skip

    pruning = outbox.relay(keeping=replace(KEEPING, prune_rows=7))
    async with outbox.relaying(pruning):
        await until(lambda: outbox.rows("SELECT count(*) FROM renkei.outbox") == [(6,)])

    assert outbox.sent()[-1] == ("1", 26)


async def test_prunes_what_was_refused_long_ago_only_if_it_may(outbox: Outbox) -> None:
    """Without the setting a refused change stays until somebody settles it."""
    outbox.publish(change("1", 1, refuse=True), change("2", 1, refuse=True))
    count = "SELECT count(*) FROM renkei.outbox_refused"
    async with outbox.relaying():
        await until(lambda: outbox.rows(count) == [(2,)])
    with outbox.connect() as session:
        long_ago = "refused_at = refused_at - interval '99 days'"
        session.execute(f"UPDATE renkei.outbox_refused SET {long_ago} WHERE seq = 1")

    outbox.publish(change("3", 1))
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)
    assert outbox.rows(count) == [(2,)]
    pruning = outbox.relay(keeping=replace(KEEPING, refused=timedelta(days=90)))
    async with outbox.relaying(pruning):
        await until(lambda: outbox.rows(count) == [(1,)])

    assert outbox.rows("SELECT seq FROM renkei.outbox_refused") == [(2,)]


async def test_takes_batches_that_fit_into_memory(outbox: Outbox) -> None:
    """Large changes go in small batches, and none is left to the poll."""
    big = "x" * 20_000
    outbox.publish(*(change(str(n), 1, note=[f"{n}{i}{big}" for i in range(3)]) for n in range(9)))

    small = replace(QUICK, batch_bytes=2_000, poll=timedelta(minutes=5))
    async with outbox.relaying(outbox.relay(pace=small)):
        await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [(str(n), 1) for n in range(9)]


async def test_says_that_the_login_is_refused(outbox: Outbox) -> None:
    """A wrong password is for somebody to mend, not to try again; it is not repeated."""
    uri = outbox.uri.replace("renkei:", "nobody:wrong-secret-", 1)
    with pytest.raises(LoginRefused, match="refuses the login") as caught:
        await asyncio.wait_for(Outbox(uri, outbox.topic).relay().run(), 10)

    assert "secret" not in str(caught.value)


async def test_says_that_there_is_no_outbox(database: str, outbox: Outbox) -> None:
    """A database without the schema names the command that makes it."""
    with outbox.connect() as session:
        session.execute("DROP SCHEMA renkei CASCADE")

    with pytest.raises(ConfigurationError, match="renkei relay install"):
        await asyncio.wait_for(outbox.relay().run(), 10)


async def test_a_relay_role_has_what_a_relay_needs(outbox: Outbox, unique: Any) -> None:
    """With the grants it sends, refuses, retries and prunes; without them it says so."""
    role = unique("relay")
    outbox.publish(change("1", 1), change("2", 1, refuse=True))
    with outbox.connect() as owner:
        owner.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'dev'")
        own = outbox.uri
        try:
            limited = replace_user(own, role)
            with pytest.raises(ConfigurationError, match="--relay ROLE"):
                await asyncio.wait_for(Outbox(limited, outbox.topic).relay().run(), 10)

            await upkeep.install(SYSTEM, own, InstallPlan(relay=(role,)))
            async with outbox.relaying(Outbox(limited, outbox.topic).relay()):
                await until(lambda: outbox.pending() == 0)
                assert len(await upkeep.retry(SYSTEM, limited, None)) == 1
                await until(lambda: outbox.pending() == 0)
            assert (await upkeep.status(SYSTEM, limited)).backlog.refused == 1
        finally:
            owner.execute(f'DROP OWNED BY "{role}"')
            owner.execute(f'DROP ROLE "{role}"')


def replace_user(uri: str, role: str) -> str:
    """The same database for another login with the password ``dev``."""
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{role}:dev@{rest.rpartition('@')[2]}"


async def test_many_clerks_at_once_keep_each_persons_order(outbox: Outbox) -> None:
    """Eight sessions change five persons while the relay sends: no gap, no repeat, no loss."""
    with outbox.connect() as session:
        session.execute("CREATE TABLE person (id text PRIMARY KEY, version int NOT NULL)")
        session.execute("INSERT INTO person SELECT n::text, 0 FROM generate_series(1, 5) AS n")

    def clerk(seed: int) -> None:
        chance = random.Random(seed)
        with outbox.connect(autocommit=False) as session:
            for _ in range(25):
                chosen = sorted(chance.sample(["1", "2", "3", "4", "5"], chance.randint(1, 3)))
                versions = session.execute(
                    "WITH locked AS"
                    " (SELECT id FROM person WHERE id = ANY(%s) ORDER BY id FOR UPDATE)"
                    " UPDATE person AS p SET version = version + 1 FROM locked"
                    " WHERE p.id = locked.id RETURNING p.id, version",
                    [chosen],
                ).fetchall()
                hand_over(session, change_of(versions))
                if chance.random() < 0.2:
                    session.rollback()
                else:
                    session.commit()

    async with outbox.relaying():
        await asyncio.gather(*(asyncio.to_thread(clerk, seed) for seed in range(8)))
        await until(lambda: outbox.pending() == 0)

    assert await upkeep.refused(SYSTEM, outbox.uri) == []
    newest = dict(outbox.rows("SELECT id, version FROM person"))
    for person, version in newest.items():
        sent = [number for name, number in outbox.sent() if name == person]
        assert sent == list(range(1, version + 1))


async def test_starting_and_stopping_at_any_moment_is_clean(outbox: Outbox) -> None:
    """Whenever it is stopped, a relay ends at once, and lets go of the lease."""
    outbox.publish(*(change("1", version) for version in range(1, 31)))
    for wait_ms in (0, 1, 5, 10, 20, 30, 50, 80):
        async with outbox.relaying(outbox.relay(pace=replace(QUICK, batch_changes=3))):
            await asyncio.sleep(wait_ms / 1_000)
        assert outbox.rows("SELECT holder FROM renkei.relay_lease") == [(None,)]
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)

    assert outbox.sent() == [("1", version) for version in range(1, 31)]


async def test_bulk_is_fast(outbox: Outbox) -> None:
    """A thousand changes a second leave the outbox on any machine; thousands on most."""
    with outbox.connect(autocommit=False) as session:
        for number in range(4_000):
            hand_over(session, change(str(number), 1))
            if number % 500 == 0:
                session.commit()
        session.commit()

    began = time.monotonic()
    async with outbox.relaying():
        await until(lambda: outbox.pending() == 0)
    took = time.monotonic() - began

    assert len(outbox.sent()) == 4_000
    assert 4_000 / took > 1_000


async def test_a_lease_that_comes_as_the_relay_is_stopped_is_given_back(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it to run out, though nobody was told that it was there."""
    take = Lease.take

    async def taken_unheard(lease: Lease, row: LeaseStore) -> bool:
        assert await take(lease, row)
        raise asyncio.CancelledError

    source = OutboxSource(SYSTEM, outbox.uri, holder="stopped", keeping=KEEPING)
    monkeypatch.setattr(Lease, "take", taken_unheard)
    with pytest.raises(asyncio.CancelledError):
        async with source.term():
            raise AssertionError("unreachable")

    assert outbox.rows("SELECT holder FROM renkei.relay_lease") == [(None,)]
