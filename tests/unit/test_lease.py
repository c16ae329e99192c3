"""The lease's arithmetic: a leader thinks its lease shorter than it is, never longer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus.connect.lease import Lease
from bus.errors import ConfigurationError, LeaseLost


class Database:
    """Answers each question with *rows*, after *takes* seconds of the clock below."""

    def __init__(self, *rows: tuple[str] | None, takes: float = 0.0) -> None:
        self.now = 100.0
        self.rows = list(rows)
        self.takes = takes

    def clock(self) -> float:
        return self.now

    async def take(self, holder: str, length: timedelta) -> bool:
        self.now += self.takes
        return self.rows.pop(0) is not None

    renew = take

    async def release(self, holder: str) -> None:
        self.now += self.takes


def lease_of(database: Database) -> Lease:
    """Ten seconds long, of which a send may take four."""
    return Lease(
        "me",
        length=timedelta(seconds=10),
        send_within=timedelta(seconds=4),
        clock=database.clock,
    )


async def test_counts_from_before_the_question() -> None:
    """What the answer took is not added to the lease."""
    database = Database(("me",), takes=3.0)
    lease = lease_of(database)

    assert await lease.take(database)
    lease.guard()
    database.now = 105.9
    lease.guard()
    database.now = 106.0
    with pytest.raises(LeaseLost):
        lease.guard()
    assert lease.is_held
    database.now = 110.0
    assert not lease.is_held


async def test_is_shut_before_it_is_taken_and_after_it_is_lost() -> None:
    """Nothing is sent without a lease, nor after another relay was seen to lead."""
    database = Database(None, ("me",), ("me",), None)
    lease = lease_of(database)

    with pytest.raises(LeaseLost):
        lease.guard()
    assert not await lease.take(database)
    assert await lease.take(database)
    database.now += 9
    await lease.renew(database)
    lease.guard()
    with pytest.raises(LeaseLost):
        await lease.renew(database)
    with pytest.raises(LeaseLost):
        lease.guard()


async def test_is_shut_as_soon_as_it_is_let_go() -> None:
    """Whoever lets go sends nothing more, even if the database does not hear it."""
    database = Database(("me",))
    lease = lease_of(database)
    await lease.take(database)

    await lease.release(database)

    with pytest.raises(LeaseLost):
        lease.guard()


def test_must_be_longer_than_a_send() -> None:
    """A lease in which no send fits would never let one through."""
    with pytest.raises(ConfigurationError):
        Lease("me", length=timedelta(seconds=4), send_within=timedelta(seconds=4))
