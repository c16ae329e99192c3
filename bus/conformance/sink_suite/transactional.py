"""A store that keeps position and receipt with the effect."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from bus.conformance.corpus import REFUSED_TEXT
from bus.conformance.sink_suite.deliveries import (
    CITY,
    assert_no_value,
    batch_of,
    erasure_of,
    opened,
    person,
    view_of,
)
from bus.conformance.sink_suite.rig import (
    Killed,
    TransactionalRig,
)
from bus.errors import (
    EventRefused,
    LaneLost,
    SinkUnavailable,
)
from bus.failpoints import Point
from bus.model import (
    Checkpoint,
    Keeping,
    Mark,
)

CRASHES = [  # a few rows may be one step of the store's, without a point inside
    (Point.SINK_MOVED, 500),
    (Point.SINK_WRITTEN, 500),
    (Point.SINK_COMMITTED, 1),
    (Point.SINK_COMMITTED, 500),
]


class TransactionalSuite:
    """For connectors that declare *transactional*."""

    async def test_an_empty_store_starts_from_the_beginning(self, rig: TransactionalRig) -> None:
        """A store that never held the stream asks for everything."""
        sink = rig.sink()
        try:
            await sink.open(view_of())
            assert dict(await sink.checkpoints()) == {}
            assert await sink.checkpoint(0) is None
        finally:
            await sink.close()

    async def test_rows_and_position_are_there_after_a_restart(self, rig: TransactionalRig) -> None:
        """What was applied is found by the next process, with the receipt that says so."""
        view = view_of()
        batch = batch_of(view, [person("1"), person("2")])
        async with opened(rig.sink(), view) as sink:
            applied = await sink.apply(batch)

        again = rig.sink()
        await again.open(view)
        found = await again.checkpoints()
        await again.close()

        assert applied.rows == 2
        expected = Checkpoint(
            position=batch.end, receipt=batch.receipt, applied_at=applied.applied_at
        )
        assert dict(found) == {0: expected}
        assert [row["subject_id"] for row in await rig.stored(view)] == ["1", "2"]

    async def test_repeating_a_batch_changes_nothing(self, rig: TransactionalRig) -> None:
        """A batch that was applied before a crash and comes again is refused."""
        view = view_of()
        batch = batch_of(view, [person("1"), person("2")])
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch)
        once = await rig.stored(view)

        async with opened(rig.sink(), view) as sink:
            with pytest.raises(LaneLost):
                await sink.apply(batch)
            assert await sink.checkpoint(0) is not None

        assert await rig.stored(view) == once

    @pytest.mark.parametrize("keeping", list(Keeping))
    async def test_rows_that_come_again_have_no_effect(
        self, rig: TransactionalRig, keeping: Keeping
    ) -> None:
        """A log that is read again from further back leaves the rows as they are."""
        view = view_of(keeping=keeping)
        rows = [person("1", name="a"), person("2", name="b")]
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, rows))
            once = await rig.stored(view)
            again = [row | {"log_offset": at} for at, row in enumerate(rows)]
            applied = await sink.apply(batch_of(view, again, start=2))

        assert applied.rows == 0
        assert await rig.stored(view) == once

    async def test_an_older_version_never_replaces_a_newer(self, rig: TransactionalRig) -> None:
        """Reordering ends with the newest state."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1", 3, name="new")]))
            applied = await sink.apply(batch_of(view, [person("1", 2, name="old")], start=1))

        assert applied.rows == 0
        assert [(r["version"], r["name"]) for r in await rig.stored(view)] == [(3, "new")]

    async def test_an_empty_batch_moves_the_position(self, rig: TransactionalRig) -> None:
        """Events that the view filters out are behind the lane all the same."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            applied = await sink.apply(batch_of(view, end=100))
            checkpoint = await sink.checkpoint(0)
            await sink.apply(batch_of(view, [person("1")], start=100))

        assert applied.rows == 0
        assert checkpoint is not None
        assert checkpoint.position.offset == 100

    async def test_partitions_have_positions_of_their_own(self, rig: TransactionalRig) -> None:
        """Lanes of one stream move independently, also at the same moment."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await asyncio.gather(
                *(
                    sink.apply(batch_of(view, [person(f"{at}")], partition=at, end=10 + at))
                    for at in range(4)
                )
            )
            assert await sink.checkpoint(4) is None

        again = rig.sink()
        await again.open(view)
        found = await again.checkpoints()
        await again.close()
        assert {at: c.position.offset for at, c in found.items()} == {0: 10, 1: 11, 2: 12, 3: 13}

    @pytest.mark.parametrize("rows", [1, 100])
    async def test_a_sink_that_is_not_open_says_where_all_lanes_stand(
        self, rig: TransactionalRig, rows: int
    ) -> None:
        """Of every stream and partition, and exactly what whoever applied was told."""
        resident, household = view_of(), view_of("household")
        asking = rig.sink()
        async with opened(rig.sink(), resident) as one, opened(rig.sink(), household) as two:
            people = [person(f"{at:04d}") for at in range(rows)]
            first = await one.apply(batch_of(resident, people, end=10))
            second = await one.apply(batch_of(resident, people, partition=1, end=7))
            third = await two.apply(batch_of(household, people))
            marks = dict(await asking.marks())
            retried = await one.apply(batch_of(resident, [person("x")], start=10, end=10))
            again = dict(await asking.marks())
            async with rig.cut():
                with pytest.raises(SinkUnavailable):
                    await asking.marks()
            assert dict(await asking.marks()) == again
        await asking.close()

        assert marks == {
            ("resident", 0): Mark(10, first.applied_at),
            ("resident", 1): Mark(7, second.applied_at),
            ("household", 0): Mark(rows, third.applied_at),
        }
        assert again == marks | {("resident", 0): Mark(10, retried.applied_at)}
        assert retried.applied_at > first.applied_at

    @pytest.mark.parametrize("start", [1, 7])
    async def test_a_new_lane_starts_at_nought(self, rig: TransactionalRig, start: int) -> None:
        """The first batch of a lane must start at offset 0."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("1")], start=start))
            assert await sink.checkpoint(0) is None

        assert await rig.stored(view) == []

    @pytest.mark.parametrize("late", [0, 1])
    async def test_a_second_owner_cannot_write(self, rig: TransactionalRig, late: int) -> None:
        """Of two owners of a lane, the one that comes second writes nothing."""
        view = view_of()
        owners = [rig.sink(), rig.sink()]
        async with opened(owners[late], view) as loser, opened(owners[1 - late], view) as winner:
            await winner.apply(batch_of(view, [person("1", name="winner")]))
            with pytest.raises(LaneLost):
                await loser.apply(batch_of(view, [person("2", name="loser")]))

        assert [row["name"] for row in await rig.stored(view)] == ["winner"]

    @pytest.mark.parametrize("rows", [1, 500])
    async def test_of_two_owners_at_once_one_writes(self, rig: TransactionalRig, rows: int) -> None:
        """The same with both at the same moment, many times, in small batches and large ones."""
        view = view_of()
        async with opened(rig.sink(), view) as one, opened(rig.sink(), view) as two:
            for at in range(5):
                start = at * rows
                batches = [
                    batch_of(
                        view,
                        [person(f"{who}-{start + n:05d}") for n in range(rows)],
                        start=start,
                    )
                    for who in "ab"
                ]
                results = await asyncio.gather(
                    one.apply(batches[0]), two.apply(batches[1]), return_exceptions=True
                )
                assert sum(isinstance(result, LaneLost) for result in results) == 1, results

        assert len(await rig.stored(view)) == 5 * rows

    async def test_a_position_of_another_cluster_is_not_moved(self, rig: TransactionalRig) -> None:
        """The same offset in another cluster's log does not count as the lane's position."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("2")], start=1, cluster_id="another"))

        assert len(await rig.stored(view)) == 1

    async def test_a_lost_lane_leaves_the_sink_usable(self, rig: TransactionalRig) -> None:
        """One lane that is lost does not stop the others of its sink."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("1")], start=5))
            await sink.apply(batch_of(view, [person("2")], partition=1))

        assert [row["subject_id"] for row in await rig.stored(view)] == ["2"]

    async def test_a_retry_writes_and_stays_where_it_is(self, rig: TransactionalRig) -> None:
        """A retry of parked events writes without moving the position, and leaves its receipt."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            first = batch_of(view, [person("1"), person("2")], end=10)
            await sink.apply(first)
            retry = batch_of(view, [person("3")], start=10, end=10, previous=first.receipt.chain)
            applied = await sink.apply(retry)
            checkpoint = await sink.checkpoint(0)

        assert applied.rows == 1
        assert checkpoint is not None
        assert checkpoint.position == first.end
        assert checkpoint.receipt == retry.receipt
        assert len(await rig.stored(view)) == 3

    async def test_a_retry_elsewhere_is_turned_away(self, rig: TransactionalRig) -> None:
        """A retry by a process that no longer owns the lane writes nothing."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")], end=10))
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("3")], start=9, end=9))

        assert len(await rig.stored(view)) == 1

    async def test_an_erased_subject_is_gone(self, rig: TransactionalRig) -> None:
        """Its row goes, others stay, and the position moves."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1"), person("2"), person("a/b")]))
            keys = [f"{CITY}/1", f"{CITY}/unknown", f"{CITY}/a/b", "no key of ours"]
            applied = await sink.apply(erasure_of(view, keys, start=3))
            checkpoint = await sink.checkpoint(0)

        assert applied.rows == 2
        assert [row["subject_id"] for row in await rig.stored(view)] == ["2"]
        assert checkpoint is not None
        assert checkpoint.position.offset == 7

    async def test_an_erasure_may_leave_the_position_where_it_is(
        self, rig: TransactionalRig
    ) -> None:
        """A subject that leaves a view is erased before its batch, which moves the position."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1"), person("2")]))
            erased = await sink.apply(erasure_of(view, [f"{CITY}/1"], start=2, end=2))
            held = await sink.checkpoint(0)
            await sink.apply(batch_of(view, [person("3")], start=2))

        assert erased.rows == 1
        assert held is not None
        assert held.position.offset == 2
        assert [row["subject_id"] for row in await rig.stored(view)] == ["2", "3"]

    async def test_a_history_outlives_an_erasure(self, rig: TransactionalRig) -> None:
        """A table that keeps every event keeps those of an erased subject."""
        view = view_of(keeping=Keeping.HISTORY)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            applied = await sink.apply(erasure_of(view, [f"{CITY}/1"], start=1))

        assert applied.rows == 0
        assert len(await rig.stored(view)) == 1

    @pytest.mark.parametrize(("point", "rows"), CRASHES)
    async def test_a_crash_leaves_rows_and_position_or_neither(
        self, rig: TransactionalRig, point: Point, rows: int
    ) -> None:
        """Wherever the process dies, the next one finds both or none and goes on."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("before")]))
        batch = batch_of(view, [person(f"{at:04d}") for at in range(rows)], start=1)

        dying = rig.sink()
        await dying.open(view)
        with rig.killing(point), pytest.raises(Killed):
            await dying.apply(batch)
        await dying.close()

        async with opened(rig.sink(), view) as sink:
            checkpoint = await sink.checkpoint(0)
            assert checkpoint is not None
            is_applied = point is Point.SINK_COMMITTED
            assert checkpoint.position.offset == (1 + rows if is_applied else 1)
            assert len(await rig.stored(view)) == (1 + rows if is_applied else 1)
            if not is_applied:
                await sink.apply(batch)
        assert len(await rig.stored(view)) == 1 + rows

    @pytest.mark.parametrize("rows", [1, 500])
    async def test_a_dropped_connection_is_made_anew(
        self, rig: TransactionalRig, rows: int
    ) -> None:
        """The batch in hand raises a retry; the next try succeeds or is refused as applied."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person(f"{at:04d}") for at in range(rows)]))
            await rig.drop_connections()
            batch = batch_of(view, [person(f"{at:04d}", 2) for at in range(rows)], start=rows)
            with contextlib.suppress(SinkUnavailable):
                await sink.apply(batch)
            checkpoint = await sink.checkpoint(0)
            assert checkpoint is not None
            if checkpoint.position.offset == rows:
                await sink.apply(batch)

        assert {row["version"] for row in await rig.stored(view)} == {2}

    async def test_a_store_that_is_away_is_a_retry(self, rig: TransactionalRig) -> None:
        """Every call raises an error of the class retry; later the sink works."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            async with rig.cut():
                with pytest.raises(SinkUnavailable):
                    await sink.apply(batch_of(view, [person("2")], start=1))
                with pytest.raises(SinkUnavailable):
                    await sink.checkpoint(0)
                with pytest.raises(SinkUnavailable):
                    await rig.sink().open(view)
            await sink.apply(batch_of(view, [person("2")], start=1))

        assert len(await rig.stored(view)) == 2

    @pytest.mark.parametrize("rows", [1, 2000])
    @pytest.mark.parametrize("after_ms", [0, 1, 5, 20])
    async def test_closing_at_any_moment_tears_nothing(
        self, rig: TransactionalRig, rows: int, after_ms: int
    ) -> None:
        """A sink that is closed while a batch is applied finishes it or undoes it."""
        view = view_of()
        sink = rig.sink()
        await sink.open(view)
        batch = batch_of(view, [person(f"{at:04d}") for at in range(rows)])
        running = asyncio.create_task(sink.apply(batch))
        await asyncio.sleep(after_ms / 1000)
        await sink.close()
        with contextlib.suppress(SinkUnavailable):
            await running

        async with opened(rig.sink(), view) as again:
            checkpoint = await again.checkpoint(0)
        stored = await rig.stored(view)
        assert len(stored) == (0 if checkpoint is None else checkpoint.position.offset)
        assert len(stored) in (0, rows)

    @pytest.mark.parametrize("rows", [1, 2000])
    async def test_a_cancelled_apply_tears_nothing(self, rig: TransactionalRig, rows: int) -> None:
        """A cancelled apply leaves the sink usable and the store consistent."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            batch = batch_of(view, [person(f"{at:04d}") for at in range(rows)])
            running = asyncio.create_task(sink.apply(batch))
            await asyncio.sleep(0.002)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            checkpoint = await sink.checkpoint(0)
            if checkpoint is None:
                await sink.apply(batch)

        assert len(await rig.stored(view)) == rows

    async def test_a_closed_sink_may_be_opened_again(self, rig: TransactionalRig) -> None:
        """The same object serves again, and finds what it left."""
        view = view_of()
        sink = rig.sink()
        for at in range(3):
            await sink.open(view)
            found = await sink.checkpoints()
            assert (found[0].position.offset if found else 0) == at
            await sink.apply(batch_of(view, [person(f"{at}")], start=at))
            await sink.close()

        assert len(await rig.stored(view)) == 3

    @pytest.mark.parametrize("others", [0, 200])
    @pytest.mark.parametrize("name", sorted(REFUSED_TEXT))
    async def test_a_refused_row_writes_nothing(
        self, rig: TransactionalRig, name: str, others: int
    ) -> None:
        """A batch with one row that the store refuses writes nothing; the error has no value."""
        view = view_of()
        text = REFUSED_TEXT[name]
        rows = [person(f"{at:04d}") for at in range(others)] + [person("bad", name=text)]
        async with opened(rig.sink(), view) as sink:
            with pytest.raises(EventRefused) as refused:
                await sink.apply(batch_of(view, rows))
            assert await sink.checkpoint(0) is None
            await sink.apply(batch_of(view, [person("good")]))

        assert_no_value(refused.value, text.replace("\x00", ""))
        assert [row["subject_id"] for row in await rig.stored(view)] == ["good"]
