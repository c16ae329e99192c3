"""Conditions on the record: which rows hold, each with its table of cases."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from bus.model import Comparison, Condition
from bus.policy.conditions import holding

EQUALS, IN, IS_NULL, AT_LEAST = (
    Comparison.EQUALS, Comparison.IN, Comparison.IS_NULL, Comparison.AT_LEAST,
)  # fmt: skip
DAYS = pa.array([date(1961, 11, 23), date(1961, 11, 24), date(1961, 11, 25), None])
CASES: list[tuple[str, pa.Array, Comparison, tuple[Any, ...], list[bool]]] = [
    ("equals", pa.array(["1", "2", None]), EQUALS, ("1",), [True, False, False]),
    ("equals nothing", pa.array(["", " ", None]), EQUALS, ("",), [True, False, False]),
    ("as it is written", pa.array(["Ａ", "A", "a"]), EQUALS, ("A",), [False, True, False]),
    ("equals no", pa.array([True, False, None]), EQUALS, (False,), [False, True, False]),
    ("equals zero", pa.array([0, None, 1], pa.int64()), EQUALS, (0,), [True, False, False]),
    ("among", pa.array(["1", "2", "3", None]), IN, ("1", "3"), [True, False, True, False]),
    ("a code", pa.array(["A", None]).dictionary_encode(), EQUALS, ("A",), [True, False]),
    ("codes", pa.array(["A", None, "B"]).dictionary_encode(), IN, ("A", "B"), [True, False, True]),
    ("nobody", pa.array(["1", None]), IS_NULL, (True,), [False, True]),
    ("somebody", pa.array(["1", None, ""]), IS_NULL, (False,), [True, False, True]),
    ("no code", pa.array(["A", None]).dictionary_encode(), IS_NULL, (True,), [False, True]),
    ("since", DAYS, AT_LEAST, (date(1961, 11, 24),), [False, True, True, False]),
    ("as much", pa.array([-1, 0, 1, None], pa.int64()), AT_LEAST, (0,), [False, True, True, False]),
    ("all null", pa.array([None, None], pa.string()), EQUALS, ("1",), [False, False]),
    ("no rows", pa.array([], pa.string()), EQUALS, ("1",), []),
    ("a slice", pa.array(["1", "2", "1"]).slice(1), EQUALS, ("1",), [False, True]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "comparison", "values", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_condition_holds(
    column: pa.Array, comparison: Comparison, values: tuple[Any, ...], expected: list[bool]
) -> None:
    """Null fits nothing unless it is asked for, and the answer itself is never null."""
    found = holding([Condition("item", comparison, values)], lambda _: column)

    assert found.to_pylist() == expected
    assert found.null_count == 0


def test_all_conditions_must_hold() -> None:
    """In whatever order they are written."""
    columns = {"a": pa.array(["1", "1", None]), "b": pa.array([True, False, True])}
    rules = [Condition("a", EQUALS, ("1",)), Condition("b", EQUALS, (True,))]

    for order in (rules, rules[::-1]):
        assert holding(order, columns.__getitem__).to_pylist() == [True, False, False]
