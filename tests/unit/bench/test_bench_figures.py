"""What the bench computes with: bounds, percentiles, and rows one version later."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from bus.bench.figures import AIMS, Aim, percentile
from bus.bench.store import _raised


@pytest.mark.parametrize(
    ("aim", "value", "holds"),
    [
        (Aim(10), 10.0, True),
        (Aim(10), 9.9, False),
        (Aim(150, is_most=True), 150.0, True),
        (Aim(150, is_most=True), 150.1, False),
    ],
)
def test_a_bound_is_kept_on_its_side(aim: Aim, value: float, holds: bool) -> None:
    """More is better, or less is, and the bound itself is good enough."""
    assert aim.holds(value) is holds


def test_times_and_sizes_are_bounded_from_above() -> None:
    """What is measured in milliseconds or megabytes should be small."""
    assert {name for name, aim in AIMS.items() if aim.is_most} == {
        name for name in AIMS if name.endswith(("_ms", "_mb"))
    }


def test_what_covering_somebody_may_cost_is_bounded() -> None:
    """What the bus promises of protections in figures, each by its bound."""
    promised = {
        "policy_fence_changed_ms": 2,
        "policy_fence_idle_ms": 1,
        "coverage_ready_ms": 30_000,
        "coverage_held_mb": 150,
        "family_protected_ms": 300,
    }

    assert {name: AIMS[name].bound for name in promised if name in AIMS} == promised


@pytest.mark.parametrize(("part", "value"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)])
def test_percentiles_are_values_that_were_there(part: float, value: float) -> None:
    """By the nearest rank."""
    assert percentile([float(n) for n in range(100, 0, -1)], part) == value


def test_rows_one_version_later_keep_their_schema() -> None:
    """Only the version changes, in its own type."""
    fields: list[pa.Field[Any]] = [
        pa.field("version", pa.int32(), nullable=False),
        pa.field("name", pa.string()),
    ]
    schema = pa.schema(fields)
    rows = pa.RecordBatch.from_pydict({"version": [1, 7], "name": ["a", "b"]}, schema=schema)

    newer = _raised(rows)

    assert newer.schema == schema
    assert newer.column("version").to_pylist() == [2, 8]
