"""What the bus keeps for stores, in the ledger's database; a value of the process does the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pytest

from bus.conformance.sink_suite import batch_of, known_to, person, view_of
from bus.connect import AppliedView, Keeper, Retraction
from bus.errors import SinkUnavailable
from bus.ledger.keeper import LedgerKeeper
from bus.local.endpoints import Endpoints
from bus.model import Applied, LaneName
from tests.support.engines import fresh_database
from tests.support.stores.keeper import MemoryKeeper

LANE, OTHER = LaneName("a", "resident", 0), LaneName("a", "household", 3)
VIEW = view_of()
STANDING = AppliedView.of(VIEW)
pytestmark = pytest.mark.service


@pytest.fixture
def database(engines: Endpoints) -> Iterator[str]:
    with fresh_database(engines.database) as uri:
        yield uri


@pytest.fixture(params=["memory", "postgres"])
async def make(
    request: pytest.FixtureRequest, database: str
) -> AsyncIterator[Callable[[], Keeper]]:
    """Makes keepers over one memory, as of several processes."""
    one, made = MemoryKeeper(), list[Keeper]()

    def keeper() -> Keeper:
        made.append(one if request.param == "memory" else LedgerKeeper(database))
        return made[-1]

    yield keeper
    for each in made:
        await each.close()


async def test_nothing_is_kept_of_a_new_lane(make: Callable[[], Keeper]) -> None:
    """Not a position, not a view."""
    kept = await make().kept(LANE)
    assert (kept.checkpoint, kept.standing, kept.masked) == (None, None, frozenset())
    assert dict(kept.reached) == {}
    assert dict(await make().marks("a")) == {}


async def test_what_was_moved_is_there_for_the_next(make: Callable[[], Keeper]) -> None:
    """Position, receipt, coverage and masked rows; of that lane alone."""
    keeper, batch = make(), batch_of(VIEW, [person("1"), person("2")])
    await keeper.stand("a", "resident", STANDING, Retraction(), is_owed=True)
    async with keeper.turn(LANE) as turn:
        at = await turn.move(batch, known_to(3), {"x/1", "x/2"})
    async with keeper.turn(LANE) as turn:
        retry = batch_of(VIEW, [person("3")], start=2, end=2)
        later = await turn.move(retry, known_to(4), {"x/2", "x/3"})

    kept = await make().kept(LANE)
    assert kept.checkpoint is not None
    assert (kept.checkpoint.position, kept.checkpoint.receipt) == (batch.end, retry.receipt)
    assert kept.checkpoint.applied_at == later >= at
    assert kept.standing == STANDING
    assert (kept.masked, dict(kept.reached)) == ({"x/2", "x/3"}, known_to(4))
    assert (await make().kept(OTHER)).checkpoint is None
    assert {lane: mark.offset for lane, mark in (await make().marks("a")).items()} == {LANE: 2}
    assert dict(await make().marks("b")) == {}


async def test_a_turn_that_fails_never_was(make: Callable[[], Keeper]) -> None:
    """The store refused, or the process went: the position is what it was."""
    keeper = make()

    async def failing() -> None:
        async with keeper.turn(LANE) as turn:
            await turn.move(batch_of(VIEW, [person("1")]), {}, {"x/1"})
            raise SinkUnavailable("away")

    with pytest.raises(SinkUnavailable):
        await failing()

    assert (await keeper.kept(LANE)).checkpoint is None
    assert (await keeper.kept(LANE)).masked == frozenset()


async def test_a_lane_has_one_owner_at_a_time(make: Callable[[], Keeper]) -> None:
    """The second waits until the first is done, and sees where it stands; others do not wait."""
    one, two, order = make(), make(), list[str]()

    async def second() -> int:
        async with two.turn(LANE) as turn:
            order.append("second")
            assert turn.kept.checkpoint is not None
            return turn.kept.checkpoint.position.offset

    async with one.turn(LANE) as turn:
        waiting = asyncio.create_task(second())
        async with make().turn(OTHER):
            order.append("other")
        await turn.move(batch_of(VIEW, [person("1")]), {}, ())
        order.append("first")
    assert await waiting == 1
    assert order == ["other", "first", "second"]


class Sending:
    """Something that is being sent until it is told to end."""

    def __init__(self) -> None:
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.is_under_way = False

    async def __call__(self) -> Applied:
        self.is_under_way = True
        self.began.set()
        try:
            await self.may_end.wait()
        finally:
            self.is_under_way = False
        return Applied(1, datetime.now(UTC))


async def sent(keeper: Keeper, send: Sending) -> None:
    """A whole turn: handed over, and moved."""
    async with keeper.turn(LANE) as turn:
        await turn.hand_over(send)
        await turn.move(batch_of(VIEW, [person("1")]), {}, ())


async def stood(keeper: Keeper, first: Sending) -> int:
    """Where the lane stands for whoever comes second, which sees nobody send."""
    async with keeper.turn(LANE) as turn:
        assert not first.is_under_way
        checkpoint = turn.kept.checkpoint
        return 0 if checkpoint is None else checkpoint.position.offset


async def test_a_connection_that_is_lost_lets_nobody_else_send(database: str) -> None:
    """In the middle of handing over: the lane stays held, and the position moves in the end."""
    one, two, sending = LedgerKeeper(database), LedgerKeeper(database), Sending()
    first = asyncio.create_task(sent(one, sending))
    await sending.began.wait()
    with psycopg.connect(database, autocommit=True) as session:
        ended = session.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert ended is not None
    assert ended[0] >= 1
    second = asyncio.create_task(stood(two, sending))
    await asyncio.wait({second}, timeout=1)
    assert not second.done()
    assert sending.is_under_way
    sending.may_end.set()
    with suppress(SinkUnavailable):  # the connection that it finds is the one that was ended
        await first
    assert await second in (0, 1)
    await one.close()
    await two.close()


async def test_who_cannot_renew_is_cut_off_before_another_may_send(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database is away for longer than the lane is held."""
    short = timedelta(seconds=0.9)
    one, two, sending = LedgerKeeper(database, lease=short), LedgerKeeper(database), Sending()
    first = asyncio.create_task(sent(one, sending))
    await sending.began.wait()

    async def away(_: LedgerKeeper) -> None:
        raise SinkUnavailable("the bus's own database does not answer")

    monkeypatch.setattr(one, "_connected", partial(away, one))
    assert await stood(two, sending) == 0
    with pytest.raises(SinkUnavailable, match="another process may have the lane"):
        await first
    await one.close()
    await two.close()


async def test_who_sleeps_past_the_lease_sends_nothing(database: str) -> None:
    """Stopped before it sends, or before it moves: it finds that out first."""
    short = timedelta(seconds=0.3)
    one, two, sending = LedgerKeeper(database, lease=short), LedgerKeeper(database), Sending()
    async with AsyncExitStack() as stack:
        turn = await stack.enter_async_context(one.turn(LANE))
        assert await stood(two, sending) == 0  # who waits has it when it has run out
        with pytest.raises(SinkUnavailable):
            await turn.hand_over(sending)
        with pytest.raises(SinkUnavailable):
            await turn.move(batch_of(VIEW, [person("1")]), {}, ())
    assert not sending.began.is_set()
    assert (await two.kept(LANE)).checkpoint is None
    await one.close()
    await two.close()


async def test_what_everything_is_lost_of_begins_anew(make: Callable[[], Keeper]) -> None:
    """A condition that is new, or a stream that is granted no more."""
    keeper = make()
    for stream, lane in (("resident", LANE), ("household", OTHER)):
        await keeper.stand("a", stream, STANDING, Retraction(), is_owed=True)
        async with keeper.turn(lane) as turn:
            await turn.move(batch_of(VIEW, [person("1")], partition=lane.partition), {}, {"x/1"})
    await keeper.stand("a", "resident", STANDING, Retraction(everything=True), is_owed=False)
    assert [lane.stream for lane in await keeper.marks("a")] == ["household"]

    assert list(await keeper.withdraw("a", {"resident"}, 0, is_owed=False)) == ["household"]
    assert list(await keeper.withdraw("a", {"resident"}, 0, is_owed=False)) == []
    assert dict(await keeper.marks("a")) == {}


async def test_what_a_person_owes_is_listed_until_it_is_done(database: str) -> None:
    """Oldest first; who said so, and why, stays."""
    keeper = LedgerKeeper(database)
    await keeper.stand("a", "resident", STANDING, Retraction(columns=("name",)), is_owed=True)
    await keeper.stand("a", "resident", STANDING, Retraction(), is_owed=True)
    await keeper.stand("b", "resident", STANDING, Retraction(everything=True), is_owed=False)
    await keeper.withdraw("a", (), 1, is_owed=True)
    first, second = await keeper.owed()
    assert (first.system, first.stream, first.lost) == (
        "a",
        "resident",
        Retraction(columns=("name",)),
    )
    assert second.lost == Retraction(everything=True)

    assert await keeper.settle(first.number, "officer1", "T-1")
    assert not await keeper.settle(first.number, "officer1", "T-1")
    assert [each.number for each in await keeper.owed()] == [second.number]
    await keeper.close()


async def test_a_database_that_is_away_is_a_retry() -> None:
    """Of every question."""
    keeper = LedgerKeeper("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(SinkUnavailable):
        await keeper.kept(LANE)
    with pytest.raises(SinkUnavailable):
        async with keeper.turn(LANE):
            pass
    await keeper.close()
