"""A store that removes what a view no longer shows."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from bus.conformance.sink_suite.deliveries import (
    CITY,
    TEXTS,
    batch_of,
    erasure_of,
    opened,
    person,
    view_of,
)
from bus.conformance.sink_suite.rig import (
    ReshapingRig,
)
from bus.errors import (
    ConfigurationError,
    EditionOutdated,
)
from bus.model import (
    Suppression,
)


class ReshapesSuite:
    """For connectors that declare *reshapes*."""

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_a_column_that_a_view_loses_is_emptied_at_once(
        self, rig: ReshapingRig, rows: int
    ) -> None:
        """A column whose grant is withdrawn is emptied in every row at once."""
        wider = view_of(extra=[("former_name", pa.string()), ("tags", TEXTS)])
        people = [
            person(f"{at:03d}", name="a", former_name="佐藤", tags=["a"]) for at in range(rows)
        ]
        async with opened(rig.sink(), wider) as sink:
            await sink.apply(batch_of(wider, people))

        view = view_of(edition=1)
        async with opened(rig.sink(), view) as sink:
            found = await rig.stored(wider)
            await sink.apply(batch_of(view, [person("x")], start=rows))

        assert len(found) == rows
        assert {(r["name"], r.get("former_name"), str(r.get("tags"))) for r in found} == {
            ("a", None, "None")
        }
        assert len(await rig.stored(view)) == rows + 1

    async def test_a_column_that_is_masked_otherwise_is_emptied(self, rig: ReshapingRig) -> None:
        """Values under the old mask go; new rows have the new mask's values, in its type."""
        before = view_of(extra=[("born", pa.date32()), ("town", pa.string())])
        now = view_of(extra=[("born", pa.int32()), ("town", pa.string())], edition=1)
        async with opened(rig.sink(), before) as sink:
            row = person("1", born=date(1990, 4, 1), town="a")
            await sink.apply(batch_of(before, [row]))

        async with opened(rig.sink(), now) as sink:
            await sink.apply(batch_of(now, [person("2", born=1990, town="b")], start=1))

        assert [(r["born"], r["town"]) for r in await rig.stored(now)] == [
            (None, "a"), (1990, "b"),
        ]  # fmt: skip

    async def test_locations_go_with_the_trust(self, rig: ReshapingRig) -> None:
        """A system that suppressed addresses itself and no longer may loses all of them."""
        capable = view_of(locations=["name"], suppression=Suppression.CAPABLE)
        withholds = view_of(locations=["name"], edition=1)
        async with opened(rig.sink(), capable) as sink:
            await sink.apply(batch_of(capable, [person("1", name="somewhere", income=5)]))

        async with opened(rig.sink(), withholds):
            (row,) = await rig.stored(withholds)
        async with opened(rig.sink(), view_of(
            locations=["name"], suppression=Suppression.CAPABLE, edition=2)
        ) as sink:  # fmt: skip
            checkpoint = await sink.checkpoint(0)

        assert (row["name"], row["income"]) == (None, 5)
        assert checkpoint is not None

    async def test_rows_of_events_that_are_no_longer_selected_go(self, rig: ReshapingRig) -> None:
        """Rows go that were written by event types that the view no longer selects."""
        context = view_of(event_types=["resident.moved_in", "resident.died"])
        one = view_of(event_types=["resident.moved_in"], edition=1)
        rows = [person("1"), person("2", event_type="resident.died")]
        async with opened(rig.sink(), context) as sink:
            await sink.apply(batch_of(context, rows))

        async with opened(rig.sink(), one) as sink:
            checkpoint = await sink.checkpoint(0)

        assert [row["subject_id"] for row in await rig.stored(one)] == ["1"]
        assert checkpoint is not None
        assert checkpoint.position.offset == 2

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_an_older_edition_is_turned_away(self, rig: ReshapingRig, rows: int) -> None:
        """A process that does not know the new edition writes nothing and has to try again."""
        old = view_of(extra=[("former_name", pa.string())])
        new = view_of(edition=1)
        people = [person(f"{at:03d}", former_name="佐藤") for at in range(rows)]
        async with opened(rig.sink(), old) as late:
            await late.apply(batch_of(old, people))
            async with opened(rig.sink(), new) as sink:
                with pytest.raises(EditionOutdated):
                    await late.apply(batch_of(old, people, start=rows))
                with pytest.raises(EditionOutdated):
                    await late.apply(erasure_of(old, [f"{CITY}/000"], start=rows))
                with pytest.raises(EditionOutdated):
                    await rig.sink().open(old)
                await sink.apply(batch_of(new, [person("x")], start=rows))

        stored = await rig.stored(old)
        assert [row.get("former_name") for row in stored] == [None] * (rows + 1)

    async def test_two_views_of_one_edition_do_not_take_turns(self, rig: ReshapingRig) -> None:
        """Processes of two releases: the one that opened first stops, and says so."""
        old, new = view_of(), view_of(extra=[("former_name", pa.string())])
        async with opened(rig.sink(), old) as first:
            async with opened(rig.sink(), new) as second:
                with pytest.raises(ConfigurationError):
                    await first.apply(batch_of(old, [person("1")]))
                await second.apply(batch_of(new, [person("1", former_name="佐藤")]))

        assert [row["former_name"] for row in await rig.stored(new)] == ["佐藤"]

    async def test_a_stream_that_is_withdrawn_leaves_nothing(self, rig: ReshapingRig) -> None:
        """Its rows and positions go, other streams stay; granted again, it starts anew."""
        kept, gone = view_of("household"), view_of()
        for view in (kept, gone):
            async with opened(rig.sink(), view) as sink:
                await sink.apply(batch_of(view, [person("1")]))

        assert list(await rig.sink().withdraw({"household"}, 1)) == ["resident"]
        assert list(await rig.sink().withdraw({"household"}, 1)) == []

        assert await rig.stored(gone) == []
        assert len(await rig.stored(kept)) == 1
        with pytest.raises(EditionOutdated):
            await rig.sink().open(gone)
        async with opened(rig.sink(), view_of(edition=2)) as sink:
            assert await sink.checkpoint(0) is None

    async def test_a_newer_grant_is_not_withdrawn(self, rig: ReshapingRig) -> None:
        """A process with an older edition does not withdraw what a newer one grants."""
        view = view_of(edition=2)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))

        assert list(await rig.sink().withdraw((), 1)) == []
        assert len(await rig.stored(view)) == 1

    async def test_an_empty_store_has_nothing_to_withdraw(self, rig: ReshapingRig) -> None:
        """Also where the bus's own tables were never made."""
        assert list(await rig.sink().withdraw((), 1)) == []
