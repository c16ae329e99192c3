"""What every sink must do, as tests: the contract of ``bus.connect.port.Sink``.

Subclass :class:`SinkSuite` in a test module and give it a fixture ``rig`` that yields a
:class:`SinkRig`: how to make sinks over one store, how to read back what the store holds, how to
cut the line, and how to let a crash happen at each step. Values come back as they were put in:
Python values of the view's Arrow types.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import pytest

from bus.conformance.corpus import HOSTILE_TEXT, REFUSED_TEXT
from bus.connect import Reshapes, Sink, Stages, Suppresses, Transactional
from bus.errors import (
    BusError,
    ConfigurationError,
    EditionOutdated,
    EventRefused,
    FenceBehind,
    LaneLost,
    RebuildBusy,
    SinkUnavailable,
)
from bus.model import (
    PROTECTION,
    Checkpoint,
    Delivery,
    Erasures,
    Keeping,
    Mark,
    Position,
    Protected,
    ProtectionChange,
    Reached,
    Receipt,
    Rewrites,
    Sensitivity,
    Step,
    Suppression,
    ToRestore,
    Upserts,
    View,
    ViewColumn,
    content_of,
    multirange,
)
from bus.points import Point

Row = dict[str, Any]
S = TypeVar("S", bound=Sink)

CITY = "011002"
TOPIC_PREFIX = "linkage."
NOON = datetime(2026, 4, 1, 3, 0, 0, 123456, tzinfo=UTC)
TEXTS = pa.list_(pa.string())

_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("municipality_code", pa.string()),
    ("subject_id", pa.string()),
    ("version", pa.int32()),
    ("event_id", pa.string()),
    ("event_type", pa.string()),
    ("processed_at", pa.timestamp("us", tz="UTC")),
    ("name", pa.string()),
    ("birth_date", pa.date32()),
    ("birth_date_unknown", pa.bool_()),
    ("birth_date_text", pa.string()),
    ("income", pa.int64()),
    ("share", pa.float64()),
    ("members_subject_id", TEXTS),
)
_REQUIRED = {"municipality_code", "subject_id", "version", "event_id", "event_type"}
_LOG = (("log_partition", pa.int32()), ("log_offset", pa.int64()))


class Killed(BaseException):
    """Stands for SIGKILL inside a test: nothing in the product catches it to carry on."""


class Store(Sink, Transactional, Reshapes, Suppresses, Stages, Protocol):
    """A sink that can do everything."""


class SinkRig(Protocol):
    """What a connector's author supplies. All sinks of one rig work on the same, empty store."""

    def sink(self) -> Store:
        """A new sink over the rig's store, as after a restart of the process."""

    async def stored(self, view: View) -> list[Row]:
        """What the store holds of *view*: its columns only, ordered by the view's key."""

    def cut(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Inside, the store is out of reach and open connections are broken."""

    async def drop_connections(self) -> None:
        """Break every open connection once; new ones are possible at once."""

    def killing(self, point: Point) -> contextlib.AbstractContextManager[None]:
        """Inside, passing *point* raises :class:`Killed`."""


def view_of(
    stream: str = "resident",
    keeping: Keeping = Keeping.STATE,
    extra: Sequence[tuple[str, pa.DataType]] = (),
    *,
    locations: Sequence[str] = (),
    suppression: Suppression = Suppression.WITHHOLD,
    event_types: Sequence[str] = (),
    edition: int = 0,
) -> View:
    """A view with every type that views have, and *extra* columns at its end."""
    log = _LOG if keeping is Keeping.HISTORY else ()
    columns = tuple(
        ViewColumn(
            name=name,
            path=name,
            type=kind,
            sensitivity=Sensitivity.LOCATION if name in locations else Sensitivity.PERSONAL,
            is_nullable=name not in _REQUIRED | dict(_LOG).keys(),
        )
        for name, kind in (*_COLUMNS, *log, *extra)
    )
    return View(
        system="child_allowance",
        stream=stream,
        keeping=keeping,
        columns=columns,
        event_types=frozenset(event_types),
        suppression=suppression,
        fingerprint=sha256(repr((extra, locations, suppression, event_types)).encode()).hexdigest(),
        edition=edition,
    )


def person(subject_id: str, version: int = 1, **values: object) -> Row:
    """A row of :func:`view_of`; what is not given is absent."""
    row = {
        "municipality_code": CITY,
        "subject_id": subject_id,
        "version": version,
        "event_id": f"{subject_id}-{version}",
        "event_type": "resident.moved_in",
        "processed_at": NOON,
    }
    return row | values


def batch_of(
    view: View,
    rows: Sequence[Row] = (),
    *,
    start: int = 0,
    end: int | None = None,
    partition: int = 0,
    cluster_id: str = "test-cluster",
    previous: str = "0" * 64,
) -> Upserts:
    """Rows of *view* from *start* on; they end after as many offsets as there are rows."""
    end = start + len(rows) if end is None else end
    if view.keeping is Keeping.HISTORY:
        rows = [
            {"log_partition": partition, "log_offset": start + at} | row
            for at, row in enumerate(rows)
        ]
    columns = [pa.array([row.get(f.name) for row in rows], type=f.type) for f in view.schema]
    position = Position(
        cluster_id=cluster_id,
        topic=TOPIC_PREFIX + view.stream,
        partition=partition,
        offset=end,
        last_event_id=str(rows[-1]["event_id"]) if rows else None,
    )
    step = _step(view, start, position, rows=len(rows), previous=previous)
    return Upserts(step=step, records=pa.RecordBatch.from_arrays(columns, schema=view.schema))


def erasure_of(view: View, keys: Sequence[str], *, start: int, end: int | None = None) -> Erasures:
    """Subjects of *view* go; it ends after as many offsets as there are keys."""
    end = start + len(keys) if end is None else end
    position = Position(
        cluster_id="test-cluster", topic=TOPIC_PREFIX + view.stream, partition=0, offset=end
    )
    return Erasures(step=_step(view, start, position), keys=tuple(keys))


def _step(
    view: View, start: int, end: Position, *, rows: int = 0, previous: str = "0" * 64
) -> Step:
    return Step(
        view=view,
        partition=end.partition,
        start=start,
        end=end,
        receipt=Receipt(
            system=view.system,
            stream=view.stream,
            partition=end.partition,
            start=start,
            end=end.offset,
            delivered=multirange(range(start, start + rows)),
            view=view.fingerprint,
            rows=rows,
            digest=f"{start:064d}",
            previous=previous,
        ),
    )


def rewrites_of(batch: Upserts, *keys: str, masked_under: Reached | None = None) -> Rewrites:
    """The rows of *batch* as those that the store has of *keys*, seen anew."""
    return Rewrites(step=batch.step, keys=keys, records=batch.records, masked_under=masked_under)


def rows_of(delivery: Delivery) -> list[Row]:
    """What a delivery brings to the table of its view."""
    content = content_of(delivery)
    return [] if isinstance(content, Erasures) else content.records.to_pylist()


def fenced_view(
    stream: str = "light_vehicle_tax.vehicle", suppression: Suppression = Suppression.WITHHOLD
) -> View:
    """A view with the flag, two locations, and persons and households whose they are."""
    extra = (
        ("protected", pa.bool_(), Sensitivity.PERSONAL, "protected"),
        ("kept_at_lot", pa.string(), Sensitivity.LOCATION, "kept_at.lot"),
        ("kept_at_code", pa.int32(), Sensitivity.LOCATION, "kept_at.code"),
        ("owner_id", pa.string(), Sensitivity.PERSONAL, "owner_id"),
        ("co_owners_id", TEXTS, Sensitivity.PERSONAL, "co_owners.id"),
        ("household_number", pa.string(), Sensitivity.PERSONAL, "household_number"),
    )
    columns = tuple(ViewColumn(n, path, kind, said) for n, kind, said, path in extra)
    return replace(
        view_of(stream),
        columns=(*view_of(stream).columns, *columns),
        suppression=suppression,
        located=("owner_id", "co_owners.id"),
    )


def vehicle(subject_id: str, version: int = 1, **values: object) -> Row:
    """A row of :func:`fenced_view`: nobody of it is under protection."""
    row = {"protected": False, "kept_at_lot": "１番２号", "kept_at_code": 7, "owner_id": "o"}
    return person(subject_id, version, **(row | values))


def known_to(offset: int, partition: int = 0) -> dict[str, int]:
    """How far coverage is known, of one partition of the protection stream."""
    return {f"{PROTECTION}/{partition}": offset}


def protection_of(
    *persons: str,
    start: int = 0,
    partition: int = 0,
    households: Sequence[str] = (),
    as_of: Reached | None = None,
) -> ProtectionChange:
    """Rows of the protection stream, after which *persons* are covered, as of their end if no
    more is said."""
    batch = batch_of(
        view_of("protection"), [person("p", start + 1)], start=start, partition=partition
    )
    protected = Protected(
        frozenset(f"{CITY}/{one}" for one in persons),
        frozenset(f"{CITY}/{one}" for one in households),
        as_of=known_to(start + 1, partition) if as_of is None else as_of,
    )
    return ProtectionChange(protected=protected, brought_by=batch)


@contextlib.asynccontextmanager
async def opened(sink: S, view: View) -> AsyncIterator[S]:
    """*sink*, open, and closed at the end whatever happens."""
    try:
        await sink.open(view)
        yield sink
    finally:
        await sink.close()


CRASHES = [  # a few rows may be one step of the store's, without a point inside
    (Point.SINK_MOVED, 500),
    (Point.SINK_WRITTEN, 500),
    (Point.SINK_COMMITTED, 1),
    (Point.SINK_COMMITTED, 500),
]


class SinkSuite:
    """Collected once per connector; the ``rig`` fixture says which."""

    async def test_an_empty_store_starts_from_the_beginning(self, rig: SinkRig) -> None:
        """A store that never held the stream asks for everything."""
        sink = rig.sink()
        try:
            await sink.open(view_of())
            assert dict(await sink.checkpoints()) == {}
            assert await sink.checkpoint(0) is None
        finally:
            await sink.close()

    async def test_rows_and_position_are_there_after_a_restart(self, rig: SinkRig) -> None:
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

    async def test_the_time_of_applying_is_the_present(self, rig: SinkRig) -> None:
        """The store's own clock is given with its zone."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            applied = await sink.apply(batch_of(view, [person("1")]))

        assert abs(datetime.now(UTC) - applied.applied_at) < timedelta(minutes=5)

    async def test_repeating_a_batch_changes_nothing(self, rig: SinkRig) -> None:
        """A batch that was applied before the crash may come again: it is turned away."""
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
        self, rig: SinkRig, keeping: Keeping
    ) -> None:
        """A log that is read again from further back (a replay) leaves the rows as they are."""
        view = view_of(keeping=keeping)
        rows = [person("1", name="a"), person("2", name="b")]
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, rows))
            once = await rig.stored(view)
            replayed = [row | {"log_offset": at} for at, row in enumerate(rows)]
            applied = await sink.apply(batch_of(view, replayed, start=2))

        assert applied.rows == 0
        assert await rig.stored(view) == once

    async def test_an_older_version_never_replaces_a_newer(self, rig: SinkRig) -> None:
        """Reordering ends with the newest state."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1", 3, name="new")]))
            applied = await sink.apply(batch_of(view, [person("1", 2, name="old")], start=1))

        assert applied.rows == 0
        assert [(r["version"], r["name"]) for r in await rig.stored(view)] == [(3, "new")]

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
        """The newest one stays, in whatever order they stand, in a small batch and a large."""
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

    async def test_an_empty_batch_moves_the_position(self, rig: SinkRig) -> None:
        """Events that the view filters out are behind the lane all the same."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            applied = await sink.apply(batch_of(view, end=100))
            checkpoint = await sink.checkpoint(0)
            await sink.apply(batch_of(view, [person("1")], start=100))

        assert applied.rows == 0
        assert checkpoint is not None
        assert checkpoint.position.offset == 100

    async def test_partitions_have_positions_of_their_own(self, rig: SinkRig) -> None:
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

    async def test_streams_do_not_mix(self, rig: SinkRig) -> None:
        """Two streams of one system share a store and nothing else."""
        resident, household = view_of(), view_of("household")
        async with opened(rig.sink(), resident) as one, opened(rig.sink(), household) as two:
            await one.apply(batch_of(resident, [person("1")]))
            await two.apply(batch_of(household, [person("2")]))

        assert [row["subject_id"] for row in await rig.stored(resident)] == ["1"]
        assert [row["subject_id"] for row in await rig.stored(household)] == ["2"]

    @pytest.mark.parametrize("rows", [1, 100])
    async def test_a_sink_that_is_not_open_says_where_all_lanes_stand(
        self, rig: SinkRig, rows: int
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
            replayed = await one.apply(batch_of(resident, [person("x")], start=10, end=10))
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
        assert again == marks | {("resident", 0): Mark(10, replayed.applied_at)}
        assert replayed.applied_at > first.applied_at

    # -- who owns the lane

    @pytest.mark.parametrize("start", [1, 7])
    async def test_a_new_lane_starts_at_nought(self, rig: SinkRig, start: int) -> None:
        """A batch that starts further on has lost something before it."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("1")], start=start))
            assert await sink.checkpoint(0) is None

        assert await rig.stored(view) == []

    @pytest.mark.parametrize("late", [0, 1])
    async def test_a_second_owner_cannot_write(self, rig: SinkRig, late: int) -> None:
        """Two that believe they own a lane: whoever comes second writes nothing."""
        view = view_of()
        owners = [rig.sink(), rig.sink()]
        async with opened(owners[late], view) as loser, opened(owners[1 - late], view) as winner:
            await winner.apply(batch_of(view, [person("1", name="winner")]))
            with pytest.raises(LaneLost):
                await loser.apply(batch_of(view, [person("2", name="loser")]))

        assert [row["name"] for row in await rig.stored(view)] == ["winner"]

    @pytest.mark.parametrize("rows", [1, 500])
    async def test_of_two_owners_at_once_one_writes(self, rig: SinkRig, rows: int) -> None:
        """The same at the same moment, again and again, in small batches and large."""
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

    async def test_a_position_of_another_cluster_is_not_moved(self, rig: SinkRig) -> None:
        """The same offset of another log is no reason to write."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("2")], start=1, cluster_id="another"))

        assert len(await rig.stored(view)) == 1

    async def test_a_lost_lane_leaves_the_sink_usable(self, rig: SinkRig) -> None:
        """One lane that is lost does not stop the others of its sink."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("1")], start=5))
            await sink.apply(batch_of(view, [person("2")], partition=1))

        assert [row["subject_id"] for row in await rig.stored(view)] == ["2"]

    async def test_a_replay_writes_and_stays_where_it_is(self, rig: SinkRig) -> None:
        """Parked events are applied later without moving the lane, and leave their receipt."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            first = batch_of(view, [person("1"), person("2")], end=10)
            await sink.apply(first)
            replay = batch_of(view, [person("3")], start=10, end=10, previous=first.receipt.chain)
            applied = await sink.apply(replay)
            checkpoint = await sink.checkpoint(0)

        assert applied.rows == 1
        assert checkpoint is not None
        assert checkpoint.position == first.end
        assert checkpoint.receipt == replay.receipt
        assert len(await rig.stored(view)) == 3

    async def test_a_replay_elsewhere_is_turned_away(self, rig: SinkRig) -> None:
        """A replay by somebody who no longer owns the lane writes nothing."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")], end=10))
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("3")], start=9, end=9))

        assert len(await rig.stored(view)) == 1

    # -- erasure

    async def test_an_erased_subject_is_gone(self, rig: SinkRig) -> None:
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

    async def test_a_history_outlives_an_erasure(self, rig: SinkRig) -> None:
        """That something was delivered stays true."""
        view = view_of(keeping=Keeping.HISTORY)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            applied = await sink.apply(erasure_of(view, [f"{CITY}/1"], start=1))

        assert applied.rows == 0
        assert len(await rig.stored(view)) == 1

    # -- crashes, cuts and closing

    @pytest.mark.parametrize(("point", "rows"), CRASHES)
    async def test_a_crash_leaves_rows_and_position_or_neither(
        self, rig: SinkRig, point: Point, rows: int
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
    async def test_a_dropped_connection_is_made_anew(self, rig: SinkRig, rows: int) -> None:
        """The batch in hand is answered with a retry, and the retry succeeds or is turned away."""
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

    async def test_a_store_that_is_away_is_a_retry(self, rig: SinkRig) -> None:
        """Every question is answered with the error that says try again; later it works."""
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
        self, rig: SinkRig, rows: int, after_ms: int
    ) -> None:
        """A sink that is closed under a running batch finishes it or undoes it."""
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
    async def test_a_cancelled_apply_tears_nothing(self, rig: SinkRig, rows: int) -> None:
        """A task that is cancelled in the middle leaves the sink usable and the store whole."""
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

    async def test_a_closed_sink_may_be_opened_again(self, rig: SinkRig) -> None:
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

    # -- protection

    async def test_a_protection_takes_locations_out(self, rig: SinkRig) -> None:
        """By owner, by one of several, by household; of other tables than its own; at once."""
        view = fenced_view()
        async with opened(rig.sink(), view) as sink:
            rows = [
                vehicle("1", owner_id="a"),
                vehicle("2", co_owners_id=["x", "a"]),
                vehicle("3", household_number="h"),
                vehicle("4", owner_id=None),
                vehicle("5", owner_id="a", municipality_code="131016"),
            ]
            await sink.apply(batch_of(view, rows))
        async with opened(rig.sink(), view_of("protection")) as sink:
            applied = await sink.apply(protection_of("a", households=["h"]))

        assert applied.rows == 1
        found = {
            row["subject_id"]: (row["protected"], row["kept_at_lot"], row["kept_at_code"])
            for row in await rig.stored(view)
        }
        gone, there = (True, None, None), (False, "１番２号", 7)
        assert found == {"1": gone, "2": gone, "3": gone, "4": there, "5": there}

    async def test_a_capable_system_is_given_the_flag(self, rig: SinkRig) -> None:
        """Its locations stay; that it may not show them it knows at once."""
        view = fenced_view(suppression=Suppression.CAPABLE)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a")]))
        async with opened(rig.sink(), view_of("protection")) as sink:
            await sink.apply(protection_of("a"))

        (row,) = await rig.stored(view)
        assert (row["protected"], row["kept_at_lot"]) == (True, "１番２号")

    async def test_a_system_that_became_capable_keeps_its_locations(self, rig: SinkRig) -> None:
        """What an earlier view withheld is noted no longer."""
        for suppression in Suppression:
            async with opened(rig.sink(), fenced_view(suppression=suppression)):
                pass
        view = fenced_view(suppression=Suppression.CAPABLE)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a")]))
        async with opened(rig.sink(), view_of("protection")) as sink:
            await sink.apply(protection_of("a"))

        assert [row["kept_at_lot"] for row in await rig.stored(view)] == ["１番２号"]

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_what_was_masked_under_too_little_is_refused(
        self, rig: SinkRig, rows: int
    ) -> None:
        """A batch that does not know of a protection that is applied here is to be masked again."""
        view = fenced_view()
        async with opened(rig.sink(), view_of("protection")) as sink:
            await sink.apply(protection_of("a"))
            both = known_to(1) | known_to(1, 2)
            await sink.apply(protection_of("a", partition=2, as_of=both))
        batch = batch_of(view, [vehicle(f"{at:04d}") for at in range(rows)])
        async with opened(rig.sink(), view) as sink:
            too_little = (known_to(1), known_to(0) | known_to(1, 2), known_to(9, 1))
            for masked_under in (None, {}, *too_little):
                with pytest.raises(FenceBehind):
                    await sink.apply(replace(batch, masked_under=masked_under))
            assert await sink.checkpoint(0) is None
            enough = replace(batch, masked_under=known_to(1) | known_to(0, 1) | known_to(5, 2))
            applied = await sink.apply(enough)
            with pytest.raises(LaneLost):
                await sink.apply(enough)

        assert applied.rows == len(await rig.stored(view)) == rows

    async def test_an_end_writes_down_what_may_come_back(self, rig: SinkRig) -> None:
        """Rows that nobody covers any more; the same versions, seen anew, and no others."""
        view = fenced_view()
        rows = [vehicle("1", 3, owner_id="a"), vehicle("2", 1, owner_id="b")]
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            await sink.apply(batch_of(view, rows))
            await protection.apply(protection_of("a", "b"))
            assert await sink.to_restore() == ToRestore(known_to(1), {})
            await protection.apply(protection_of("b", start=1))
            assert await sink.to_restore() == ToRestore(known_to(2), {f"{CITY}/1": 3})

            anew = [vehicle("1", 2, name="older"), vehicle("1", 3), vehicle("2", 2)]
            batch = rewrites_of(batch_of(view, anew, start=2, end=2), f"{CITY}/1")
            with pytest.raises(FenceBehind):
                await sink.apply(replace(batch, masked_under=known_to(1)))
            applied = await sink.apply(replace(batch, masked_under=known_to(2)))
            assert applied.rows == 1
            assert (await sink.to_restore()).rows == {}
            checkpoint = await sink.checkpoint(0)

        assert checkpoint is not None
        assert checkpoint.receipt == batch.receipt
        assert [
            (row["version"], row["protected"], row["kept_at_lot"], row["name"])
            for row in await rig.stored(view)
        ] == [(3, False, "１番２号", None), (1, True, None, None)]

    async def test_a_fresh_table_is_no_way_round_a_protection(self, rig: SinkRig) -> None:
        """What a rebuild has filled before the start is emptied too, and refused after it; what
        may come back after the swap is known of the table in use."""
        view = fenced_view()
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            rows = [vehicle("1", owner_id="a"), vehicle("2", owner_id="b")]
            await sink.apply(batch_of(view, rows))
            async with opened(sink.fresh(), view) as fresh:
                await fresh.apply(batch_of(view, rows))
                await protection.apply(protection_of("a"))
                late = batch_of(view, [vehicle("3", owner_id="a")], start=2)
                with pytest.raises(FenceBehind):
                    await fresh.apply(replace(late, masked_under={}))
                await protection.apply(protection_of(start=1))
                async with fresh.hold() as held:
                    await held.swap(())

            found = [(r["protected"], r["kept_at_lot"]) for r in await rig.stored(view)]
            assert found == [(True, None), (False, "１番２号")]
            assert await sink.to_restore() == ToRestore(known_to(2), {f"{CITY}/1": 1})

    async def test_a_rebuilt_protection_stream_protects_from_its_new_positions(
        self, rig: SinkRig
    ) -> None:
        """What it is filled with on the way says nothing to the other tables; its swap does."""
        view, protections = fenced_view(), view_of("protection")
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, protections):
            rows = [vehicle("1", owner_id="a"), vehicle("2", owner_id="b")]
            await sink.apply(batch_of(view, rows))
            await protection.apply(protection_of("a", start=0))
            await protection.apply(protection_of("a", start=1))
            async with opened(protection.fresh(), protections) as fresh:
                for start in range(3):
                    filled = protection_of("a", start=start).brought_by
                    await fresh.apply(filled)
                assert (await sink.to_restore()).reached == known_to(2)
                async with fresh.hold() as held:
                    everybody = frozenset(f"{CITY}/{one}" for one in "ab")
                    await held.swap((), Protected(everybody, as_of=known_to(3)))

            assert (await sink.to_restore()).reached == known_to(3)
            assert [row["kept_at_lot"] for row in await rig.stored(view)] == [None, None]
            late = batch_of(view, [vehicle("3", owner_id="b")], start=2)
            with pytest.raises(FenceBehind):
                await sink.apply(replace(late, masked_under=known_to(2)))

    async def test_coverage_changes_without_the_protection_stream(self, rig: SinkRig) -> None:
        """Somebody joins a household, or leaves it: the lane stays where it is, the rows follow,
        and what was masked before is refused."""
        view, joined = fenced_view(), {"household/3": 7}
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            rows = [vehicle("1", owner_id="a"), vehicle("2", owner_id="b")]
            await sink.apply(batch_of(view, rows))
            await protection.apply(protection_of("a"))
            standing = batch_of(view_of("protection"), start=1, end=1)
            both = protection_of("a", "b", as_of=known_to(1) | joined).protected
            await protection.apply(ProtectionChange(protected=both, brought_by=standing))

            assert [row["kept_at_lot"] for row in await rig.stored(view)] == [None, None]
            assert (await sink.to_restore()).reached == known_to(1) | joined
            assert (await protection.to_restore()).reached == known_to(1) | joined
            held = await protection.checkpoint(0)
            assert held is not None
            assert held.position.offset == 1
            late = batch_of(view, [vehicle("3", owner_id="b")], start=2)
            for known in (known_to(9), known_to(1) | {"household/3": 6}):
                with pytest.raises(FenceBehind):
                    await sink.apply(replace(late, masked_under=known))

            alone = protection_of("a", as_of=known_to(1) | {"household/3": 8}).protected
            await protection.apply(ProtectionChange(protected=alone, brought_by=standing))
            assert (await sink.to_restore()).rows == {f"{CITY}/2": 1}

    async def test_older_coverage_than_the_store_has_is_refused(self, rig: SinkRig) -> None:
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

            async with opened(protection.fresh(), protections) as fresh:
                await fresh.apply(protection_of("a").brought_by)
                async with fresh.hold() as holding:
                    with pytest.raises(FenceBehind):
                        await holding.swap((), Protected(as_of=known_to(1)))
                    await holding.swap((), Protected(as_of=enough))
            assert (await sink.to_restore()).rows == {f"{CITY}/1": 1}

    async def test_a_flag_without_a_location_follows_coverage(self, rig: SinkRig) -> None:
        """In the store of a system that is not given the protection stream: a lane of the stream
        itself tells it, and moves nowhere; what it wrote down comes back as anywhere."""
        full = fenced_view()
        columns = tuple(c for c in full.columns if c.sensitivity is not Sensitivity.LOCATION)
        view = replace(full, columns=columns)
        async with opened(rig.sink(), view) as sink:
            rows = [vehicle("1", owner_id="a"), vehicle("2", owner_id="b")]
            await sink.apply(batch_of(view, rows))
            held = batch_of(view, start=2, end=2)
            for persons, known in ((["a", "b"], 1), (["b"], 2)):
                word = protection_of(*persons, as_of=known_to(known)).protected
                await sink.apply(ProtectionChange(protected=word, brought_by=held))
                assert [row["protected"] for row in await rig.stored(view)] == [True, True]
            assert await sink.to_restore() == ToRestore(known_to(2), {f"{CITY}/1": 1})
            anew = rewrites_of(batch_of(view, rows[:1], start=2, end=2), f"{CITY}/1")
            with pytest.raises(FenceBehind):
                await sink.apply(replace(anew, masked_under=known_to(1)))
            await sink.apply(replace(anew, masked_under=known_to(2)))
            assert (await sink.to_restore()).rows == {}
            stands = await sink.checkpoint(0)

        assert stands is not None
        assert stands.position.offset == 2
        assert [row["protected"] for row in await rig.stored(view)] == [False, True]

    @pytest.mark.parametrize(
        "spelled",
        [
            "12345674", "0012345674", "000000012345674", "000000012345674 ", " 12345674",
            "0000000000012345674", "0000000-12345674", "１２３４５６７４", "000000012345674\u3000",
        ],
    )  # fmt: skip
    async def test_a_number_is_found_in_every_spelling(self, rig: SinkRig, spelled: str) -> None:
        """What was stored before a site kept one form is taken out, and given back, all the same;
        by a person, by one of several and by household."""
        view, number = fenced_view(), "000000012345674"
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            rows = [
                vehicle("1", owner_id=spelled),
                vehicle("2", co_owners_id=["x", spelled]),
                vehicle("3", household_number=spelled),
                vehicle("4", owner_id="000000012345675"),
            ]
            await sink.apply(batch_of(view, rows))
            await protection.apply(protection_of(number, households=[number]))
            found = [row["protected"] for row in await rig.stored(view)]
            assert found == [True, True, True, False]
            await protection.apply(protection_of(number, start=1))
            assert (await sink.to_restore()).rows == {f"{CITY}/3": 1}

    async def test_what_is_gone_need_not_come_back(self, rig: SinkRig) -> None:
        """A subject that was erased meanwhile is done with like any other."""
        view = fenced_view()
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a", protected=True)]))
            await protection.apply(protection_of())
            await sink.apply(erasure_of(view, [f"{CITY}/1"], start=1))
            assert (await sink.to_restore()).rows == {f"{CITY}/1": 0}
            batch = batch_of(view, start=2, end=2)
            await sink.apply(rewrites_of(batch, f"{CITY}/1"))
            assert (await sink.to_restore()).rows == {}

    async def test_a_protection_that_is_turned_away_takes_nothing(self, rig: SinkRig) -> None:
        """A second owner of the protection lane changes nothing of other tables either."""
        view = fenced_view()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a")]))
        async with opened(rig.sink(), view_of("protection")) as sink:
            with pytest.raises(LaneLost):
                await sink.apply(protection_of("a", start=5))

        assert [row["protected"] for row in await rig.stored(view)] == [False]

    async def test_an_erased_protection_is_applied_like_another(self, rig: SinkRig) -> None:
        """Its row goes, and whoever it covered may be shown again."""
        view = fenced_view()
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a")]))
            await protection.apply(protection_of("a"))
            erased = erasure_of(view_of("protection"), [f"{CITY}/p"], start=1)
            nobody = Protected(as_of=known_to(2))
            await protection.apply(ProtectionChange(protected=nobody, brought_by=erased))

            assert (await sink.to_restore()).rows == {f"{CITY}/1": 1}
        assert await rig.stored(view_of("protection")) == []

    # -- values

    @pytest.mark.parametrize("rows", [1, 200])
    @pytest.mark.parametrize("name", sorted(HOSTILE_TEXT))
    async def test_text_arrives_unchanged(self, rig: SinkRig, name: str, rows: int) -> None:
        """Text that breaks naive writers comes through as it went in."""
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
        """A subject is found again under whatever its number looks like."""
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

    @pytest.mark.parametrize("others", [0, 200])
    @pytest.mark.parametrize("name", sorted(REFUSED_TEXT))
    async def test_a_refused_row_writes_nothing(self, rig: SinkRig, name: str, others: int) -> None:
        """One row that the store will never take: nothing of the batch is there, and it says so
        without the value."""
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

    async def test_an_erasure_may_leave_the_position_where_it_is(self, rig: SinkRig) -> None:
        """A subject that leaves a view goes before its batch is written; then the batch moves."""
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

    # -- the view changes

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

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_a_column_that_a_view_loses_is_emptied_at_once(
        self, rig: SinkRig, rows: int
    ) -> None:
        """A grant that was withdrawn: no row waits for its next event to be rid of it."""
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

    async def test_a_column_that_is_masked_otherwise_is_emptied(self, rig: SinkRig) -> None:
        """What it holds was not masked so; new rows have what the new mask leaves, of its type."""
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

    async def test_locations_go_with_the_trust(self, rig: SinkRig) -> None:
        """A system that suppressed addresses itself, and no longer may, keeps none of them."""
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

    async def test_rows_of_events_that_are_no_longer_selected_go(self, rig: SinkRig) -> None:
        """A view that loses rows, by the type of the event that wrote them."""
        both = view_of(event_types=["resident.moved_in", "resident.died"])
        one = view_of(event_types=["resident.moved_in"], edition=1)
        rows = [person("1"), person("2", event_type="resident.died")]
        async with opened(rig.sink(), both) as sink:
            await sink.apply(batch_of(both, rows))

        async with opened(rig.sink(), one) as sink:
            checkpoint = await sink.checkpoint(0)

        assert [row["subject_id"] for row in await rig.stored(one)] == ["1"]
        assert checkpoint is not None
        assert checkpoint.position.offset == 2

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_an_older_edition_is_turned_away(self, rig: SinkRig, rows: int) -> None:
        """A process that has not heard of the new edition can bring nothing back; it waits."""
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

    async def test_two_views_of_one_edition_do_not_take_turns(self, rig: SinkRig) -> None:
        """Processes of two releases: the one that opened first stops, and says so."""
        old, new = view_of(), view_of(extra=[("former_name", pa.string())])
        async with opened(rig.sink(), old) as first:
            async with opened(rig.sink(), new) as second:
                with pytest.raises(ConfigurationError):
                    await first.apply(batch_of(old, [person("1")]))
                await second.apply(batch_of(new, [person("1", former_name="佐藤")]))

        assert [row["former_name"] for row in await rig.stored(new)] == ["佐藤"]

    async def test_a_stream_that_is_withdrawn_leaves_nothing(self, rig: SinkRig) -> None:
        """Rows and positions go; what is still granted stays; granted again, it starts anew."""
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

    async def test_a_newer_grant_is_not_withdrawn(self, rig: SinkRig) -> None:
        """By a process that does not know of it yet."""
        view = view_of(edition=2)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))

        assert list(await rig.sink().withdraw((), 1)) == []
        assert len(await rig.stored(view)) == 1

    async def test_an_empty_store_has_nothing_to_withdraw(self, rig: SinkRig) -> None:
        """Not even the bus's own tables."""
        assert list(await rig.sink().withdraw((), 1)) == []

    # -- a rebuild

    @pytest.mark.parametrize("rows", [2, 200])
    async def test_a_fresh_table_takes_the_place_of_the_one_in_use(
        self, rig: SinkRig, rows: int
    ) -> None:
        """Rows that were missing come, others go, positions and receipt with them; until then
        nobody sees any of it."""
        view = view_of()
        old = [person("gone", 9), *(person(f"{at:03d}", name="old") for at in range(rows))]
        new = [person(f"{at:03d}", name="new") for at in range(rows)] + [person("new")]
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, old, end=400))
            before = await rig.stored(view)
            fresh = sink.fresh()
            async with opened(fresh, view):
                batch = batch_of(view, new, end=400)
                await fresh.apply(batch)
                assert await rig.stored(view) == before
                async with fresh.hold() as held:
                    assert held.checkpoints[0].position.offset == 400
                    swapped = await held.swap(())
            after = await rig.stored(view)
            checkpoint = await sink.checkpoint(0)
            await sink.apply(batch_of(view, [person("next")], start=400))

        assert (swapped.changed, swapped.added, swapped.removed) == (rows, 1, 1)
        assert [(r["subject_id"], r["name"]) for r in after] == [
            *((f"{at:03d}", "new") for at in range(rows)), ("new", None),
        ]  # fmt: skip
        assert checkpoint is not None
        assert checkpoint.receipt == batch.receipt
        assert len(await rig.stored(view)) == rows + 2

    async def test_a_lane_of_before_the_swap_is_lost(self, rig: SinkRig) -> None:
        """It learns that its position has moved, and asks again."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            async with opened(sink.fresh(), view) as fresh:
                await fresh.apply(batch_of(view, [person("1")], end=7))
                async with fresh.hold() as held:
                    await held.swap(())
            with pytest.raises(LaneLost):
                await sink.apply(batch_of(view, [person("2")], start=1))

    async def test_nobody_writes_while_the_table_is_held(self, rig: SinkRig) -> None:
        """Whoever comes waits, and is turned away if it was swapped meanwhile."""
        view = view_of()
        async with opened(rig.sink(), view) as sink, opened(rig.sink(), view) as other:
            await sink.apply(batch_of(view, [person("1")]))
            async with opened(sink.fresh(), view) as fresh:
                async with fresh.hold() as held:
                    late = asyncio.ensure_future(
                        other.apply(batch_of(view, [person("late")], start=1))
                    )
                    await asyncio.sleep(0.2)
                    assert not late.done()
                    await fresh.apply(batch_of(view, [person("1")], end=5))
                    await held.swap(())
            with pytest.raises(LaneLost):
                await late

        assert [row["subject_id"] for row in await rig.stored(view)] == ["1"]

    async def test_the_fresh_table_may_be_opened_anew_while_the_other_is_held(
        self, rig: SinkRig
    ) -> None:
        """A store that was away for a moment must not keep a rebuild waiting for itself."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            fresh = sink.fresh()
            async with opened(fresh, view), fresh.hold() as held:
                again = sink.fresh()
                await fresh.close()
                async with asyncio.timeout(5), opened(again, view):
                    await again.apply(batch_of(view, [person("1"), person("2")], end=1))
                    await held.swap(())

        assert [row["subject_id"] for row in await rig.stored(view)] == ["1", "2"]

    async def test_a_table_that_is_let_go_of_is_as_it_was(self, rig: SinkRig) -> None:
        """Held and not swapped: the lanes go on."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            async with opened(sink.fresh(), view) as fresh:
                async with fresh.hold():
                    pass
                await sink.apply(batch_of(view, [person("2")], start=1))

        assert len(await rig.stored(view)) == 2

    async def test_a_rebuild_is_taken_up_where_it_was_left(self, rig: SinkRig) -> None:
        """The next process finds what was filled, with its positions; or drops it."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")], end=9))
            async with opened(sink.fresh(), view) as fresh:
                await fresh.apply(batch_of(view, [person("1")], end=5))
            async with opened(rig.sink().fresh(), view) as again:
                found = await again.checkpoint(0)
                await again.drop()
            async with opened(rig.sink().fresh(), view) as anew:
                dropped = await anew.checkpoint(0)

        assert found is not None
        assert found.position.offset == 5
        assert dropped is None
        assert len(await rig.stored(view)) == 1

    async def test_what_is_half_full_can_be_taken_away(self, rig: SinkRig) -> None:
        """By whoever comes, unless it is being filled; the table in use is as it was."""
        view, other = view_of(), view_of(extra=[("former_name", pa.string())])
        assert await rig.sink().fresh().left(view) is None
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")], end=9))
            assert await sink.fresh().discard(view) is None
            async with opened(sink.fresh(), view) as fresh:
                await fresh.apply(batch_of(view, [person("1"), person("2")], end=5))
                with pytest.raises(RebuildBusy):
                    await rig.sink().fresh().discard(view)
            left = await rig.sink().fresh().left(view)
            gone = await rig.sink().fresh().discard(other)
            assert await rig.sink().fresh().left(view) is None
            async with opened(rig.sink().fresh(), view) as anew:
                assert await anew.checkpoint(0) is None

        assert left is not None
        assert (left.rows, left.events, left.since is not None) == (2, 5, True)
        assert gone == left
        assert len(await rig.stored(view)) == 1

    async def test_two_processes_do_not_rebuild_one_table(self, rig: SinkRig) -> None:
        """The second is told so; another table is its own."""
        view, other = view_of(), view_of("household")
        async with opened(rig.sink(), view) as sink, opened(rig.sink(), other):
            async with opened(sink.fresh(), view):
                second = rig.sink().fresh()
                with pytest.raises(RebuildBusy):
                    await second.open(view)
                await second.close()
                async with opened(rig.sink().fresh(), other):
                    pass
            async with opened(rig.sink().fresh(), view):
                pass

    async def test_what_is_filled_goes_when_the_view_changes(self, rig: SinkRig) -> None:
        """It may hold what the new view does not show; it can neither be filled on nor swapped."""
        view = view_of(extra=[("former_name", pa.string())])
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1")]))
            async with opened(sink.fresh(), view) as fresh:
                await fresh.apply(batch_of(view, [person("1", former_name="a")]))
                async with opened(rig.sink(), view_of(edition=1)):
                    pass
                with pytest.raises(BusError):
                    await fresh.apply(batch_of(view, [person("2")], start=1))
                with pytest.raises(ConfigurationError):
                    async with fresh.hold():
                        pass
            again = rig.sink().fresh()
            with pytest.raises(ConfigurationError):
                await again.open(view)
            await again.close()

    async def test_no_row_goes_down(self, rig: SinkRig) -> None:
        """An event that was set aside when the fresh table passed it, and applied before or since;
        and whatever else is newer than what the log gave. It is told how many."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            rows = [person("old", 5), person("1"), person("2"), person("3"), person("4", 9)]
            await sink.apply(batch_of(view, rows))
            async with opened(sink.fresh(), view) as fresh:
                await fresh.apply(batch_of(view, [person("1"), person("4", 8)], end=3))
                settled = [person("1", 2, name="tried again"), person("2", 2)]
                await sink.apply(batch_of(view, settled, start=5, end=5))
                async with fresh.hold() as held:
                    swapped = await held.swap([f"{CITY}/1", f"{CITY}/2", f"{CITY}/3"])

        assert [(r["subject_id"], r["version"], r["name"]) for r in await rig.stored(view)] == [
            ("1", 2, "tried again"), ("2", 2, None), ("3", 1, None), ("4", 9, None),
        ]  # fmt: skip
        assert (swapped.changed, swapped.removed, swapped.kept) == (0, 1, 4)

    async def test_a_swap_that_is_cut_short_never_was(self, rig: SinkRig) -> None:
        """Rows and positions in use are what they were, and the fresh table waits."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person("1", name="old")]))
            async with opened(sink.fresh(), view) as fresh:
                await fresh.apply(batch_of(view, [person("1", name="new")]))
                with rig.killing(Point.SINK_MERGED), pytest.raises(Killed):
                    async with fresh.hold() as held:
                        await held.swap(())
                assert [row["name"] for row in await rig.stored(view)] == ["old"]
                async with fresh.hold() as held:
                    await held.swap(())

        assert [row["name"] for row in await rig.stored(view)] == ["new"]

    async def test_a_history_is_not_rebuilt(self, rig: SinkRig) -> None:
        """It is not the newest state of anything."""
        view = view_of(keeping=Keeping.HISTORY)
        async with opened(rig.sink(), view) as sink:
            fresh = sink.fresh()
            with pytest.raises(ConfigurationError):
                await fresh.open(view)
            await fresh.close()


def assert_no_value(error: BaseException, *values: str) -> None:
    """No text of *error*, nor of what caused it, holds one of *values*: it could be logged."""
    seen: BaseException | None = error
    while seen is not None:
        for value in values:
            assert value not in str(seen)
            assert value not in repr(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _exactly(value: object) -> str:
    """Text that differs where values differ: ``-0.0`` from ``0.0``, ``True`` from ``1``."""
    return repr(value.astimezone(UTC) if isinstance(value, datetime) else value)
