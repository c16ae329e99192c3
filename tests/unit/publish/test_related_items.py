"""What an item must be for what stands beside it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from bus.publish.related_items import unfit
from bus.publish.shape import Node

MOST = 2**63 - 1


def node(**properties: Any) -> Node:
    """An item with such properties."""
    said = {f"x-{name.replace('_', '-')}": value for name, value in properties.items()}
    return Node("item", "item", "項目", "long", True, False, None, said)


def wrong(judged: Node, **beside: Any) -> dict[str, list[int]]:
    """The rows of each fault's code."""
    columns = {name: v if isinstance(v, pa.Array) else pa.array(v) for name, v in beside.items()}
    return {
        found.code: [row for row, is_wrong in enumerate(found.mask.to_pylist()) if is_wrong]
        for found in unfit(judged, columns)
    }


@pytest.mark.parametrize("partial", [False, True], ids=["date", "partial date"])
def test_not_before(partial: bool) -> None:
    """The same day passes, and so does whatever is not known."""
    days = [date(2026, 4, 2), date(2026, 4, 1), date(2026, 3, 31), None, date(2026, 4, 1)]
    starts = [date(2026, 4, 1)] * 4 + [None]
    start = (
        pa.array(
            [{"date": day, "unknown": day is None, "text": None} for day in starts],
            pa.struct([("date", pa.date32()), ("unknown", pa.bool_()), ("text", pa.string())]),
        )
        if partial
        else pa.array(starts, pa.date32())
    )

    found = wrong(node(not_before="start"), item=pa.array(days, pa.date32()), start=start)

    assert found == {"date-order": [2]}


def test_the_sum_is_exact() -> None:
    """It neither overflows nor wraps around; what has no value is not judged."""
    found = wrong(
        node(sum_of=["a", "b"]),
        item=pa.array([5, 6, -2, MOST, None, 1], pa.int64()),
        a=pa.array([2, 2, MOST, MOST - 1, 1, 1], pa.int64()),
        b=pa.array([3, 3, MOST, 1, 1, None], pa.int64()),
    )

    assert found == {"sum": [1, 2]}


def test_the_sum_of_many_and_of_small_numbers() -> None:
    """Three parts, and parts of 32 bits."""
    found = wrong(
        node(sum_of=["a", "b", "c"]),
        item=pa.array([6, 3 * MOST % 2**63], pa.int64()),
        a=pa.array([1, MOST], pa.int64()),
        b=pa.array([2, MOST], pa.int64()),
        c=pa.array([3, 2**31 - 1], pa.int32()),
    )

    assert found == {"sum": [1]}


def test_zero_when() -> None:
    """An exempt amount is zero, or not said."""
    found = wrong(
        node(zero_when="exempt"),
        item=pa.array([0, 1, 1, -1, None], pa.int64()),
        exempt=[True, True, False, True, True],
    )

    assert found == {"zero": [1, 3]}


def test_required_when() -> None:
    """What a flag announces is there."""
    item = pa.array([None, 1, None], pa.int64())

    assert wrong(node(required_when="flag"), item=item, flag=[True, True, False]) == {
        "missing": [0]
    }


def test_without_such_a_property_nothing_is_asked() -> None:
    """Most items stand alone."""
    assert list(unfit(node(), {"item": pa.array([1])})) == []
