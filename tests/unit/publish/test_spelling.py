"""A site writes its numbers in one form; another is refused, and what is expected is said."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from bus.model import NumberForm
from bus.publish import digits
from tests.support.changes import body, change, record

SPELLINGS = (
    "12345674", "000000012345674", "000000012345674 ", " 12345674", "0012345674", "1234-5674",
    "012345674", "1234567４", "12345674000000000", "0", "000000000000000", "A2345674",
)  # fmt: skip


@pytest.mark.parametrize(
    ("form", "fits"),
    [
        (NumberForm(), {"000000012345674", "000000000000000"}),
        (NumberForm(width=10), {"0012345674"}),
        (NumberForm(width=10, is_padded=False), {"12345674"}),
    ],
)
def test_one_form(form: NumberForm, fits: set[str]) -> None:
    """By a setting: width, and zeros in front or none. What is empty is judged elsewhere."""
    column = pa.array([*SPELLINGS, "", None])
    mask = digits.not_in_form(column, form).to_pylist()

    assert {n for n, wrong in zip(SPELLINGS, mask, strict=False) if not wrong} == fits
    assert mask[-2:] == [False, None]
    assert digits.not_in_form(pa.array([*fits]), form) is None


@pytest.mark.parametrize("subject", ["12345674", "000000012345674 ", "12345674-2026"])
async def test_a_subject_is_refused(house: Any, parse: Any, subject: str) -> None:
    """Of the header, the same: two spellings would be two persons in the log."""
    publisher = await house.publisher()
    (outcome,) = await publisher.publish([parse(change(record(subject_id=subject)))])

    assert not outcome.is_published
    (fault,) = [f for f in outcome.faults if f.code == "number-form"]
    assert (fault.field, fault.expected) == (
        "header.subject_id",
        "15 digits, with zeros in front: the site's form of a number",
    )
    assert subject.strip() not in str(outcome.faults)
    assert house.log("resident") == []


async def test_another_site(house: Any, parse: Any) -> None:
    """Whose numbers have eight digits."""
    publisher = await house.publisher(form=NumberForm(width=8))
    items = body("resident", household_number="12345674")
    (outcome,) = await publisher.publish([parse(change(record(subject_id="12345674", body=items)))])

    assert outcome.is_published
    assert house.versions() == [("12345674", 1)]


@pytest.mark.parametrize("version", [2_147_483_647, 1_000_000, 100_000])
async def test_a_version_without_successors(house: Any, parse: Any, version: int) -> None:
    """A first load starts where its register is, and no register is there."""
    publisher = await house.publisher()
    (outcome,) = await publisher.publish([parse(change(record(version=version, nature="RECORD")))])

    assert not outcome.is_published
    assert {f.code for f in outcome.faults if f.is_error} <= {"range", "version-start"}


async def test_a_change_of_another_age(house: Any, parse: Any) -> None:
    """A change id begins with a time; that of all f is not to come for 8,862 years."""
    publisher = await house.publisher()
    odd = change(record()) | {"change_id": "ffffffff-ffff-7fff-bfff-ffffffffffff"}
    (outcome,) = await publisher.publish([parse(odd)])

    assert {(f.code, f.field) for f in outcome.faults if f.is_error} == {
        ("change-id", "header.change_id")
    }
    assert house.log("resident") == []
