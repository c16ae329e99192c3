"""A store that can be filled anew in a staging table."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pyarrow as pa
import pytest

from bus.conformance.sink_suite.deliveries import (
    CITY,
    batch_of,
    fenced_view,
    known_to,
    opened,
    person,
    protection_of,
    vehicle,
    view_of,
)
from bus.conformance.sink_suite.rig import (
    Killed,
    StagingRig,
    StoreRig,
)
from bus.errors import (
    BusError,
    ConfigurationError,
    FenceBehind,
    LaneLost,
    RebuildBusy,
)
from bus.failpoints import Point
from bus.model import (
    Keeping,
    Protected,
    ToRestore,
)


class StagesSuite:
    """For connectors that declare *stages*."""

    @pytest.mark.parametrize("rows", [2, 200])
    async def test_a_fresh_table_takes_the_place_of_the_one_in_use(
        self, rig: StagingRig, rows: int
    ) -> None:
        """Its rows, positions and receipt replace those in use at one moment; before, nobody sees
        them."""
        view = view_of()
        old = [person("gone", 9), *(person(f"{at:03d}", name="old") for at in range(rows))]
        new = [person(f"{at:03d}", name="new") for at in range(rows)] + [person("new")]
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, old, end=400))
            before = await rig.stored(view)
            staging = sink.staging()
            async with opened(staging, view):
                batch = batch_of(view, new, end=400)
                await staging.apply(batch)
                assert await rig.stored(view) == before
                async with staging.lock() as held:
                    assert held.checkpoints[0].position.offset == 400
                    merged = await held.merge(())
            after = await rig.stored(view)
            checkpoint = await sink.checkpoint(0)
            await sink.apply(batch_of(view, [person("next")], start=400))

        assert (merged.changed, merged.added, merged.removed) == (rows, 1, 1)
        assert [(r["subject_id"], r["name"]) for r in after] == [
            *((f"{at:03d}", "new") for at in range(rows)), ("new", None),
        ]  # fmt: skip
        assert checkpoint is not None
        assert checkpoint.receipt == batch.receipt
        assert len(await rig.stored(view)) == rows + 2

    async def test_a_lane_of_before_the_swap_is_lost(self, rig: StagingRig) -> None:
        """A lane that was opened before the merge gets LaneLost: its position has moved."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            async with opened(sink.staging(), view) as staging:
                await staging.apply(batch_of(view, [person("1")], end=7))
                async with staging.lock() as held:
                    await held.merge(())
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("2")], start=1))

    async def test_nobody_writes_while_the_table_is_held(self, rig: StagingRig) -> None:
        """A writer waits while the table is locked, and is refused if it was merged meanwhile."""
        view = view_of()
        async with opened(rig.sink(), view) as sink, opened(rig.sink(), view) as other:
            await sink.apply(batch_of(view, [person("1")]))
            async with opened(sink.staging(), view) as staging:
                async with staging.lock() as held:
                    late = asyncio.ensure_future(
                        other.apply(batch_of(view, [person("late")], start=1))
                    )
                    await asyncio.sleep(0.2)
                    assert not late.done()
                    await staging.apply(batch_of(view, [person("1")], end=5))
                    await held.merge(())
            with pytest.raises(LaneLost):
                await late

        assert [row["subject_id"] for row in await rig.stored(view)] == ["1"]

    async def test_the_fresh_table_may_be_opened_anew_while_the_other_is_held(
        self, rig: StagingRig
    ) -> None:
        """The staging sink can be opened again while the table in use is locked."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            staging = sink.staging()
            async with opened(staging, view), staging.lock() as held:
                again = sink.staging()
                await staging.close()
                async with asyncio.timeout(5), opened(again, view):
                    await again.apply(batch_of(view, [person("1"), person("2")], end=1))
                    await held.merge(())

        assert [row["subject_id"] for row in await rig.stored(view)] == ["1", "2"]

    async def test_a_table_that_is_let_go_of_is_as_it_was(self, rig: StagingRig) -> None:
        """After a lock without a merge the lanes go on."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            async with opened(sink.staging(), view) as staging:
                async with staging.lock():
                    pass
                await sink.apply(batch_of(view, [person("2")], start=1))

        assert len(await rig.stored(view)) == 2

    async def test_a_rebuild_is_taken_up_where_it_was_left(self, rig: StagingRig) -> None:
        """The next process finds the staging table with its positions, and can go on or drop it."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")], end=9))
            async with opened(sink.staging(), view) as staging:
                await staging.apply(batch_of(view, [person("1")], end=5))
            async with opened(rig.sink().staging(), view) as again:
                found = await again.checkpoint(0)
                await again.drop()
            async with opened(rig.sink().staging(), view) as anew:
                dropped = await anew.checkpoint(0)

        assert found is not None
        assert found.position.offset == 5
        assert dropped is None
        assert len(await rig.stored(view)) == 1

    async def test_what_is_half_full_can_be_taken_away(self, rig: StagingRig) -> None:
        """Anybody can discard a staging table that is not being filled; nothing else changes."""
        view, other = view_of(), view_of(extra=[("former_name", pa.string())])
        assert await rig.sink().staging().left(view) is None
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")], end=9))
            assert await sink.staging().discard(view) is None
            async with opened(sink.staging(), view) as staging:
                await staging.apply(batch_of(view, [person("1"), person("2")], end=5))
                with pytest.raises(RebuildBusy):
                    await rig.sink().staging().discard(view)
            left = await rig.sink().staging().left(view)
            gone = await rig.sink().staging().discard(other)
            assert await rig.sink().staging().left(view) is None
            async with opened(rig.sink().staging(), view) as anew:
                assert await anew.checkpoint(0) is None

        assert left is not None
        assert (left.rows, left.events, left.since is not None) == (2, 5, True)
        assert gone == left
        assert len(await rig.stored(view)) == 1

    async def test_two_processes_do_not_rebuild_one_table(self, rig: StagingRig) -> None:
        """The second process gets RebuildBusy; another table can be rebuilt meanwhile."""
        view, other = view_of(), view_of("household")
        async with opened(rig.sink(), view) as sink, opened(rig.sink(), other):
            async with opened(sink.staging(), view):
                second = rig.sink().staging()
                with pytest.raises(RebuildBusy):
                    await second.open(view)
                await second.close()
                async with opened(rig.sink().staging(), other):
                    pass
            async with opened(rig.sink().staging(), view):
                pass

    async def test_what_is_filled_goes_when_the_view_changes(self, rig: StagingRig) -> None:
        """A staging table of an older view is dropped: it can be neither filled on nor merged."""
        view = view_of(extra=[("former_name", pa.string())])
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            async with opened(sink.staging(), view) as staging:
                await staging.apply(batch_of(view, [person("1", former_name="a")]))
                async with opened(rig.sink(), view_of(edition=1)):
                    pass
                with pytest.raises(BusError):
                    await staging.apply(batch_of(view, [person("2")], start=1))
                with pytest.raises(ConfigurationError):
                    async with staging.lock():
                        pass
            again = rig.sink().staging()
            with pytest.raises(ConfigurationError):
                await again.open(view)
            await again.close()

    async def test_no_row_goes_down(self, rig: StagingRig) -> None:
        """A merge keeps every row that is newer than the staging table's, and says how many."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            rows = [person("old", 5), person("1"), person("2"), person("3"), person("4", 9)]
            await sink.apply(batch_of(view, rows))
            async with opened(sink.staging(), view) as staging:
                await staging.apply(batch_of(view, [person("1"), person("4", 8)], end=3))
                settled = [person("1", 2, name="tried again"), person("2", 2)]
                await sink.apply(batch_of(view, settled, start=5, end=5))
                async with staging.lock() as held:
                    merged = await held.merge([f"{CITY}/1", f"{CITY}/2", f"{CITY}/3"])

        assert [(r["subject_id"], r["version"], r["name"]) for r in await rig.stored(view)] == [
            ("1", 2, "tried again"), ("2", 2, None), ("3", 1, None), ("4", 9, None),
        ]  # fmt: skip
        assert (merged.changed, merged.removed, merged.kept) == (0, 1, 4)

    async def test_a_swap_that_is_cut_short_never_was(self, rig: StagingRig) -> None:
        """After a crash in the merge, rows and positions in use are as they were before."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1", name="old")]))
            async with opened(sink.staging(), view) as staging:
                await staging.apply(batch_of(view, [person("1", name="new")]))
                with rig.killing(Point.SINK_MERGED), pytest.raises(Killed):
                    async with staging.lock() as held:
                        await held.merge(())
                assert [row["name"] for row in await rig.stored(view)] == ["old"]
                async with staging.lock() as held:
                    await held.merge(())

        assert [row["name"] for row in await rig.stored(view)] == ["new"]

    async def test_a_history_is_not_rebuilt(self, rig: StagingRig) -> None:
        """A table that keeps every event has no staging table."""
        view = view_of(keeping=Keeping.HISTORY)
        async with opened(rig.sink(), view) as sink:
            staging = sink.staging()
            with pytest.raises(ConfigurationError):
                await staging.open(view)
            await staging.close()


class SuppressedStagesSuite:
    """For connectors that declare both *stages* and *suppresses*."""

    async def test_a_fresh_table_is_no_way_round_a_protection(self, rig: StoreRig) -> None:
        """A protection empties the staging table too, and refuses older rows; releases are known
        after it."""
        view = fenced_view()
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            rows = [vehicle("1", owner_id="a"), vehicle("2", owner_id="b")]
            await sink.apply(batch_of(view, rows))
            async with opened(sink.staging(), view) as staging:
                await staging.apply(batch_of(view, rows))
                await protection.apply(protection_of("a"))
                late = batch_of(view, [vehicle("3", owner_id="a")], start=2)
                with pytest.raises(FenceBehind):
                    await staging.apply(replace(late, masked_under={}))
                await protection.apply(protection_of(start=1))
                async with staging.lock() as held:
                    await held.merge(())

            found = [(r["protected"], r["kept_at_lot"]) for r in await rig.stored(view)]
            assert found == [(True, None), (False, "１番２号")]
            assert await sink.to_restore() == ToRestore(known_to(2), {f"{CITY}/1": 1})

    async def test_a_rebuilt_protection_stream_protects_from_its_new_positions(
        self, rig: StoreRig
    ) -> None:
        """What it is filled with on the way says nothing to the other tables; its swap does."""
        view, protections = fenced_view(), view_of("protection")
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, protections):
            rows = [vehicle("1", owner_id="a"), vehicle("2", owner_id="b")]
            await sink.apply(batch_of(view, rows))
            await protection.apply(protection_of("a", start=0))
            await protection.apply(protection_of("a", start=1))
            async with opened(protection.staging(), protections) as staging:
                for start in range(3):
                    filled = protection_of("a", start=start).brought_by
                    await staging.apply(filled)
                assert (await sink.to_restore()).reached == known_to(2)
                async with staging.lock() as held:
                    everybody = frozenset(f"{CITY}/{one}" for one in "ab")
                    await held.merge((), Protected(everybody, as_of=known_to(3)))

            assert (await sink.to_restore()).reached == known_to(3)
            assert [row["kept_at_lot"] for row in await rig.stored(view)] == [None, None]
            late = batch_of(view, [vehicle("3", owner_id="b")], start=2)
            with pytest.raises(FenceBehind):
                await sink.apply(replace(late, masked_under=known_to(2)))

    async def test_older_coverage_than_the_store_has_is_refused(self, rig: StoreRig) -> None:
        """Of two processes that know different halves neither undoes what the other applied."""
        view, protections = fenced_view(), view_of("protection")
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, protections):
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a")]))
            enough = known_to(1) | {"household/0": 2}
            await protection.apply(protection_of("a", as_of=enough))
            for older in (known_to(5), known_to(0) | {"household/0": 9}):
                with pytest.raises(FenceBehind):
                    await protection.apply(protection_of(start=1, as_of=older))
            held = await protection.checkpoint(0)
            assert held is not None
            assert held.position.offset == 1
            assert (await sink.to_restore()).rows == {}

            async with opened(protection.staging(), protections) as staging:
                await staging.apply(protection_of("a").brought_by)
                async with staging.lock() as holding:
                    with pytest.raises(FenceBehind):
                        await holding.merge((), Protected(as_of=known_to(1)))
                    await holding.merge((), Protected(as_of=enough))
            assert (await sink.to_restore()).rows == {f"{CITY}/1": 1}
