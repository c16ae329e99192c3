"""Projection against a slow reference that walks rows, and what it refuses.

The reference shares no code with the product: it works on plain dictionaries, one row and one
column at a time. Random nested records, random views, random slices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import FieldWithheld, SchemaMismatch
from bus.model import Keeping, Sensitivity, Suppression, View, ViewColumn
from bus.policy import project

EVENT_TYPES = ("resident.moved_in", "resident.died", "resident.born")
TIMES = st.datetimes(timezones=st.just(UTC))
SCALARS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), st.text(max_size=6) | st.sampled_from(["𠮷野", "葛󠄀城", ""])),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates()),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.timestamp("us", tz="UTC"), TIMES),
    (pa.list_(pa.string()), st.lists(st.text(max_size=3), max_size=3)),
]


@dataclass(frozen=True)
class Shape:
    """A random type, values of it, and the flat columns it has."""

    type: pa.DataType
    values: st.SearchStrategy[Any]
    leaves: tuple[tuple[str, pa.DataType], ...]  # path below, type of the column


@st.composite
def shapes(draw: st.DrawFn, depth: int = 3, lists: bool = True) -> Shape:
    """A scalar, a record of shapes, or a list of records of scalars."""
    kind = draw(st.sampled_from(["scalar", "record", "list"] if depth else ["scalar"]))
    if kind == "list" and lists:
        inner = draw(records(depth=1, lists=False))
        return Shape(
            pa.list_(inner.type),
            st.lists(inner.values, max_size=3) | st.none(),
            tuple((path, pa.list_(kind)) for path, kind in inner.leaves),
        )
    if kind == "record":
        record = draw(records(depth=depth - 1, lists=lists))
        return replace(record, values=record.values | st.none())
    choice, values = draw(st.sampled_from(SCALARS if lists else SCALARS[:-1]))
    return Shape(choice, values | st.none(), (("", choice),))


@st.composite
def records(draw: st.DrawFn, depth: int, lists: bool = True) -> Shape:
    """A record of one to three shapes; never null by itself."""
    parts = draw(st.lists(shapes(depth=depth, lists=lists), min_size=1, max_size=3))
    named = {f"f{index}": part for index, part in enumerate(parts)}
    return Shape(
        pa.struct([pa.field(name, part.type) for name, part in named.items()]),
        st.fixed_dictionaries({name: part.values for name, part in named.items()}),
        tuple(
            (f"{name}.{path}" if path else name, kind)
            for name, part in named.items()
            for path, kind in part.leaves
        ),
    )


HEADER = pa.struct(
    [
        pa.field("municipality_code", pa.string(), nullable=False),
        pa.field("subject_id", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Case:
    view: View
    batch: pa.RecordBatch
    protected: list[bool | None]
    offsets: list[int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A batch (often a slice of a larger one) and a view of it."""
    body = draw(records(depth=2))
    schema = pa.schema(
        [pa.field("header", HEADER, nullable=False)]
        + [body.type.field(i) for i in range(body.type.num_fields)]
        + [pa.field("protected", pa.bool_(), nullable=False)]
    )
    row = st.builds(
        lambda header, body, protected: {"header": header, **body, "protected": protected},
        st.fixed_dictionaries(
            {
                "municipality_code": st.sampled_from(["131041", "011002"]),
                "subject_id": st.sampled_from(["1", "2", "3"]),
                "event_type": st.sampled_from(EVENT_TYPES),
            }
        ),
        body.values,
        st.booleans(),
    )
    rows = draw(st.lists(row, max_size=8))
    skip = draw(st.integers(0, len(rows)))
    batch = pa.RecordBatch.from_pylist(rows, schema=schema).slice(skip)

    kinds = st.sampled_from([Sensitivity.PLAIN, Sensitivity.PERSONAL, Sensitivity.LOCATION])
    chosen = draw(st.lists(st.sampled_from(body.leaves), unique=True))
    columns = [
        ViewColumn("subject_id", "header.subject_id", pa.string(), Sensitivity.PERSONAL),
        ViewColumn("event_type", "header.event_type", pa.string(), Sensitivity.PLAIN),
        ViewColumn("protected", "protected", pa.bool_(), Sensitivity.PERSONAL),
        *(ViewColumn(path.replace(".", "_"), path, kind, draw(kinds)) for path, kind in chosen),
        ViewColumn("log_partition", "", pa.int32(), Sensitivity.PLAIN),
        ViewColumn("log_offset", "", pa.int64(), Sensitivity.PLAIN),
    ]
    view = View(
        "system",
        "resident",
        Keeping.STATE,
        tuple(columns),
        frozenset(draw(st.sets(st.sampled_from(EVENT_TYPES)))),
        draw(st.sampled_from(Suppression)),
        "f" * 64,  # on purpose the same for all: a plan must never be another view's
    )
    rows_left = batch.num_rows
    return Case(
        view,
        batch,
        draw(st.lists(st.booleans() | st.none(), min_size=rows_left, max_size=rows_left)),
        draw(
            st.lists(
                st.integers(0, 2**40), min_size=rows_left, max_size=rows_left, unique=True
            ).map(sorted)
        ),
    )


def reference(case: Case, partition: int) -> tuple[list[dict[str, Any]], list[int]]:
    """The same, one row and one column at a time."""
    out, kept = [], []
    for index, row in enumerate(case.batch.to_pylist()):
        if case.view.event_types and row["header"]["event_type"] not in case.view.event_types:
            continue
        known = case.protected[index]
        hidden = row["protected"] or known is None or known
        seen = {}
        for column in case.view.columns:
            if column.name == "log_partition":
                seen[column.name] = partition
            elif column.name == "log_offset":
                seen[column.name] = case.offsets[index]
            elif column.name == "protected":
                seen[column.name] = hidden
            elif (
                hidden and column.sensitivity == "location" and case.view.suppression == "withhold"
            ):
                seen[column.name] = None
            else:
                seen[column.name] = walk(row, column.path.split("."))
        out.append(seen)
        kept.append(index)
    return out, kept


def walk(value: Any, path: list[str]) -> Any:
    """What is at the end of *path*; through a list, of each entry."""
    if value is None or not path:
        return value
    if isinstance(value, list):
        return [walk(entry, path) for entry in value]
    return walk(value[path[0]], path[1:])


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(cases())
def test_projection_is_the_reference(case: Case) -> None:
    """Whatever the records and the view, columns say what walking each row says."""
    expected, kept = reference(case, partition=3)

    projected = project(
        case.view,
        case.batch,
        protected=pa.array(case.protected, pa.bool_()),
        partition=3,
        offsets=pa.array(case.offsets, pa.int64()),
    )

    assert projected.records.to_pylist() == expected
    assert projected.kept.to_pylist() == kept
    assert projected.records.schema == case.view.schema
    projected.records.validate(full=True)


ADDRESS = pa.struct([pa.field("town", pa.string()), pa.field("lot", pa.string())])
SCHEMA = pa.schema(
    [
        pa.field("header", HEADER, nullable=False),
        pa.field("protected", pa.bool_(), nullable=False),
        pa.field("address", ADDRESS),
    ]
)
FLAG = ViewColumn("protected", "protected", pa.bool_(), Sensitivity.PERSONAL)
TOWN = ViewColumn("address_town", "address.town", pa.string(), Sensitivity.LOCATION)
TYPE = ViewColumn("event_type", "header.event_type", pa.string(), Sensitivity.PLAIN)


def view_of(*columns: ViewColumn, suppression: Suppression = Suppression.WITHHOLD) -> View:
    return View("system", "resident", Keeping.STATE, columns, frozenset(), suppression, "0")


def batch_of(*rows: tuple[str, bool, str]) -> pa.RecordBatch:
    """Rows of (subject, own flag, town)."""
    return pa.RecordBatch.from_pylist(
        [
            {
                "header": {
                    "municipality_code": "131041",
                    "subject_id": subject,
                    "event_type": "resident.moved_in",
                },
                "protected": protected,
                "address": {"town": town, "lot": "１番"},
            }
            for subject, protected, town in rows
        ],
        schema=SCHEMA,
    )


def seen(view: View, batch: pa.RecordBatch, protected: list[bool] | None) -> list[dict[str, Any]]:
    known = None if protected is None else pa.array(protected, pa.bool_())
    offsets = pa.array(range(batch.num_rows), pa.int64())
    return project(view, batch, protected=known, partition=0, offsets=offsets).records.to_pylist()


def test_either_flag_hides_the_location() -> None:
    """The record's own flag or the fence's answer: one is enough, and the flag says so."""
    batch = batch_of(("1", False, "open"), ("2", True, "own"), ("3", False, "fence"))

    rows = seen(view_of(FLAG, TOWN), batch, [False, False, True])

    assert [row["address_town"] for row in rows] == ["open", None, None]
    assert [row["protected"] for row in rows] == [False, True, True]


def test_a_capable_system_gets_location_and_flag() -> None:
    """A system that suppresses by itself needs both."""
    rows = seen(
        view_of(FLAG, TOWN, suppression=Suppression.CAPABLE), batch_of(("1", False, "town")), [True]
    )

    assert rows == [{"protected": True, "address_town": "town"}]


def test_a_hidden_location_is_nowhere_in_the_batch() -> None:
    """What a sink writes as it lies in memory holds no hidden address."""
    batch = batch_of(("1", True, "PLANTED-TOWN"), ("2", False, "open"))
    projected = project(
        view_of(FLAG, TOWN),
        batch,
        protected=pa.array([False, False]),
        partition=0,
        offsets=pa.array([0, 1], pa.int64()),
    )

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, projected.records.schema) as writer:
        writer.write_batch(projected.records)

    assert b"PLANTED" not in sink.getvalue().to_pybytes()


def test_a_view_with_the_flag_needs_the_fence() -> None:
    """Without the fence's answer nobody knows who is protected, so nothing goes out."""
    with pytest.raises(FieldWithheld, match="fence"):
        seen(view_of(FLAG, TOWN), batch_of(("1", False, "town")), None)


def test_a_location_without_the_flag_is_refused() -> None:
    """However the view came about, a location never travels alone."""
    with pytest.raises(FieldWithheld, match="flag"):
        seen(view_of(TYPE, TOWN), batch_of(("1", False, "town")), [False])


def test_a_restricted_column_is_refused() -> None:
    """個人番号 and the like are in no view."""
    column = ViewColumn("number", "address.lot", pa.string(), Sensitivity.RESTRICTED)

    with pytest.raises(FieldWithheld) as caught:
        seen(view_of(FLAG, column), batch_of(("1", False, "town")), [False])
    assert caught.value.where["field"] == "address.lot"


def test_an_unknown_sensitivity_is_refused() -> None:
    """What nobody has judged stays here."""
    column = ViewColumn("lot", "address.lot", pa.string(), "mystery")  # type: ignore[arg-type]

    with pytest.raises(FieldWithheld):
        seen(view_of(FLAG, column), batch_of(("1", False, "town")), [False])


def test_a_column_from_nowhere_is_refused() -> None:
    """The bus adds the place in the log and nothing else."""
    column = ViewColumn("extra", "", pa.string(), Sensitivity.PLAIN)

    with pytest.raises(FieldWithheld):
        seen(view_of(FLAG, column), batch_of(("1", False, "town")), [False])


def test_records_of_another_schema_stop() -> None:
    """A column that the view reads and the batch lacks is never taken for null."""
    column = ViewColumn("gone", "address.gone", pa.string(), Sensitivity.LOCATION)

    with pytest.raises(SchemaMismatch) as caught:
        seen(view_of(FLAG, column), batch_of(("1", False, "town")), [False])
    assert caught.value.where["field"] == "address.gone"


def test_types_are_made_the_views_own() -> None:
    """A decoder that drops the zone or packs texts gives the same view."""
    schema = pa.schema(
        [
            pa.field("header", HEADER),
            pa.field("at", pa.timestamp("us")),
            pa.field("kind", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    header = {"municipality_code": "131041", "subject_id": "1", "event_type": "resident.born"}
    batch = pa.RecordBatch.from_pylist(
        [{"header": header, "at": datetime(2026, 4, 1, tzinfo=UTC), "kind": "A"}], schema=schema
    )
    view = view_of(
        ViewColumn("at", "at", pa.timestamp("us", tz="UTC"), Sensitivity.PLAIN),
        ViewColumn("kind", "kind", pa.string(), Sensitivity.PLAIN),
    )

    assert seen(view, batch, None) == [{"at": datetime(2026, 4, 1, tzinfo=UTC), "kind": "A"}]


def test_nothing_is_copied_that_need_not_be() -> None:
    """With no row dropped or hidden, a view's columns are the batch's own buffers."""
    batch = batch_of(("1", False, "town"), ("2", False, "town"))
    address: Any = batch.column("address")
    own = address.field(0).buffers()[2].address

    projected = project(
        view_of(FLAG, TOWN),
        batch,
        protected=pa.array([False, False]),
        partition=0,
        offsets=pa.array([0, 1], pa.int64()),
    )

    assert projected.records.column("address_town").buffers()[2].address == own


def test_dates_survive() -> None:
    """A partial date's parts stay beside each other."""
    kind = pa.struct(
        [
            pa.field("date", pa.date32()),
            pa.field("unknown", pa.bool_(), nullable=False),
            pa.field("text", pa.string()),
        ]
    )
    schema = pa.schema([pa.field("header", HEADER), pa.field("birth_date", kind)])
    header = {"municipality_code": "131041", "subject_id": "1", "event_type": "resident.born"}
    rows = [
        {"header": header, "birth_date": {"date": date(1980, 1, 1), "unknown": False}},
        {"header": header, "birth_date": {"unknown": True, "text": "昭和５５年頃"}},
    ]
    view = view_of(
        ViewColumn("birth_date", "birth_date.date", pa.date32(), Sensitivity.PERSONAL),
        ViewColumn("birth_date_unknown", "birth_date.unknown", pa.bool_(), Sensitivity.PERSONAL),
        ViewColumn("birth_date_text", "birth_date.text", pa.string(), Sensitivity.PERSONAL),
    )

    assert seen(view, pa.RecordBatch.from_pylist(rows, schema=schema), None) == [
        {
            "birth_date": date(1980, 1, 1),
            "birth_date_unknown": False,
            "birth_date_text": None,
        },
        {"birth_date": None, "birth_date_unknown": True, "birth_date_text": "昭和５５年頃"},
    ]
