"""A store that replaces rows by others of the same version."""

from __future__ import annotations

from bus.conformance.sink_suite.deliveries import (
    CITY,
    batch_of,
    fenced_view,
    opened,
    rewrites_of,
    vehicle,
)
from bus.conformance.sink_suite.rig import SinkRig


class RewritesSuite:
    """For connectors that accept *Rewrites*."""

    async def test_a_rewrite_takes_the_place_of_its_version(self, rig: SinkRig) -> None:
        """A row is replaced by one of the same version without what may not be shown."""
        view = fenced_view()
        rows = [vehicle("1", 3, name="a"), vehicle("2", 1)]
        masked = vehicle("1", 3, name="a", protected=True, kept_at_lot=None, kept_at_code=None)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, rows))
            standing = batch_of(view, [masked], start=2, end=2)
            await sink.apply(rewrites_of(standing, f"{CITY}/1"))

        assert [
            (row["version"], row["name"], row["protected"], row["kept_at_lot"])
            for row in await rig.stored(view)
        ] == [(3, "a", True, None), (1, None, False, "１番２号")]

    async def test_a_rewrite_of_nobody_is_harmless(self, rig: SinkRig) -> None:
        """A rewrite of a subject that was erased meanwhile changes nothing and raises nothing."""
        view = fenced_view()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [vehicle("1")]))
            await sink.apply(rewrites_of(batch_of(view, start=1, end=1), f"{CITY}/9"))

        assert [row["subject_id"] for row in await rig.stored(view)] == ["1"]
