"""How a batch becomes rows of PostgreSQL: what is pure of it."""

from __future__ import annotations

import json
from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.conformance.sink_suite import batch_of, person, view_of
from bus.errors import ConfigurationError
from bus.model import Keeping
from connectors.postgres import statements
from connectors.postgres.statements import Names, TableColumn
from connectors.postgres.writers import json_rows, newest

Version = st.tuples(st.sampled_from("abc"), st.sampled_from("12"), st.integers(0, 2**31 - 1))


@given(st.lists(Version | st.tuples(st.just("a"), st.just("1"), st.integers(1, 3))))
def test_newest_keeps_the_highest_version_and_the_first_of_equals(
    versions: list[tuple[str, str, int]],
) -> None:
    """Of each subject one row, the one that applying row by row would end with, in order."""
    rows = [
        person(subject, version, municipality_code=city, income=at)
        for at, (city, subject, version) in enumerate(versions)
    ]
    best: dict[tuple[str, str], tuple[int, int]] = {}
    for at, (city, subject, version) in enumerate(versions):
        if (city, subject) not in best or best[city, subject][0] < version:
            best[city, subject] = (version, at)

    kept = newest(batch_of(view_of(), rows)).column("income").to_pylist()

    assert kept == sorted(at for _, at in best.values())


def test_newest_leaves_a_history_alone() -> None:
    """Every event is a row there."""
    batch = batch_of(view_of(keeping=Keeping.HISTORY), [person("1"), person("1")])

    assert newest(batch) is batch.records


def test_newest_does_not_copy_a_batch_without_repeats() -> None:
    """The usual batch costs one grouping and no more."""
    batch = batch_of(view_of(), [person("1"), person("2")])

    assert newest(batch) is batch.records


def test_numbers_and_days_keep_every_digit_in_json() -> None:
    """JSON knows no infinity and no days; PostgreSQL reads them from text."""
    rows = [
        person("1", income=2**53 + 1, share=float("inf"), birth_date=date(1, 2, 3)),
        person("2", share=0.1, members_subject_id=["a", None]),
    ]

    first, second = json.loads(json_rows(batch_of(view_of(), rows).records))

    assert (first["income"], first["share"], first["birth_date"]) == (
        2**53 + 1,
        "inf",
        "0001-02-03",
    )
    assert (second["share"], second["birth_date"], second["members_subject_id"]) == (
        "0.1", None, ["a", None],
    )  # fmt: skip


def test_a_type_without_a_home_is_refused() -> None:
    """A view with it is not opened, rather than stored as something else."""
    view = view_of(extra=[("nanoseconds", pa.timestamp("ns"))])

    with pytest.raises(ConfigurationError) as refused:
        statements.make_table(Names.of(view.stream, "linkage", ""), view)

    assert refused.value.where["column"] == "nanoseconds"


@pytest.mark.parametrize(
    ("column", "found", "fits"),
    [
        ("name", "text", True),
        ("name", "jsonb", True),
        ("name", "character varying", True),
        ("name", "character", False),
        ("subject_id", "character varying", True),
        ("subject_id", "uuid", False),
        ("version", "bigint", True),
        ("version", "smallint", False),
        ("income", "numeric", True),
        ("income", "integer", False),
        ("income", "double precision", False),
        ("members_subject_id", "jsonb", False),
    ],
)
def test_a_type_fits_if_it_keeps_or_refuses_every_value(
    column: str, found: str, fits: bool
) -> None:
    """Never one that would store something else without a word."""
    shape = {column: TableColumn(found, -1, False, None)}

    assert statements.misfits(view_of(), shape) == ([] if fits else [column])


@pytest.mark.parametrize("name", ["plain", 'wi"th', "Ｗide", "a.b", "select", "x" * 63])
def test_identifiers_are_quoted(name: str) -> None:
    """Whatever is inside stays inside."""
    quoted = statements.identifier(name)

    assert quoted[0] == quoted[-1] == '"'
    assert quoted[1:-1].replace('""', '"') == name
