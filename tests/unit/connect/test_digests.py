"""What two who hold the same rows say alike of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from bus.conformance.sink_suite import CITY, TEXTS, batch_of, person, view_of
from bus.connect import bucket_of, digests_of

VIEW = view_of(extra=[("tags", TEXTS)])


def records(*rows: dict[str, Any]) -> pa.RecordBatch:
    return batch_of(VIEW, rows).records


def test_each_value_of_a_row_counts() -> None:
    """Also none and an empty one, a zero and its negative, and where one item of a list ends."""
    told: list[dict[str, Any]] = [{}, {"name": ""}, {"name": "-"}, {"name": "0:"}]
    told += [{"birth_date_text": ""}, {"income": 1}, {"version": 2}, {"share": 0.0}]
    told += [{"share": -0.0}, {"birth_date_unknown": False}, {"birth_date_unknown": True}]
    told += [{"tags": tags} for tags in ([], [None], [""], ["a", "b"], ["ab"], ["-"], ["b", "a"])]

    said = [digests_of(records(person("1") | values), 1)[0] for values in told]

    assert len(set(said)) == len(told)


def test_a_value_of_one_column_is_none_of_the_next() -> None:
    """Texts side by side are told apart by their lengths."""
    one = records(person("1", name="ab", birth_date_text="c"))
    other = records(person("1", name="a", birth_date_text="bc"))

    assert digests_of(one, 1) != digests_of(other, 1)


def test_the_order_of_rows_says_nothing() -> None:
    """Stores give them in any."""
    rows = [person(str(at)) for at in range(20)]

    assert digests_of(records(*rows), 5) == digests_of(records(*reversed(rows)), 5)


def test_the_same_row_twice_is_not_once() -> None:
    """Nor none, as it would be if digests were taken from each other."""
    row = person("1")

    said = [digests_of(records(*[row] * times), 1).get(0) for times in range(4)]

    assert len(set(said)) == 4


@pytest.mark.parametrize("buckets", [1, 3, 4096])
def test_a_bucket_hangs_on_the_subject_alone(buckets: int) -> None:
    """Whatever becomes of its row."""
    for values in ({}, {"version": 9, "name": "x", "tags": ["y"]}):
        said = digests_of(records(person("7") | values), buckets)
        assert set(said) == {bucket_of(f"{CITY}/7", buckets)}


def test_it_is_the_same_tomorrow() -> None:
    """Stores outside compute it too: it is written down, and changes for nobody."""
    assert bucket_of("011002/000000000000018", 1024) == 50
    assert digests_of(records(person("1", name="佐藤", tags=["a", None])), 1) == {
        0: "1:725006290129074246"
    }
