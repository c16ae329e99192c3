"""What every store does, whatever its capabilities."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from bus.conformance.corpus import HOSTILE_TEXT
from bus.conformance.sink_suite.deliveries import (
    CITY,
    TEXTS,
    Row,
    batch_of,
    erasure_of,
    opened,
    person,
    view_of,
)
from bus.conformance.sink_suite.rig import (
    SinkRig,
)
from bus.connect import Sink
from bus.errors import (
    SinkUnavailable,
)
from bus.model import (
    Erasures,
    Keeping,
    Upserts,
)


class SinkSuite:
    """For every connector; the ``rig`` fixture of a test class says for which one it runs."""

    async def test_it_declares_the_same_before_and_after_opening(self, rig: SinkRig) -> None:
        """Its capabilities are known before anything is opened, and stay the same."""

        def declared(sink: Sink) -> list[object]:
            found = sink.capabilities
            return [found.accepts, found.kept]

        sink = rig.sink()
        before = declared(sink)
        async with opened(sink, view_of()):
            assert declared(sink) == before
        assert declared(rig.sink()) == before
        assert {Upserts, Erasures} <= sink.capabilities.accepts

    async def test_what_is_given_to_a_store_that_is_away_is_a_retry(self, rig: SinkRig) -> None:
        """A store that is away raises an error of the class retry; later the same sink works."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            async with rig.cut():
                with pytest.raises(SinkUnavailable):
                    await sink.apply(batch_of(view, [person("1")]))
            await sink.apply(batch_of(view, [person("1")]))

        assert [row["subject_id"] for row in await rig.stored(view)] == ["1"]

    async def test_a_delivery_without_rows_writes_none(self, rig: SinkRig) -> None:
        """A batch whose events the view all leaves out writes no row."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            applied = await sink.apply(batch_of(view, end=7))

        assert applied.rows == 0
        assert await rig.stored(view) == []

    async def test_the_time_of_applying_is_the_present(self, rig: SinkRig) -> None:
        """The time of applying is now, by the store's clock, with its zone."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            applied = await sink.apply(batch_of(view, [person("1")]))

        assert abs(datetime.now(UTC) - applied.applied_at) < timedelta(minutes=5)

    async def test_a_newer_version_replaces_the_whole_row(self, rig: SinkRig) -> None:
        """An event is a whole snapshot: what it leaves out is gone."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(
                batch_of(view, [person("1", 1, name="old", income=5, members_subject_id=["9"])])
            )
            applied = await sink.apply(batch_of(view, [person("1", 2)], start=1))

        assert applied.rows == 1
        (row,) = await rig.stored(view)
        assert (row["version"], row["name"], row["income"], row["members_subject_id"]) == (
            2, None, None, None,
        )  # fmt: skip

    @pytest.mark.parametrize("others", [0, 200])
    async def test_one_batch_may_hold_several_versions_of_a_subject(
        self, rig: SinkRig, others: int
    ) -> None:
        """The newest version stays, in whatever order they come, in small and large batches."""
        view = view_of()
        rows = [person("1", version) for version in (2, 4, 3)]
        rows += [person(f"x{at:03d}") for at in range(others)]
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, rows))

        stored = await rig.stored(view)
        assert len(stored) == 1 + others
        assert stored[0]["version"] == 4

    async def test_the_same_subject_number_in_two_municipalities_is_two(self, rig: SinkRig) -> None:
        """A subject is known by its municipality and its number."""
        view = view_of()
        rows = [person("1"), person("1", municipality_code="131016")]
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, rows))

        assert [row["municipality_code"] for row in await rig.stored(view)] == [CITY, "131016"]

    async def test_a_history_keeps_every_event(self, rig: SinkRig) -> None:
        """One row per event, told apart by its place in the log."""
        view = view_of(keeping=Keeping.HISTORY)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1", 1), person("1", 2)]))
            await sink.apply(batch_of(view, [person("1", 1)], partition=1))

        places = [
            (row["log_partition"], row["log_offset"], row["version"])
            for row in await rig.stored(view)
        ]
        assert places == [(0, 0, 1), (0, 1, 2), (1, 0, 1)]

    async def test_streams_do_not_mix(self, rig: SinkRig) -> None:
        """Two streams of one system share a store and nothing else."""
        resident, household = view_of(), view_of("household")
        async with opened(rig.sink(), resident) as one, opened(rig.sink(), household) as two:
            await one.apply(batch_of(resident, [person("1")]))
            await two.apply(batch_of(household, [person("2")]))

        assert [row["subject_id"] for row in await rig.stored(resident)] == ["1"]
        assert [row["subject_id"] for row in await rig.stored(household)] == ["2"]

    async def test_an_erased_subject_may_come_back(self, rig: SinkRig) -> None:
        """After an erasure any version is newer than nothing."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1", 5)]))
            await sink.apply(erasure_of(view, [f"{CITY}/1"], start=1))
            await sink.apply(batch_of(view, [person("1", 1)], start=2))

        assert [row["version"] for row in await rig.stored(view)] == [1]

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_an_erased_subject_stays_gone(self, rig: SinkRig, rows: int) -> None:
        """Nothing that a sink keeps between batches brings it back with the next one."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person(f"a{at}") for at in range(rows)]))
            await sink.apply(erasure_of(view, [f"{CITY}/a0"], start=rows))
            later = [person(f"b{at}") for at in range(rows)]
            await sink.apply(batch_of(view, later, start=rows + 1))

        ids = [row["subject_id"] for row in await rig.stored(view)]
        assert len(ids) == 2 * rows - 1
        assert "a0" not in ids

    async def test_close_may_be_called_at_any_time(self, rig: SinkRig) -> None:
        """Before an open, twice, and after a failed one."""
        sink = rig.sink()
        await sink.close()
        async with rig.cut():
            with pytest.raises(SinkUnavailable):
                await sink.open(view_of())
            await sink.close()
        await sink.open(view_of())
        await sink.close()
        await sink.close()

    async def test_many_opens_and_closes_at_once(self, rig: SinkRig) -> None:
        """Processes that all start at the same moment do not trip over each other."""
        view = view_of()

        async def turn() -> None:
            for _ in range(3):
                async with opened(rig.sink(), view):
                    await asyncio.sleep(0)

        await asyncio.gather(*(turn() for _ in range(6)))
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))

        assert len(await rig.stored(view)) == 1

    async def test_an_apply_without_an_open_store_is_a_retry(self, rig: SinkRig) -> None:
        """A sink that was closed says so instead of writing."""
        view = view_of()
        sink = rig.sink()
        await sink.open(view)
        await sink.close()

        with pytest.raises(SinkUnavailable):
            await sink.apply(batch_of(view, [person("1")]))

    @pytest.mark.parametrize("rows", [1, 200])
    @pytest.mark.parametrize("name", sorted(HOSTILE_TEXT))
    async def test_text_arrives_unchanged(self, rig: SinkRig, name: str, rows: int) -> None:
        """Text that breaks careless writers arrives as it was given."""
        view = view_of()
        text = HOSTILE_TEXT[name]
        batch = batch_of(
            view,
            [
                person(f"{at:04d}", name=text, members_subject_id=[text, "plain"])
                for at in range(rows)
            ],
        )
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch)

        stored = await rig.stored(view)
        assert {row["name"] for row in stored} == {text}
        assert stored[-1]["members_subject_id"] == [text, "plain"]

    async def test_hostile_text_may_be_a_key(self, rig: SinkRig) -> None:
        """A subject is found again, whatever its number looks like."""
        view = view_of()
        ids = sorted(text for text in HOSTILE_TEXT.values() if len(text) < 200)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person(text, 1) for text in ids]))
            for at, text in enumerate(ids):
                await sink.apply(batch_of(view, [person(text, 2)], start=len(ids) + at))

        stored = await rig.stored(view)
        assert sorted(row["subject_id"] for row in stored) == ids
        assert {row["version"] for row in stored} == {2}

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_absent_is_not_empty(self, rig: SinkRig, rows: int) -> None:
        """No value, an empty text and an empty list are three things."""
        view = view_of()
        batch = batch_of(
            view,
            [person("0"), person("1", name="", members_subject_id=[])]
            + [person(f"x{at:04d}") for at in range(rows - 1)],
        )
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch)

        first, second, *_ = await rig.stored(view)
        assert (first["name"], first["members_subject_id"]) == (None, None)
        assert (second["name"], second["members_subject_id"]) == ("", [])

    @pytest.mark.parametrize("rows", [1, 200])
    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("income", 9_007_199_254_740_993),  # 2**53 + 1: no float holds it
            ("income", 9_223_372_036_854_775_807),
            ("income", -9_223_372_036_854_775_808),
            ("income", 0),
            ("share", 0.1),
            ("share", 1e-308),
            ("share", -0.0),
            ("share", 1.7976931348623157e308),
            ("share", float("inf")),
            ("birth_date", date(1, 1, 1)),
            ("birth_date", date(1868, 1, 25)),
            ("birth_date", date(2024, 2, 29)),
            ("birth_date", date(9999, 12, 31)),
            ("processed_at", datetime(1970, 1, 1, tzinfo=UTC)),
            ("processed_at", datetime(1887, 12, 31, 15, 0, 0, 1, tzinfo=UTC)),
            ("processed_at", datetime(2026, 10, 25, 1, 30, 0, 999999, tzinfo=UTC)),
            ("processed_at", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
            ("birth_date_unknown", False),
            ("birth_date_text", "平成31年2月30日"),
            ("members_subject_id", ["1", "2", "2"]),
            ("members_subject_id", [""]),
            ("members_subject_id", ["{}", "NULL", 'a,"b"']),
            ("members_subject_id", ["1", None]),
        ],
    )
    async def test_a_value_arrives_unchanged(
        self, rig: SinkRig, column: str, value: object, rows: int
    ) -> None:
        """Numbers keep every digit, days and times stay where they were."""
        view = view_of()
        batch = batch_of(view, [person(f"{at:04d}") | {column: value} for at in range(rows)])
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch)

        stored = await rig.stored(view)
        assert [_exactly(row[column]) for row in stored] == [_exactly(value)] * rows

    @pytest.mark.parametrize("rows", [1, 60])
    async def test_a_record_at_the_size_limit_arrives(self, rig: SinkRig, rows: int) -> None:
        """A megabyte of text in one column is a value like any other."""
        view = view_of()
        text = "髙" * 333_333
        batch = batch_of(
            view, [person("0", name=text)] + [person(f"x{at}") for at in range(rows - 1)]
        )
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch)

        assert (await rig.stored(view))[0]["name"] == text

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_lists_of_every_kind(self, rig: SinkRig, rows: int) -> None:
        """Numbers, flags and days in lists, with nulls among them, and no list at all."""
        kinds: dict[str, tuple[pa.DataType, list[object]]] = {
            "orders": (pa.int32(), [1, None, -3]),
            "amounts": (pa.int64(), [2**40, None]),
            "flags": (pa.bool_(), [True, None, False]),
            "days": (pa.date32(), [date(2026, 4, 1), None, date(1, 1, 1)]),
        }
        view = view_of(extra=[(name, pa.list_(kind)) for name, (kind, _) in kinds.items()])
        full: Row = {name: values for name, (_, values) in kinds.items()}
        empty: Row = {name: [] for name in kinds}
        people = [person(f"{at:04d}", **full) for at in range(rows)]
        people += [person("empty", **empty), person("none")]

        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, people))

        stored = {row["subject_id"]: row for row in await rig.stored(view)}
        for name, values in full.items():
            assert stored["0000"][name] == values
            assert stored["empty"][name] == []
            assert stored["none"][name] is None

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_a_view_may_gain_a_column(self, rig: SinkRig, rows: int) -> None:
        """What was there stays, without a value in the new column; new rows have one."""
        view = view_of()
        wider = view_of(extra=[("former_name", pa.string()), ("tags", TEXTS)])
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("0")]))

        async with opened(rig.sink(), wider) as sink:
            new = [person(f"x{at}", former_name="佐藤", tags=["a"]) for at in range(rows)]
            await sink.apply(batch_of(wider, new, start=1))

        first, second, *_ = await rig.stored(wider)
        assert (first["subject_id"], first.get("former_name")) == ("0", None)
        assert (second["former_name"], second["tags"]) == ("佐藤", ["a"])


def _exactly(value: object) -> str:
    """A text that differs wherever values differ: ``-0.0`` from ``0.0``, ``True`` from ``1``."""
    return repr(value.astimezone(UTC) if isinstance(value, datetime) else value)
