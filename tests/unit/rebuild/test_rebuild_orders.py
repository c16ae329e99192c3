"""What a rebuild may not undo, in orders that nobody thought of."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from bus.failpoints import Point
from tests.support.lanes import Town
from tests.support.seeds import seeds
from tests.unit.rebuild.rebuild_orders import SYSTEM, Cut, Order


def order(town: Town, store: Any, sinks: Any, seed: int) -> Order:
    """One over the store in memory."""

    async def held() -> dict[str, int]:
        return dict(store.versions())

    def cut(is_cut: bool) -> None:
        def die(point: Point) -> None:
            if point is Point.SINK_MERGED:
                raise Cut

        store.on_point = die if is_cut else lambda _: None

    def refuse(subject: str, is_refused: bool) -> None:
        (store.refused.add if is_refused else store.refused.discard)(subject)

    return Order(town, sinks[SYSTEM], held, Random(seed), cut, refuse)


@pytest.mark.parametrize("seed", seeds(24))
async def test_no_row_goes_down_and_nobody_is_stuck(town: Town, store, sinks, seed: int) -> None:
    """Garbage, dismissals, tries, erasures, conditions, and rebuilds that are cut off."""
    made = order(town, store, sinks, seed)

    await made.run(60)

    assert made.rebuilds
