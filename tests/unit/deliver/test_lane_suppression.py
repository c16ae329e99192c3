"""What a store holds when a protection starts or ends: taken out, and given back from the log."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bus.errors import FenceBehind
from bus.model import Applied, Delivery, Erasures, ProtectionChange, Upserts
from bus.policy import ledger_view
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from tests.support.changes import body
from tests.support.lanes import CATALOG, Hosted, Town, hosted
from tests.unit.deliver.protection_race import view_of

ONE, TWO, THREE = (f"00000000000000{number}" for number in (1, 2, 3))
HOME = "000000000000077"
ADDRESS = "address_lot"
ADDRESSES = ("CURRENT_ADDRESS", "PREVIOUS_ADDRESS", "REGISTERED_DOMICILE")
BOTH = ("resident", "protection")


def held(store: MemoryStore, *subjects: str) -> list[tuple[int, bool, bool]]:
    """Of each subject's row: version, flag, and whether the address is there."""
    rows = {row["subject_id"]: row for row in store.rows("resident")}
    return [
        (rows[s]["version"], rows[s]["protected"], rows[s][ADDRESS] is not None) for s in subjects
    ]


async def restored(bus: Hosted, store: MemoryStore) -> None:
    """Wait until nothing waits to be given back."""
    await bus.news()
    await bus.until(lambda: not store.taken)


def out_of_turn(town: Town) -> list[dict[str, Any]]:
    """Receipts of what was delivered again."""
    return [row for row in town.read_all("receipt") if row["is_replay"] and row["rows"]]


async def test_a_start_takes_out_what_is_held(town: Town, sinks, store) -> None:
    """No new snapshot has to come: the protection alone takes the address, and sets the flag."""
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await town.publish("resident", TWO, 1)
        await bus.at(2)
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")

        assert held(store, ONE, TWO) == [(1, True, False), (1, False, True)]


@pytest.mark.parametrize(
    "suppresses",
    [list(some) for count in range(4) for some in itertools.combinations(ADDRESSES, count)],
    ids="+".join,
)
@pytest.mark.parametrize("is_first", [True, False], ids=["protected-first", "protected-later"])
async def test_whichever_addresses_an_order_names_none_is_shown(
    town: Town, sinks, store, suppresses: list[str], is_first: bool
) -> None:
    """In doubt means all: present, previous, 本籍 and whatever else says where somebody is."""
    view = view_of("child_allowance", "resident")
    items = {"previous_address": body("resident")["address"]}
    assert {"address_lot", "previous_address_lot"} <= set(view.locations)
    async with hosted(town, sinks, streams=BOTH, views=view_of) as bus:
        for stream in ("protection", "resident") if is_first else ("resident", "protection"):
            more = {"suppresses": suppresses} if stream == "protection" else items
            await town.publish(stream, ONE, 1, **more)
            await bus.at(1, stream)

    (row,) = store.rows("resident")
    assert row["protected"]
    assert {name: row[name] for name in view.locations} == dict.fromkeys(view.locations)


async def test_an_end_gives_it_back_from_the_log(town: Town, sinks, store) -> None:
    """Nobody types anything anew: the same version, its address and its flag as published."""
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        (before,) = store.rows("resident")
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")
        await town.publish("protection", ONE, 2, status="ENDED", event_type="protection.ended")
        await bus.at(2, "protection")
        await restored(bus, store)
        await bus.at(1)

    assert store.rows("resident") == [before]
    (receipt,) = out_of_turn(town)
    assert (receipt["start"], receipt["end"], receipt["delivered"]) == (1, 1, "{[0,1)}")


async def test_what_came_masked_is_given_back_too(town: Town, sinks, store) -> None:
    """An event that was published during the protection, of the subject or of one who shares."""
    protection: dict[str, Any] = {"shared_with": [TWO], "household_number": HOME}
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("protection", ONE, 1, **protection)
        await town.publish("resident", ONE, 1)
        await town.publish("resident", TWO, 1)
        await town.publish("resident", THREE, 1, household_number=HOME)
        await bus.at(3)
        await bus.at(1, "protection")
        assert held(store, ONE, TWO, THREE) == [(1, True, False)] * 3

        await town.publish("protection", ONE, 2, status="ENDED", **protection)
        await bus.at(2, "protection")
        await restored(bus, store)
        await bus.at(3)

    assert held(store, ONE, TWO, THREE) == [(1, False, True)] * 3


async def test_who_is_protected_by_another_stays_so(town: Town, sinks, store) -> None:
    """Two protections cover the same household: the end of one shows nothing."""
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await town.publish("resident", TWO, 1)
        await town.publish("protection", ONE, 1, shared_with=[TWO])
        await town.publish("protection", TWO, 1, shared_with=[ONE])
        await bus.at(2, "protection")
        await town.publish("protection", ONE, 2, status="ENDED")
        await bus.at(3, "protection")
        await restored(bus, store)
        await bus.at(2)

        assert held(store, ONE, TWO) == [(1, True, False)] * 2


async def test_the_ledger_protects_nobody(town: Town, store) -> None:
    """It keeps no locations: its lanes of the protection stream are history like any other."""
    asked: list[Delivery] = []

    class Asked(MemorySink):
        async def apply(self, batch: Delivery) -> Applied:
            asked.append(batch)
            return await super().apply(batch)

    sinks = {"ledger": lambda _: Asked(MemoryOptions(store=store))}
    view = ledger_view(CATALOG.stream("protection"))
    async with hosted(town, sinks, streams=["protection"], views=lambda *_: view) as bus:
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")
        await town.append("protection", ONE, None)
        await bus.at(2, "protection")

    assert [type(batch) for batch in asked] == [Upserts, Erasures]
    assert store.fence == {}
    assert len(store.rows("protection")) == 1


async def test_the_flag_of_the_record_itself_stays(town: Town, sinks, store) -> None:
    """A snapshot that says so itself is withheld until a newer one says otherwise."""
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("protection", ONE, 1)
        await town.publish("resident", ONE, 1, protected=True)
        await bus.at(1)
        await town.publish("protection", ONE, 2, status="ENDED")
        await bus.at(2, "protection")
        await restored(bus, store)
        await bus.at(1)
        assert held(store, ONE) == [(1, True, False)]

        await town.publish("resident", ONE, 2)
        await bus.at(2)
        assert held(store, ONE) == [(2, False, True)]


async def test_what_is_set_aside_is_not_given_back(town: Town, sinks, store) -> None:
    """Only the version that the store has; what is parked, or waits, stays where it is."""
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await town.publish("resident", ONE, 2, name__full="a\x00b")
        await town.publish("resident", ONE, 3)
        await bus.at(3)
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")
        assert held(store, ONE) == [(1, True, False)]
        await town.publish("protection", ONE, 2, status="ENDED")
        await bus.at(2, "protection")
        await restored(bus, store)
        await bus.at(3)

        assert held(store, ONE) == [(1, False, True)]
        assert [event.offset for event in bus.parked()] == [1, 2]


async def test_an_erased_subject_is_not_given_back(town: Town, sinks, store) -> None:
    """Who was erased stays erased."""
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")
        await town.append("resident", ONE, None)
        await bus.at(2)
        await town.publish("protection", ONE, 2, status="ENDED")
        await bus.at(2, "protection")
        await restored(bus, store)

    assert store.rows("resident") == []


async def test_given_back_after_a_restart(town: Town, sinks, store) -> None:
    """What is to be given back is in the store: another process does it."""
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")
    async with hosted(town, sinks, streams=("protection",)) as bus:
        await town.publish("protection", ONE, 2, status="ENDED")
        await bus.at(2, "protection")
    assert held(store, ONE) == [(1, True, False)]
    assert store.taken

    async with hosted(town, sinks, streams=BOTH) as bus:
        await bus.at(1)

    assert held(store, ONE) == [(1, False, True)]
    assert not store.taken


async def test_an_erased_protection_ends_it(town: Town, sinks, store) -> None:
    """A null value under the person's key: nobody is protected by it any longer."""
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")
        await town.append("protection", ONE, None)
        await bus.at(2, "protection")
        await restored(bus, store)
        await bus.at(1)

    assert held(store, ONE) == [(1, False, True)]


async def test_a_capable_system_has_the_flag_at_once(town: Town, store: MemoryStore) -> None:
    """It keeps the address, and knows from the start to the end that it may not show it."""
    sinks = {"public_assistance": lambda _view: MemorySink(MemoryOptions(store=store))}
    async with hosted(town, sinks, streams=BOTH) as bus:
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        await town.publish("protection", ONE, 1)
        await bus.at(1, "protection")

        assert held(store, ONE) == [(1, True, True)]
        await town.publish("protection", ONE, 2, status="ENDED")
        await bus.at(2, "protection")
        await restored(bus, store)
        await bus.at(1)
        assert held(store, ONE) == [(1, False, True)]


async def test_who_knows_too_little_asks_again(town: Town, store) -> None:
    """A store that was told by another process, which knew more, refuses: the fence is asked anew,
    for a protection and for its erasure."""
    asked: list[ProtectionChange] = []

    class Behind(MemorySink):
        async def apply(self, batch: Delivery) -> Applied:
            if isinstance(batch, ProtectionChange) and batch.start < batch.end.offset:
                asked.append(batch)
                if len(asked) % 2:
                    await town.publish("protection", TWO, len(asked))
                    raise FenceBehind("another process knows more")
            return await super().apply(batch)

    sinks = {"child_allowance": lambda _: Behind(MemoryOptions(store=store))}
    async with hosted(town, sinks, streams=["protection"]) as bus:
        await town.publish("protection", ONE, 1)
        await bus.until(lambda: len(asked) >= 4)
        await town.append("protection", ONE, None)
        await bus.until(lambda: len(asked) >= 8)

    reached = [sum(batch.protected.as_of.values()) for batch in asked if batch.protected]
    assert reached[:2] == [1, 2]
    assert all(late < anew for late, anew in zip(reached[:8:2], reached[1:8:2], strict=True))
