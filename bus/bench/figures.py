"""The figures of ``renkei bench``: what each means and the bound it is held to."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound that a figure should keep."""

    bound: float
    is_most: bool = False  # a time or a size: less is better

    def holds(self, value: float) -> bool:
        """Whether *value* keeps the bound."""
        return value <= self.bound if self.is_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.is_most else '≥'} {self.bound:,.10g}"


AIMS: Mapping[str, Aim] = {
    "view_events_per_s": Aim(800_000),
    "view_over_fastavro": Aim(10),
    "policy_masked_over_plain": Aim(0.75),
    "policy_fence_changed_ms": Aim(2, is_most=True),
    "policy_fence_idle_ms": Aim(1, is_most=True),
    "coverage_ready_ms": Aim(30_000, is_most=True),
    "coverage_held_mb": Aim(150, is_most=True),
    "publish_events_per_s": Aim(100_000),
    "deliver_events_per_s": Aim(200_000),
    "postgres_insert_over_ceiling": Aim(0.8),
    "postgres_update_over_ceiling": Aim(0.8),
    "latency_p50_ms": Aim(150, is_most=True),
    "latency_p99_ms": Aim(1_000, is_most=True),
    "provisions_of_p99_ms": Aim(1_000, is_most=True),
    "provisions_by_p99_ms": Aim(1_000, is_most=True),
    "load_deliveries_per_s": Aim(60_000),
    "load_rss_mb": Aim(700, is_most=True),
    "family_over_load": Aim(0.8),
    "family_protected_ms": Aim(300, is_most=True),
}


def seconds(work: Callable[[], object]) -> float:
    """How long *work* takes once."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def median_rate(count: int, times: Sequence[float]) -> float:
    """Things per second, by the median of several runs of *count* things."""
    return count / statistics.median(times)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which *part* (0…1) of *values* lie, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * len(ordered)) - 1))]
