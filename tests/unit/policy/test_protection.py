"""Whose location a row may say, and whether somebody of them is under protection."""

from __future__ import annotations

import pyarrow as pa
import pytest

from bus.errors import SchemaMismatch
from bus.model import Protected
from bus.policy import Search

CITY, OTHER = "131041", "011002"
_ROWS = (
    # subject, household, linked to, co-owners
    ("1", "h1", None, []),
    ("2", "h2", "8", [{"id": "7", "share": 1}, {"id": "6", "share": 2}]),
    ("3", "h1", None, None),
    ("4", None, None, [{"id": "7", "share": 1}]),
)
_SCHEMA = pa.schema(
    [
        pa.field(
            "header",
            pa.struct([("municipality_code", pa.string()), ("subject_id", pa.string())]),
        ),
        pa.field("household_number", pa.string()),
        pa.field("linked_to", pa.string()),
        pa.field("concerned", pa.list_(pa.string())),
        pa.field("co_owners", pa.list_(pa.struct([("id", pa.string()), ("share", pa.int32())]))),
    ]
)
RECORDS = pa.RecordBatch.from_pylist(
    [
        {
            "header": {"municipality_code": CITY, "subject_id": subject},
            "household_number": household,
            "linked_to": linked,
            "concerned": None if owners is None else [owner["id"] for owner in owners],
            "co_owners": owners,
        }
        for subject, household, linked, owners in _ROWS
    ],
    schema=_SCHEMA,
)
OWN = ("header.subject_id",)


def found(
    persons: list[str], located: tuple[str, ...] = OWN, households: tuple[str, ...] = ()
) -> str:
    """The subjects of the rows that may say no location."""
    search = Search(Protected(frozenset(persons), frozenset(households)))
    rows = search.rows(RECORDS, located).to_pylist()
    return "".join(row[0] for row, is_hit in zip(_ROWS, rows, strict=True) if is_hit)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], ""),
        ([f"{CITY}/2"], "2"),
        ([f"{OTHER}/2"], ""),
        (["2", f"{CITY}/{CITY}/3", "", "/3"], ""),
        ([f"{CITY}/1", f"{CITY}/3", f"{CITY}/9"], "13"),
    ],
)
def test_the_subject(keys: list[str], expected: str) -> None:
    """A subject is a number in a municipality; the same number elsewhere is somebody else."""
    assert found(keys) == expected


@pytest.mark.parametrize("path", ["concerned", "co_owners.id"])
def test_whoever_is_named_in_a_list(path: str) -> None:
    """A levy's address gives a co-owner away as well; other owners' rows stay."""
    assert found([f"{CITY}/7"], (*OWN, path)) == "24"
    assert found([f"{CITY}/6", f"{CITY}/1"], (*OWN, path)) == "12"
    assert found([f"{OTHER}/7"], (*OWN, path)) == ""
    assert found([f"{CITY}/7"], OWN) == ""


def test_whoever_somebody_is_linked_to() -> None:
    """A number that stands for a resident's own says where that resident is."""
    assert found([f"{CITY}/8"], (*OWN, "linked_to")) == "2"


def test_whoever_shares_a_household() -> None:
    """The household of a protected person; no household is nobody's."""
    assert found([], households=(f"{CITY}/h1",)) == "13"
    assert found([f"{CITY}/2"], households=(f"{CITY}/h1", f"{CITY}/")) == "123"
    assert found([], households=(f"{OTHER}/h1",)) == ""


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_part_of_a_batch(first: int) -> None:
    """Where a slice begins does not matter, lists included."""
    search = Search(Protected(frozenset([f"{CITY}/7"]), frozenset([f"{CITY}/h1"])))
    located = (*OWN, "concerned", "co_owners.id")
    whole = search.rows(RECORDS, located).to_pylist()

    assert whole == [True, True, True, True]
    assert search.rows(RECORDS.slice(first, 1), ("co_owners.id",)).to_pylist() == whole[first:][:1]


def test_a_record_that_does_not_say_whom_it_is_about() -> None:
    """Without the column nobody knows: nothing goes out."""
    with pytest.raises(SchemaMismatch):
        found([f"{CITY}/1"], (*OWN, "owner_subject_id"))
