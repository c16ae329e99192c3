"""What a core system gets: one function inside its own transaction."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from typing import Any

import psycopg
import pytest

from connectors.outbox.installing import InstallPlan, Speaker
from connectors.outbox.upkeep import install
from tests.support.outbox import SYSTEM, Outbox, change, change_of, hand_over
from tests.support.waiting import wait_until

pytestmark = pytest.mark.service


def test_makes_a_change_id_of_the_present(outbox: Outbox) -> None:
    """An id made in SQL is a UUIDv7 whose first bits are the time."""
    before = time.time_ns() // 1_000_000
    made = [uuid.UUID(text) for text in outbox.publish(*(change(str(n), 1) for n in range(50)))]
    after = time.time_ns() // 1_000_000

    assert len(set(made)) == 50
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert all(before - 1 <= one.int >> 80 <= after + 1 for one in made)


def test_keeps_a_given_change_id(outbox: Outbox) -> None:
    """A core system may name its change, and the row carries the name inside and outside."""
    name = "0192f0c1-2f3a-7abc-8def-0123456789ab"

    assert outbox.publish(change("1", 1) | {"change_id": name}) == [name]
    assert outbox.rows("SELECT change_id::text, change ->> 'change_id' FROM renkei.outbox") == [
        (name, name)
    ]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        change("1", 1) | {"change_id": "山田"},
        change("1", 1) | {"change_id": str(uuid.UUID(int=0, version=4))},
    ],
)
def test_a_programming_fault_is_an_error_without_its_value(outbox: Outbox, value: Any) -> None:
    """What no correct program sends fails at once, and the message repeats nothing."""
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        outbox.publish(value)

    assert "山田" not in str(caught.value)
    assert outbox.pending() == 0


def test_the_same_change_id_twice_is_an_error(outbox: Outbox) -> None:
    """Calling again for the same change is noticed in the core system."""
    value = change("1", 1) | {"change_id": "0192f0c1-2f3a-7abc-8def-0123456789ab"}
    outbox.publish(value)

    with pytest.raises(psycopg.errors.UniqueViolation):
        outbox.publish(value)


def test_a_rolled_back_transaction_leaves_nothing(outbox: Outbox) -> None:
    """The change lives and dies with the core system's transaction."""
    with outbox.connect(autocommit=False) as session:
        hand_over(session, change("1", 1))
        session.rollback()

    assert outbox.rows("SELECT * FROM renkei.outbox") == []


def test_a_subject_is_locked_until_its_transaction_ends(outbox: Outbox) -> None:
    """The second clerk of one person gets the higher number, and commits later."""
    order: list[str] = []
    first = outbox.connect(autocommit=False)
    hand_over(first, change_of([("7", 1), ("8", 1)]))

    def second_clerk() -> None:
        outbox.publish(change_of([("9", 1), ("7", 2)]))
        order.append("second")

    clerk = threading.Thread(target=second_clerk)
    clerk.start()
    waiting = """
        SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE NOT granted AND datname = current_database()
    """
    wait_until(lambda: outbox.rows(waiting)[0][0] > 0, 10, every=0.01)
    order.append("first")
    first.commit()
    clerk.join(10)
    first.close()

    assert order == ["first", "second"]
    assert [row[0] for row in outbox.rows("SELECT subjects FROM renkei.outbox ORDER BY seq")] == [
        ["131130/7", "131130/8"],
        ["131130/7", "131130/9"],
    ]


def test_changes_of_several_subjects_do_not_deadlock(outbox: Outbox) -> None:
    """Two changes that name the same persons the other way round both get through."""

    def many(pair: list[tuple[str, int]]) -> None:
        with outbox.connect() as session:
            for version in range(1, 101):
                hand_over(session, change_of([(subject, version) for subject, _ in pair]))

    clerks = [
        threading.Thread(target=many, args=([("1", 0), ("2", 0)],)),
        threading.Thread(target=many, args=([("2", 0), ("1", 0)],)),
    ]
    for clerk in clerks:
        clerk.start()
    for clerk in clerks:
        clerk.join(60)

    assert outbox.pending() == 200


@pytest.mark.parametrize("records", [None, 7, {}, [7, None, "x"], [{"subject_id": {"a": 1}}]])
def test_a_fault_of_data_does_not_stop_a_clerk(outbox: Outbox, records: Any) -> None:
    """Garbage inside an object is taken; the relay will say what is wrong with it."""
    outbox.publish(change("1", 1) | {"records": records})

    assert outbox.pending() == 1


async def test_installing_again_keeps_what_is_there(outbox: Outbox) -> None:
    """Install is how an outbox is brought up to date, also by two operators at once."""
    outbox.publish(change("1", 1))

    await asyncio.gather(*(install(SYSTEM, outbox.uri) for _ in range(3)))

    assert outbox.pending() == 1


async def test_a_core_role_may_publish_and_nothing_else(outbox: Outbox, unique: Any) -> None:
    """The core system's login reads no outbox, its own included."""
    role = unique("core")
    with outbox.connect() as owner:
        owner.execute(f'CREATE ROLE "{role}"')
        try:
            await install(SYSTEM, outbox.uri, InstallPlan(core=(Speaker(role),)))
            with outbox.connect() as session:
                session.execute(f'SET ROLE "{role}"')
                hand_over(session, change("1", 1))
                for forbidden in (
                    "SELECT * FROM renkei.outbox",
                    "INSERT INTO renkei.outbox (change_id, change, subjects)"
                    " VALUES (gen_random_uuid(), '{}', '{}')",
                    "DELETE FROM renkei.outbox_refused",
                    "UPDATE renkei.relay_lease SET holder = 'me'",
                    "INSERT INTO renkei.subject_lock VALUES (1)",
                    "INSERT INTO renkei.speaker VALUES (current_user, 'resident_registry')",
                    "UPDATE renkei.bound SET change_bytes = 2000000000",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        session.execute(forbidden)
        finally:
            owner.execute(f'DROP OWNED BY "{role}"')
            owner.execute(f'DROP ROLE "{role}"')


def test_nobody_may_publish_unless_granted(outbox: Outbox, unique: Any) -> None:
    """PostgreSQL gives functions to everybody; this one is taken back."""
    role = unique("stranger")
    with outbox.connect() as owner:
        owner.execute(f'CREATE ROLE "{role}"')
        owner.execute(f'GRANT USAGE ON SCHEMA renkei TO "{role}"')
        try:
            with outbox.connect() as session:
                session.execute(f'SET ROLE "{role}"')
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    hand_over(session, change("1", 1))
        finally:
            owner.execute(f'DROP OWNED BY "{role}"')
            owner.execute(f'DROP ROLE "{role}"')


def test_calls_in_opposite_order_end_in_a_deadlock_that_postgresql_names(outbox: Outbox) -> None:
    """Several calls in one transaction may deadlock; one caller is told, the other commits."""
    one, other = outbox.connect(autocommit=False), outbox.connect(autocommit=False)
    hand_over(one, change("1", 1))
    hand_over(other, change("2", 1))
    failures: list[str | None] = []

    def then(session: psycopg.Connection[Any], subject: str) -> None:
        try:
            hand_over(session, change(subject, 1))
            session.commit()
        except psycopg.errors.DeadlockDetected as error:
            failures.append(error.sqlstate)
            session.rollback()

    clerks = [threading.Thread(target=then, args=pair) for pair in ((one, "2"), (other, "1"))]
    for clerk in clerks:
        clerk.start()
    for clerk in clerks:
        clerk.join(20)
    one.close()
    other.close()

    assert failures == ["40P01"]
    assert outbox.pending() == 2


def test_a_thousand_changes_fit_into_one_transaction(outbox: Outbox) -> None:
    """A nightly batch may publish as it goes."""
    with outbox.connect(autocommit=False) as session:
        for number in range(1_000):
            hand_over(session, change_of([(f"{number}-{part}", 1) for part in range(3)]))
        session.commit()

    assert outbox.pending() == 1_000
