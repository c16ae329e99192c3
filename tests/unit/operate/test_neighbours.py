"""Who else's record says the same address: for the privacy officer to decide."""

from __future__ import annotations

from typing import Any

from bus.broker.partitioner import partition_of
from bus.operate.neighbours import neighbours
from tests.support.changes import MUNICIPALITY, body
from tests.support.lanes import CATALOG, Town

ONE, TWO, THREE, FOUR, FIVE = (f"00000000000000{number}" for number in range(1, 6))
HERE = body("resident")["address"]


async def publish(town: Town, subject: str, version: int, **address: Any) -> None:
    (partition,) = partition_of([f"{MUNICIPALITY}/{subject}".encode()], town.partitions)
    items = {"address": {**HERE, **address}}
    await town.publish("resident", subject, version, partition=partition, **items)


async def found(subject: str, town: Town) -> set[str]:
    reader, stream = town.reader("resident"), CATALOG.stream("resident")
    keys = await neighbours(town.broker, stream, reader, f"{MUNICIPALITY}/{subject}")
    return {key.partition("/")[2] for key in keys}


async def test_who_says_the_same_address() -> None:
    """By everybody's newest record; not who has moved away, or was erased, or cannot be read."""
    town = Town(partitions=2)
    await town.build()
    for subject in (ONE, TWO, THREE, FOUR):
        await publish(town, subject, 1)
    await publish(town, FIVE, 1, lot="３番４号")
    assert await found(ONE, town) == {TWO, THREE, FOUR}

    await publish(town, TWO, 2, lot="３番４号")
    (partition,) = partition_of([f"{MUNICIPALITY}/{THREE}".encode()], town.partitions)
    await town.append("resident", THREE, None, partition=partition)
    await town.append("resident", FOUR, b"\x00garbage")
    assert await found(ONE, town) == {FOUR}
    assert await found(FIVE, town) == {TWO}
    assert await found("000000000000009", town) == set()


async def test_buildings_tell_them_apart_where_both_say_one() -> None:
    """A house without room numbers is a street of neighbours; a room that is said is another."""
    town = Town()
    await town.build()
    await publish(town, ONE, 1, building="霞荘１０１")
    await publish(town, TWO, 1, building="霞荘１０２")
    await publish(town, THREE, 1, building=None)
    assert await found(ONE, town) == {THREE}
    assert await found(THREE, town) == {ONE, TWO}
