"""A store that takes locations out of the rows that it holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bus.conformance.sink_suite.deliveries import (
    CITY,
    batch_of,
    erasure_of,
    fenced_view,
    known_to,
    opened,
    protection_of,
    rewrites_of,
    vehicle,
    view_of,
)
from bus.conformance.sink_suite.rig import (
    SuppressingRig,
)
from bus.errors import (
    FenceBehind,
    LaneLost,
)
from bus.model import (
    Protected,
    ProtectionChange,
    Sensitivity,
    Suppression,
    ToRestore,
)


class SuppressesSuite:
    """For connectors that declare *suppresses*."""

    async def test_a_protection_takes_locations_out(self, rig: SuppressingRig) -> None:
        """By owner, by one of several, by household; in every table of the store, at once."""
        view = fenced_view()
        async with opened(rig.sink(), view) as sink:
            rows = [
                vehicle("1", owner_id="a"),
                vehicle("2", co_owners_id=["x", "a"]),
                vehicle("3", household_number="h"),
                vehicle("4", owner_id=None),
                vehicle("5", owner_id="a", municipality_code="131016"),
            ]
            await sink.apply(batch_of(view, rows))
        async with opened(rig.sink(), view_of("protection")) as sink:
            applied = await sink.apply(protection_of("a", households=["h"]))

        assert applied.rows == 1
        found = {
            row["subject_id"]: (row["protected"], row["kept_at_lot"], row["kept_at_code"])
            for row in await rig.stored(view)
        }
        gone, there = (True, None, None), (False, "１番２号", 7)
        assert found == {"1": gone, "2": gone, "3": gone, "4": there, "5": there}

    async def test_a_capable_system_is_given_the_flag(self, rig: SuppressingRig) -> None:
        """Its locations stay; its rows are flagged at once."""
        view = fenced_view(suppression=Suppression.CAPABLE)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a")]))
        async with opened(rig.sink(), view_of("protection")) as sink:
            await sink.apply(protection_of("a"))

        (row,) = await rig.stored(view)
        assert (row["protected"], row["kept_at_lot"]) == (True, "１番２号")

    async def test_a_system_that_became_capable_keeps_its_locations(
        self, rig: SuppressingRig
    ) -> None:
        """What an earlier view withheld is noted no longer."""
        for suppression in Suppression:
            async with opened(rig.sink(), fenced_view(suppression=suppression)):
                pass
        view = fenced_view(suppression=Suppression.CAPABLE)
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a")]))
        async with opened(rig.sink(), view_of("protection")) as sink:
            await sink.apply(protection_of("a"))

        assert [row["kept_at_lot"] for row in await rig.stored(view)] == ["１番２号"]

    @pytest.mark.parametrize("rows", [1, 200])
    async def test_what_was_masked_under_too_little_is_refused(
        self, rig: SuppressingRig, rows: int
    ) -> None:
        """A batch masked without a protection that the store knows is to be masked again."""
        view = fenced_view()
        async with opened(rig.sink(), view_of("protection")) as sink:
            await sink.apply(protection_of("a"))
            context = known_to(1) | known_to(1, 2)
            await sink.apply(protection_of("a", partition=2, as_of=context))
        batch = batch_of(view, [vehicle(f"{at:04d}") for at in range(rows)])
        async with opened(rig.sink(), view) as sink:
            too_little = (known_to(1), known_to(0) | known_to(1, 2), known_to(9, 1))
            for masked_under in (None, {}, *too_little):
                with pytest.raises(FenceBehind):
                    await sink.apply(replace(batch, masked_under=masked_under))
            assert await sink.checkpoint(0) is None
            enough = replace(batch, masked_under=known_to(1) | known_to(0, 1) | known_to(5, 2))
            applied = await sink.apply(enough)
            with pytest.raises(LaneLost):
                await sink.apply(enough)

        assert applied.rows == len(await rig.stored(view)) == rows

    async def test_an_end_writes_down_what_may_come_back(self, rig: SuppressingRig) -> None:
        """Rows that nobody covers any more are listed; only rewrites of them restore them."""
        view = fenced_view()
        rows = [vehicle("1", 3, owner_id="a"), vehicle("2", 1, owner_id="b")]
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            await sink.apply(batch_of(view, rows))
            await protection.apply(protection_of("a", "b"))
            assert await sink.to_restore() == ToRestore(known_to(1), {})
            await protection.apply(protection_of("b", start=1))
            assert await sink.to_restore() == ToRestore(known_to(2), {f"{CITY}/1": 3})

            anew = [vehicle("1", 2, name="older"), vehicle("1", 3), vehicle("2", 2)]
            batch = rewrites_of(batch_of(view, anew, start=2, end=2), f"{CITY}/1")
            with pytest.raises(FenceBehind):
                await sink.apply(replace(batch, masked_under=known_to(1)))
            applied = await sink.apply(replace(batch, masked_under=known_to(2)))
            assert applied.rows == 1
            assert (await sink.to_restore()).rows == {}
            checkpoint = await sink.checkpoint(0)

        assert checkpoint is not None
        assert checkpoint.receipt == batch.receipt
        assert [
            (row["version"], row["protected"], row["kept_at_lot"], row["name"])
            for row in await rig.stored(view)
        ] == [(3, False, "１番２号", None), (1, True, None, None)]

    async def test_coverage_changes_without_the_protection_stream(
        self, rig: SuppressingRig
    ) -> None:
        """Coverage that changes by a household reaches the rows, and the lane's position stays."""
        view, joined = fenced_view(), {"household/3": 7}
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            rows = [vehicle("1", owner_id="a"), vehicle("2", owner_id="b")]
            await sink.apply(batch_of(view, rows))
            await protection.apply(protection_of("a"))
            standing = batch_of(view_of("protection"), start=1, end=1)
            context = protection_of("a", "b", as_of=known_to(1) | joined).protected
            await protection.apply(ProtectionChange(protected=context, brought_by=standing))

            assert [row["kept_at_lot"] for row in await rig.stored(view)] == [None, None]
            assert (await sink.to_restore()).reached == known_to(1) | joined
            assert (await protection.to_restore()).reached == known_to(1) | joined
            held = await protection.checkpoint(0)
            assert held is not None
            assert held.position.offset == 1
            late = batch_of(view, [vehicle("3", owner_id="b")], start=2)
            for known in (known_to(9), known_to(1) | {"household/3": 6}):
                with pytest.raises(FenceBehind):
                    await sink.apply(replace(late, masked_under=known))

            alone = protection_of("a", as_of=known_to(1) | {"household/3": 8}).protected
            await protection.apply(ProtectionChange(protected=alone, brought_by=standing))
            assert (await sink.to_restore()).rows == {f"{CITY}/2": 1}

    async def test_a_flag_without_a_location_follows_coverage(self, rig: SuppressingRig) -> None:
        """In a store without the protection stream another stream's lane tells it of coverage."""
        full = fenced_view()
        columns = tuple(c for c in full.columns if c.sensitivity is not Sensitivity.LOCATION)
        view = replace(full, columns=columns)
        async with opened(rig.sink(), view) as sink:
            rows = [vehicle("1", owner_id="a"), vehicle("2", owner_id="b")]
            await sink.apply(batch_of(view, rows))
            held = batch_of(view, start=2, end=2)
            for persons, known in ((["a", "b"], 1), (["b"], 2)):
                word = protection_of(*persons, as_of=known_to(known)).protected
                await sink.apply(ProtectionChange(protected=word, brought_by=held))
                assert [row["protected"] for row in await rig.stored(view)] == [True, True]
            assert await sink.to_restore() == ToRestore(known_to(2), {f"{CITY}/1": 1})
            anew = rewrites_of(batch_of(view, rows[:1], start=2, end=2), f"{CITY}/1")
            with pytest.raises(FenceBehind):
                await sink.apply(replace(anew, masked_under=known_to(1)))
            await sink.apply(replace(anew, masked_under=known_to(2)))
            assert (await sink.to_restore()).rows == {}
            stands = await sink.checkpoint(0)

        assert stands is not None
        assert stands.position.offset == 2
        assert [row["protected"] for row in await rig.stored(view)] == [False, True]

    @pytest.mark.parametrize(
        "spelled",
        [
            "12345674", "0012345674", "000000012345674", "000000012345674 ", " 12345674",
            "0000000000012345674", "0000000-12345674", "１２３４５６７４", "000000012345674\u3000",
        ],
    )  # fmt: skip
    async def test_a_number_is_found_in_every_spelling(
        self, rig: SuppressingRig, spelled: str
    ) -> None:
        """Rows whose numbers are in another form than the site's are masked and restored like
        others."""
        view, number = fenced_view(), "000000012345674"
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            rows = [
                vehicle("1", owner_id=spelled),
                vehicle("2", co_owners_id=["x", spelled]),
                vehicle("3", household_number=spelled),
                vehicle("4", owner_id="000000012345675"),
            ]
            await sink.apply(batch_of(view, rows))
            await protection.apply(protection_of(number, households=[number]))
            found = [row["protected"] for row in await rig.stored(view)]
            assert found == [True, True, True, False]
            await protection.apply(protection_of(number, start=1))
            assert (await sink.to_restore()).rows == {f"{CITY}/3": 1}

    async def test_what_is_gone_need_not_come_back(self, rig: SuppressingRig) -> None:
        """A listed row whose subject is erased is listed no longer."""
        view = fenced_view()
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a", protected=True)]))
            await protection.apply(protection_of())
            await sink.apply(erasure_of(view, [f"{CITY}/1"], start=1))
            assert (await sink.to_restore()).rows == {f"{CITY}/1": 0}
            batch = batch_of(view, start=2, end=2)
            await sink.apply(rewrites_of(batch, f"{CITY}/1"))
            assert (await sink.to_restore()).rows == {}

    async def test_a_protection_that_is_turned_away_takes_nothing(
        self, rig: SuppressingRig
    ) -> None:
        """A protection change that is refused (LaneLost) changes no other table either."""
        view = fenced_view()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a")]))
        async with opened(rig.sink(), view_of("protection")) as sink:
            with pytest.raises(LaneLost):
                await sink.apply(protection_of("a", start=5))

        assert [row["protected"] for row in await rig.stored(view)] == [False]

    async def test_an_erased_protection_is_applied_like_another(self, rig: SuppressingRig) -> None:
        """Its row goes, and whoever it covered may be shown again."""
        view = fenced_view()
        sink, protection = rig.sink(), rig.sink()
        async with opened(sink, view), opened(protection, view_of("protection")):
            await sink.apply(batch_of(view, [vehicle("1", owner_id="a")]))
            await protection.apply(protection_of("a"))
            erased = erasure_of(view_of("protection"), [f"{CITY}/p"], start=1)
            nobody = Protected(as_of=known_to(2))
            await protection.apply(ProtectionChange(protected=nobody, brought_by=erased))

            assert (await sink.to_restore()).rows == {f"{CITY}/1": 1}
        assert await rig.stored(view_of("protection")) == []
