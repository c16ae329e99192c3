"""A person is covered while any case is open, whatever version of the record says so."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from bus.control.fence import RESTS_ON, Fence
from bus.policy.cases import said
from tests.support.changes import MUNICIPALITY, by_cases, case
from tests.support.lanes import CATALOG, Town

ONE, TWO, THREE = (f"00000000000000{number}" for number in (1, 2, 3))
SPRING, SUMMER = date(2025, 5, 1), date(2025, 6, 10)
Cases = tuple[dict[str, Any], ...]


def of(day: date, **items: Any) -> dict[str, Any]:
    """A case."""
    return case(str(day), **items) | {"started_on": day}


def ended(each: dict[str, Any]) -> dict[str, Any]:
    """The same case, ended."""
    return each | {"status": "ENDED"}


def fence_of(town: Town) -> Fence:
    """Kept from the streams that it rests on."""
    return Fence(town.broker, CATALOG.streams, {name: town.reader(name) for name in RESTS_ON})


@pytest.fixture
async def fence(town: Town):
    """Kept from the stream's beginning."""
    made = fence_of(town)
    await made.start()
    yield made
    await made.close()


async def say(town: Town, version: int, what: str, named: date, *cases: dict[str, Any]) -> None:
    """A record of the third version."""
    made = by_cases(str(named), *cases) | {"started_on": named}
    await town.publish("protection", ONE, version, event_type=f"protection.{what}", **made)


async def say_before(town: Town, version: int, what: str, named: date, **items: Any) -> None:
    """A record of the second version."""
    status = "ENDED" if what == "ended" else "ACTIVE"
    await town.publish(
        "protection", ONE, version,
        event_type=f"protection.{what}", status=status, started_on=named, schema=2, **items,
    )  # fmt: skip


async def persons(fence: Fence) -> set[str]:
    """Numbers of everybody who is covered."""
    everybody = await fence.all_by_now()
    assert all(person.startswith(f"{MUNICIPALITY}/") for person in everybody.persons)
    return {person.partition("/")[2] for person in everybody.persons}


async def test_as_long_as_any_case_is_open(town: Town, fence: Fence) -> None:
    """The end of one releases whom it alone named, and nobody else."""
    first, second = of(SPRING, shared_with=[TWO]), of(SUMMER, shared_with=[THREE])
    await say(town, 1, "started", SPRING, first)
    assert await persons(fence) == {ONE, TWO}
    await say(town, 2, "started", SUMMER, first, second)
    assert await persons(fence) == {ONE, TWO, THREE}
    assert fence.released.get("protection/0", 0) == 0
    await say(town, 3, "ended", SPRING, ended(first), second)
    assert await persons(fence) == {ONE, THREE}
    assert fence.released["protection/0"] == 3
    await say(town, 4, "ended", SUMMER, ended(second))
    assert await persons(fence) == set()


async def test_the_newest_record_alone_is_enough(town: Town) -> None:
    """As compaction leaves it, and as a process that starts later finds it."""
    await say(town, 3, "ended", SPRING, ended(of(SPRING)), of(SUMMER, shared_with=[THREE]))
    fence = fence_of(town)
    await fence.start()

    assert await persons(fence) == {ONE, THREE}
    await fence.close()


async def test_an_end_of_before_ends_the_case_that_it_names(town: Town, fence: Fence) -> None:
    """A publisher that is not upgraded yet says that it is over: of its own case, and no other."""
    first, second = of(SPRING, shared_with=[TWO]), of(SUMMER, shared_with=[THREE])
    await say(town, 1, "started", SPRING, first)
    await say(town, 2, "started", SUMMER, first, second)

    await say_before(town, 3, "ended", SPRING)

    assert await persons(fence) == {ONE, THREE}
    await say_before(town, 4, "ended", SPRING)
    assert await persons(fence) == {ONE, THREE}
    await say_before(town, 5, "ended", SUMMER)
    assert await persons(fence) == set()


async def test_a_start_of_before_leaves_the_others(town: Town, fence: Fence) -> None:
    """Behind records that have cases it is one case more."""
    await say(town, 1, "started", SPRING, of(SPRING, shared_with=[TWO]))
    await say_before(town, 2, "started", SUMMER, shared_with=[THREE])
    assert await persons(fence) == {ONE, TWO, THREE}
    await say_before(town, 3, "ended", SUMMER)
    assert await persons(fence) == {ONE, TWO}


async def test_a_log_of_before(town: Town, fence: Fence) -> None:
    """Each record is the person's whole state, as it was meant, save that an end ends its own."""
    await say_before(town, 1, "started", SPRING, shared_with=[TWO])
    assert await persons(fence) == {ONE, TWO}
    await say_before(town, 2, "extended", SUMMER, shared_with=[THREE])
    assert await persons(fence) == {ONE, THREE}
    await say_before(town, 3, "ended", SPRING)
    assert await persons(fence) == {ONE, THREE}
    await say_before(town, 4, "ended", SUMMER)
    assert await persons(fence) == set()


async def test_the_first_version_is_one_case(town: Town, fence: Fence) -> None:
    """It had nobody beside the person."""
    await town.publish("protection", ONE, 1, started_on=SPRING, schema=1)
    assert await persons(fence) == {ONE}
    await say(town, 2, "started", SUMMER, of(SPRING), of(SUMMER))
    await say_before(town, 3, "ended", SPRING)
    assert await persons(fence) == {ONE}


@pytest.mark.parametrize(
    "cases",
    [
        (of(SPRING), ended(of(SPRING))),
        (ended(of(SPRING)), of(SPRING)),
        (ended(of(SPRING)),),
    ],
)
async def test_in_doubt_covered(town: Town, fence: Fence, cases: Cases) -> None:
    """A record that contradicts itself would have been refused; in the log, it covers."""
    made = by_cases(str(SPRING), *cases) | {"started_on": SPRING, "status": "ACTIVE"}
    await town.publish("protection", ONE, 1, **(made | {"shared_with": [TWO]}))
    assert await persons(fence) == {ONE, TWO}
    await say(town, 2, "ended", SPRING, ended(of(SPRING)))
    assert await persons(fence) == set()


async def test_the_household_stays_while_a_case_is_open(town: Town, fence: Fence) -> None:
    """Also where a record of before, which ends another, does not name it."""
    made = by_cases(str(SUMMER), of(SPRING), of(SUMMER), household_number=THREE)
    await town.publish("protection", ONE, 1, **(made | {"started_on": SUMMER}))
    await say_before(town, 2, "ended", SPRING)

    everybody = await fence.all_by_now()
    assert everybody.households == {f"{MUNICIPALITY}/{THREE}"}
    await say_before(town, 3, "ended", SUMMER)
    assert not await fence.all_by_now()


async def test_a_day_of_no_calendar_covers(town: Town) -> None:
    """Whoever could write such a record stops nobody's protection, and no lane."""
    stream = CATALOG.stream("protection")
    record = town.record("protection", ONE, 1, shared_with=[TWO]) | {"started_on": SPRING}
    value = town.framed(stream.latest, record)
    records = await town.reader("protection").read([value])
    at = records.schema.get_field_index("started_on")
    days = pa.array([2**31 - 1], pa.int32()).cast(pa.date32())
    beyond = records.set_column(at, records.schema.field(at), days)
    (told,) = said(beyond)

    assert told.cases[date.min].is_open
    assert told.shared_with == {TWO}
