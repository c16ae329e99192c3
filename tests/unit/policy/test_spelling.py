"""One person, however the number is spelled: in what protects, and in what is looked at."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.model import NumberForm, Protected, bare, spellings
from bus.model.number import comparable, comparable_key
from bus.policy import Search
from bus.policy.protection import comparable_column

CITY = "131016"
SPELLED = (
    "12345674", "000000012345674", "000000012345674 ", "  12345674", "0012345674", "1234-5674",
    "１２３４５６７４", "1234\u20145674", "\u300012345674",
)  # fmt: skip
OTHERS = ("2345674", "123456740", "1234567", "000000012345675", "A2345674", "")


def batch(numbers: list[str | None]) -> pa.RecordBatch:
    """Records with these numbers as subjects, and as those who are named."""
    header = pa.array(
        [{"municipality_code": CITY, "subject_id": number} for number in numbers],
        pa.struct([("municipality_code", pa.string()), ("subject_id", pa.string())]),
    )
    named = pa.array([[number] for number in numbers], pa.list_(pa.string()))
    households = pa.array(numbers, pa.string())
    names = ["header", "named", "household_number"]
    return pa.RecordBatch.from_arrays([header, named, households], names=names)


@pytest.mark.parametrize("protected", SPELLED)
@pytest.mark.parametrize("path", ["header.subject_id", "named", "household_number"])
def test_any_spelling_finds_any_other(protected: str, path: str) -> None:
    """Of the person, of those whom a record names, of a household; and nobody else."""
    keys = frozenset([f"{CITY}/{protected}"])
    is_household = path == "household_number"
    search = Search(Protected(frozenset(), keys) if is_household else Protected(keys))
    rows = batch([*SPELLED, *OTHERS, None])

    found = search.rows(rows, () if is_household else (path,)).to_pylist()

    assert [bool(hit) for hit in found] == [True] * len(SPELLED) + [False] * (len(OTHERS) + 1)


@pytest.mark.parametrize("protected", SPELLED)
def test_each_spelling_alone(protected: str) -> None:
    """A batch in which all are spelled alike takes another way through."""
    search = Search(Protected(frozenset([f"{CITY}/{protected}"])))

    for spelled in SPELLED:
        assert search.rows(batch([spelled, "7"]), ("header.subject_id",)).to_pylist() == [1, 0]


@given(st.lists(st.none() | st.text(alphabet="0019 -Aａ１\u2014\u3000\x00漢", max_size=17)))
def test_columns_are_what_single_numbers_are(numbers: list[str | None]) -> None:
    """The same of a column as of each; against the rule in other words."""
    found = comparable_column(pa.array(numbers, pa.string())).to_pylist()

    assert found == [None if n is None else comparable(n) for n in numbers]
    for number, one in zip(numbers, found, strict=True):
        if number is not None:
            folded = unicodedata.normalize("NFKC", number)
            kept = "".join(c for c in folded if c.isalnum())
            assert one.lstrip("0") == kept.lstrip("0")


@given(st.integers(0, 10**15 - 1), st.integers(1, 15), st.booleans())
def test_spellings_are_one_number(number: int, width: int, is_padded: bool) -> None:
    """Each is as long as a number may be, comes once, and compares like every other."""
    form = NumberForm(width, is_padded)
    written = form.of(str(number))
    found = list(spellings(written))

    assert found[0] == written
    assert len(set(found)) == len(found)
    assert {comparable(spelled) for spelled in found} == {comparable(written)}
    assert bare(written) in found or number == 0
    assert f"{number:015d}" in found


def test_the_form_of_what_is_typed() -> None:
    """A number that fits is written as the site does; what is none stays as it is."""
    assert NumberForm().of("12345674") == "000000012345674"
    assert NumberForm(10).of(" 12345674") == "0012345674"
    assert NumberForm(10, is_padded=False).of("000000012345674") == "12345674"
    assert NumberForm(4).of("12345674") == "12345674"
    assert NumberForm().of("K00000123") == "K00000123"


def test_keys() -> None:
    """A municipality's code is not spelled; what is no key is left alone."""
    assert comparable_key("131016/7") == "131016/000000000000007"
    assert comparable_key("sha256:00ab") == "sha256:00ab"
