"""Count on the real topics whom new subscriptions would touch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bus.app.configured import this_day
from bus.app.deliveries import sharing
from bus.app.masking import mask_keys
from bus.catalog import Catalog
from bus.errors import ConfigurationError, PolicyError
from bus.model import MaskKey, View
from bus.operate.applying import plan_of
from bus.operate.impact import Impact, ViewComparison, count
from bus.operate.jobs import OnProgress, Progress
from bus.operate.session import Session
from bus.policy import Difference, Subscription, compile_view


@dataclass(frozen=True, slots=True)
class Simulated:
    """One difference, and how many subjects it touches."""

    difference: Difference
    touched: Impact
    unreadable: int  # events of the stream that could not be counted


async def simulate(
    session: Session, paths: Sequence[Path], on_progress: OnProgress
) -> list[Simulated]:
    """Count how many subjects each difference touches that the files of *paths* would make.

    Raises:
        ConfigurationError: There is no file.
        FilesRefused: They have faults.
        Unavailable: Broker or registry does not answer.
    """
    found = await plan_of(session, paths)
    settings, keys = session.settings, mask_keys(session.settings)
    by_stream: dict[str, list[tuple[Difference, ViewComparison]]] = defaultdict(list)
    catalog, cluster, known = session.catalog, await session.broker(), await session.registry()
    async with sharing(settings, cluster, catalog, known) as (readers, process):
        for planned in found.planned:
            for difference in planned.differences:
                if difference.changes_view:
                    name = difference.stream
                    before = _view(planned.before, name, catalog, keys)
                    after = _view(planned.after, name, catalog, keys)
                    by_stream[name].append((difference, ViewComparison(before, after)))
        simulated: list[Simulated] = []
        for name, compared in sorted(by_stream.items()):

            def read_so_far(read: int, total: int, name: str = name) -> None:
                on_progress(Progress(name, read, total))

            comparisons = [comparison for _, comparison in compared]
            unreadable = await count(
                catalog.stream(name), readers[name], comparisons, process, read_so_far
            )
            simulated += [
                Simulated(difference, comparison.touched, unreadable)
                for difference, comparison in compared
            ]
    return sorted(simulated, key=lambda each: (each.difference.system, each.difference.stream))


def _view(
    subscription: Subscription | None, stream: str, catalog: Catalog, keys: Mapping[str, MaskKey]
) -> View | None:
    """The view of a stream that a subscription gives today; None if none."""
    if subscription is None or stream not in subscription.streams:
        return None
    try:
        return compile_view(subscription, catalog.stream(stream), this_day(), keys)
    except (PolicyError, ConfigurationError):
        return None  # nothing is delivered of it, so nothing is shown
