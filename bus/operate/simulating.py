"""What putting subscriptions in force would mean, counted on the real topics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bus.app.configured import this_day
from bus.app.deliveries import sharing
from bus.app.mask_keys import mask_keys
from bus.broker import Broker
from bus.catalog import Catalog
from bus.errors import ConfigurationError, PolicyError
from bus.model import MaskKey, View
from bus.operate.applying import Plan
from bus.operate.impact import Comparison, Touched, count
from bus.policy import Difference, Subscription, compile_view
from bus.settings import Settings

Progress = Callable[[str, int, int], None]
"""Told the stream, and how many offsets of how many were read."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """One difference, and whom it touches."""

    difference: Difference
    touched: Touched
    unreadable: int  # events of the stream that could not be counted


async def simulate(
    settings: Settings, cluster: Broker, found: Plan, progress: Progress
) -> list[Simulated]:
    """Count whom each difference of *found* that changes a view touches, by system and stream.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    keys = mask_keys(settings)
    by_stream: dict[str, list[tuple[Difference, Comparison]]] = defaultdict(list)
    async with sharing(settings, cluster) as (catalog, readers, both):
        for planned in found.planned:
            for difference in planned.differences:
                if difference.changes_view:
                    name = difference.stream
                    before = _view(planned.before, name, catalog, keys)
                    after = _view(planned.after, name, catalog, keys)
                    by_stream[name].append((difference, Comparison(before, after)))
        simulated: list[Simulated] = []
        for name, compared in sorted(by_stream.items()):

            def told(read: int, total: int, name: str = name) -> None:
                progress(name, read, total)

            comparisons = [comparison for _, comparison in compared]
            unreadable = await count(catalog.stream(name), readers[name], comparisons, both, told)
            simulated += [
                Simulated(difference, comparison.touched, unreadable)
                for difference, comparison in compared
            ]
    return sorted(simulated, key=lambda each: (each.difference.system, each.difference.stream))


def _view(
    subscription: Subscription | None, stream: str, catalog: Catalog, keys: Mapping[str, MaskKey]
) -> View | None:
    """What a subscription shows of a stream today; None if nothing."""
    if subscription is None or stream not in subscription.streams:
        return None
    try:
        return compile_view(subscription, catalog.stream(stream), this_day(), keys)
    except (PolicyError, ConfigurationError):
        return None  # nothing is delivered of it, so nothing is shown
