"""A protection is a case: an event changes the one that it names, and no list lifts another."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from bus.catalog.columns import decode
from bus.model import Change, NumberForm
from bus.policy.cases import CaseIndex, covered, said
from bus.publish.publisher import Publisher
from tests.support.changes import body, by_cases, case, change, record
from tests.support.seeds import seeds

Parse = Callable[[dict[str, Any]], Change]
SPRING, SUMMER, AUTUMN = "2025-05-01", "2025-06-10", "2025-09-01"
MOTHER, AUNT, COUSIN = "000000000000019", "000000000000027", "000000000000035"
PERSON = "000000012345674"


@dataclass
class Desk:
    """Publishes protections of one person with the snapshot beside each, in order."""

    publisher: Publisher
    parse: Parse
    version: int = 0
    refused: list[str] = field(default_factory=list)

    async def __call__(self, what: str, made: dict[str, Any], nature: str = "CHANGE") -> bool:
        """Whether the event was taken; ``refused`` has the codes of the last one."""
        version = self.version + 1
        protection = record(
            "protection", event_type=f"protection.{what}", nature=nature, version=version, body=made
        )
        flag = made["status"] != "ENDED"
        beside = record(version=version, body=body("resident", protected=flag))
        (outcome,) = await self.publisher.publish([self.parse(change(beside, protection))])
        self.refused = [fault.code for fault in outcome.faults if fault.is_error]
        self.version += outcome.is_published
        return outcome.is_published


@pytest.fixture
async def desk(house: Any, parse: Parse) -> Desk:
    """Of a person of whom nothing is known."""
    return Desk(await house.publisher(), parse)


def ended(each: dict[str, Any]) -> dict[str, Any]:
    """The same case, ended."""
    return each | {"status": "ENDED"}


def plain(day: str, **items: Any) -> dict[str, Any]:
    """A body as it was before there were cases."""
    return body("protection", started_on=day, ends_on=None, **items)


async def test_a_list_of_ended_ones_does_not_lift_a_second(desk: Desk) -> None:
    """May 2025: the list was drawn up before the second was filed, and loaded after it."""
    first, second = case(SPRING), case(SUMMER)
    assert await desk("started", by_cases(SPRING, first))
    assert await desk("started", by_cases(SUMMER, first, second))
    drawn_up = by_cases(SPRING, ended(first), decided_on="2025-06-01")

    assert not await desk("ended", drawn_up)
    assert desk.refused == ["case-dropped"]
    assert not await desk("ended", plain(SPRING, status="ENDED"))
    assert set(desk.refused) == {"missing", "case-dropped"}
    joined = by_cases(SUMMER, first, ended(second), decided_on="2025-06-01")
    assert not await desk("ended", joined)
    assert "date-order" in desk.refused  # decided before it began: another is meant
    same_day = by_cases(SUMMER, first, ended(second), decided_on=SUMMER)
    assert not await desk("ended", same_day)
    assert desk.refused == ["case-decided"]

    assert await desk("ended", by_cases(SPRING, ended(first), second, decided_on="2025-06-01"))


@pytest.mark.parametrize("later", ["started", "started, extended", "started by itself"])
async def test_a_list_does_not_lift_a_second_that_is_listed_alone(
    desk: Desk, house: Any, parse: Parse, later: str
) -> None:
    """A register need not go on listing what has ended: another publisher knows it from the log."""
    first, second = case(SPRING), case(SUMMER)
    assert await desk("started", by_cases(SPRING, first))
    assert await desk("ended", by_cases(SPRING, ended(first), decided_on="2025-06-01"))
    alone = plain(SUMMER) if later == "started by itself" else by_cases(SUMMER, second)
    assert await desk("started", alone)
    if "extended" in later:
        assert await desk("extended", by_cases(SUMMER, second))
    for each in (desk, Desk(await house.publisher(), parse, desk.version)):
        assert not await each("ended", by_cases(SUMMER, ended(second), decided_on=SUMMER))
        assert each.refused == ["case-decided"]
        assert not await each("ended", plain(SUMMER, status="ENDED", decided_on=SUMMER))
        assert each.refused == ["case-decided"]
        assert not await each("ended", plain(SUMMER, status="ENDED"))
        assert each.refused == ["missing"]

    assert await desk("ended", by_cases(SUMMER, ended(second), decided_on="2025-06-11"))


async def test_a_register_of_single_cases_is_held_to_the_day_it_says(desk: Desk) -> None:
    """It need not say a day, as before; if it does, the day is after the case began."""
    assert await desk("started", plain(SPRING))
    assert await desk("ended", plain(SPRING, status="ENDED", decided_on=SPRING))
    assert await desk("started", plain(SUMMER))
    assert not await desk("ended", plain(SUMMER, status="ENDED", decided_on=SUMMER))
    assert desk.refused == ["case-decided"]
    assert await desk("ended", plain(SUMMER, status="ENDED"))


async def test_a_reopened_case_is_no_other_than_itself(desk: Desk) -> None:
    """Left out, and listed again: whoever has had one case has had one."""
    first = case(SPRING)
    assert await desk("started", by_cases(SPRING, first))
    assert await desk("ended", by_cases(SPRING, ended(first), decided_on="2025-12-01"))
    assert await desk("started", by_cases(SPRING, first))
    assert await desk("ended", by_cases(SPRING, ended(first), decided_on=SPRING))


@pytest.mark.parametrize(
    ("named", "listed", "code"),
    [
        (AUTUMN, [case(SPRING), case(SUMMER), ended(case(AUTUMN))], "case-unknown"),
        (SPRING, [ended(case(SPRING)), ended(case(SUMMER))], "case-other"),
        (SPRING, [ended(case(SPRING)), case(SUMMER)], "case-narrowed"),
        (SPRING, [ended(case(SPRING))], "case-dropped"),
    ],
)
async def test_an_end_is_of_one_case(
    desk: Desk, named: str, listed: list[dict[str, Any]], code: str
) -> None:
    """Which is known; no other is ended, left out or made less with it."""
    first, second = case(SPRING, shared_with=[MOTHER]), case(SUMMER, shared_with=[AUNT])
    await desk("started", by_cases(SPRING, first))
    await desk("started", by_cases(SUMMER, first, second))

    assert not await desk("ended", by_cases(named, *listed, decided_on="2025-12-01"))
    assert code in desk.refused


async def test_an_end_is_once(desk: Desk) -> None:
    """Of a case that has ended already it is refused, not ignored; so is one of nobody's."""
    first = case(SPRING)
    assert not await desk("ended", by_cases(SPRING, ended(first), decided_on="2025-12-01"))
    assert desk.refused == ["case-unknown"]
    assert await desk("started", by_cases(SPRING, first))
    end = by_cases(SPRING, ended(first), decided_on="2025-12-01")
    assert await desk("ended", end)

    assert not await desk("ended", end)
    assert desk.refused == ["case-ended"]


async def test_a_first_load_hands_over_what_there_is(desk: Desk) -> None:
    """Of somebody of whom nothing is known: an end too, and several cases at once."""
    whole = by_cases(SPRING, ended(case(SPRING)), case(SUMMER), decided_on="2025-12-01")

    assert await desk("ended", whole, nature="RECORD")
    assert not await desk("ended", by_cases(SPRING, ended(case(SPRING)), decided_on="2025-12-01"))
    assert set(desk.refused) == {"case-ended", "case-dropped"}


async def test_a_register_that_knows_one_case(desk: Desk) -> None:
    """Goes on as before: start, extension, end; a second time too. It is held to its own case."""
    assert await desk("started", plain(SPRING))
    assert await desk("extended", plain(SPRING, shared_with=[MOTHER]))
    assert not await desk("extended", plain(SUMMER))
    assert set(desk.refused) == {"case-unknown", "case-dropped"}
    assert not await desk("ended", plain(SUMMER, status="ENDED"))
    assert set(desk.refused) == {"case-unknown", "case-dropped"}
    assert await desk("ended", plain(SPRING, status="ENDED"))
    assert await desk("started", plain(SUMMER))
    assert not await desk("ended", plain(SPRING, status="ENDED"))
    assert await desk("ended", plain(SUMMER, status="ENDED"))


async def test_an_old_record_becomes_a_case(desk: Desk, house: Any) -> None:
    """What stands is one case; the register lists it from then on, and others beside it."""
    assert await desk(
        "started", plain(SPRING, shared_with=[MOTHER], suppresses=["CURRENT_ADDRESS"])
    )
    first = case(SPRING, shared_with=[MOTHER])

    assert not await desk("started", by_cases(SUMMER, case(SUMMER)))
    assert desk.refused == ["case-dropped"]
    assert await desk("started", by_cases(SUMMER, first, case(SUMMER)))


async def test_another_publisher_knows_the_cases(desk: Desk, house: Any, parse: Parse) -> None:
    """From the log: a relay that takes over, or a command beside it."""
    first = case(SPRING)
    await desk("started", by_cases(SPRING, first))
    await desk("started", by_cases(SUMMER, first, case(SUMMER)))
    other = Desk(await house.publisher(), parse, desk.version)

    assert not await other("ended", by_cases(SPRING, ended(first), decided_on="2025-12-01"))
    assert other.refused == ["case-dropped"]


async def test_changes_of_one_call_follow_one_another(house: Any, parse: Parse) -> None:
    """A refused one leaves no trace: the next is judged behind the one that was taken."""
    publisher = await house.publisher()
    first, second = case(SPRING), case(SUMMER)

    def of(what: str, made: dict[str, Any], version: int) -> Change:
        nature = "RECORD" if version == 1 else "CHANGE"
        flag = made["status"] != "ENDED"
        return parse(
            change(
                record(
                    "protection",
                    event_type=f"protection.{what}",
                    version=version,
                    nature=nature,
                    body=made,
                ),
                record(version=version, nature=nature, body=body("resident", protected=flag)),
            )
        )

    outcomes = await publisher.publish(
        [
            of("started", by_cases(SPRING, first), 1),
            of("ended", by_cases(SUMMER, first, ended(second), decided_on="2025-12-01"), 2),
            of("started", by_cases(SUMMER, first, second), 2),
            of("ended", by_cases(SPRING, ended(first), decided_on="2025-12-01"), 3),
            of("ended", by_cases(SPRING, ended(first), second, decided_on="2025-12-01"), 3),
        ]
    )

    assert [[f.code for f in o.faults if f.is_error] for o in outcomes] == [
        [], ["case-unknown"], [], ["case-dropped"], [],
    ]  # fmt: skip


async def test_columns_are_held_to_the_same(house: Any, desk: Desk) -> None:
    """A bulk of records that come as columns: the refused ones fall out, row by row."""
    first = case(SPRING)
    await desk("started", by_cases(SPRING, first))
    await desk("started", by_cases(SUMMER, first, case(SUMMER)))
    (good,) = house.events("protection")[-1:]
    stream = house.catalog.stream("protection")

    def row(number: int, **items: Any) -> dict[str, Any]:
        change_id = f"019d4be0-0000-7abc-8def-{number:012d}"
        header = good["header"] | {
            "event_id": change_id, "change_id": change_id, "change_size": 1, "change_index": 0,
            "version": 3, "event_type": "protection.ended",
        }  # fmt: skip
        return good | {"header": header} | items

    gone = row(1, status="ENDED", suppresses=[], cases=[], sharers=[], decided_on=None)
    records = pa.RecordBatch.from_pylist(
        [gone], schema=desk.publisher._checker("protection").schema
    )
    outcome = await desk.publisher.publish_columns(stream, records)

    assert outcome.published == 0
    assert {fault.code for fault in outcome.faults} == {"missing", "case-dropped"}


# -- against an oracle ---------------------------------------------------------------------------

DAYS = ("2025-04-01", "2025-05-01", "2025-06-01", "2025-07-01")
OTHERS = (MOTHER, AUNT, COUSIN)


@dataclass
class Oracle:
    """One person's cases by the day each began, in its own words; it shares no code."""

    standing: dict[str, tuple[bool, frozenset[str]]] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)  # days of all that there ever were

    def takes(
        self,
        what: str,
        day: str,
        told: dict[str, tuple[bool, frozenset[str]]] | None,
        decided: str | None,
    ) -> bool:
        """Whether an event may follow; *told*: the cases that it lists, None of an old record."""
        untouched = {d: c for d, c in self.standing.items() if c[0] and d != day}
        if told is None and untouched:
            return False
        if any(d not in (told or {}) or not told[d][0] for d in untouched):  # type: ignore[index]
            return False
        if any(not c[1] <= told[d][1] for d, c in untouched.items()):  # type: ignore[index]
            return False
        if what == "started":
            return True
        if day not in self.standing:
            return False
        if what == "extended":
            return True
        if not self.standing[day][0] or (decided is not None and decided < day):
            return False
        return self.begun == {day} or (decided is not None and decided > day)

    def covers(self) -> set[str]:
        """Numbers that are covered."""
        opened = [names for is_open, names in self.standing.values() if is_open]
        return {PERSON, *(name for names in opened for name in names)} if opened else set()


def scenario(
    rng: random.Random, oracle: Oracle
) -> tuple[str, str, dict[str, Any], Any, str | None]:
    """Some event: a right one, or one in which something is not as it should be."""
    what = rng.choice(("started", "started", "extended", "ended", "ended", "ended"))
    known = [d for d, (is_open, _) in oracle.standing.items() if is_open or rng.random() < 0.2]
    day = rng.choice(known) if known and what != "started" else rng.choice(DAYS)
    decided = rng.choice((None, *DAYS, "2025-12-01", "2025-12-01", "2025-12-01"))
    names = frozenset(rng.sample(OTHERS, rng.randint(0, 2)))
    told = dict(oracle.standing)
    if what == "ended":
        told[day] = (False, frozenset())
    else:
        told[day] = (True, names)
    for other in [d for d in told if d != day]:
        is_open, sharers = told[other]
        odd = rng.random()
        if odd < 0.08:
            del told[other]
        elif odd < 0.16:
            told[other] = (False, frozenset())
        elif odd < 0.24 and is_open:
            told[other] = (True, frozenset(list(sharers)[1:]))
        elif not is_open and odd < 0.5:
            del told[other]
    if rng.random() < 0.15:
        status = "ENDED" if what == "ended" else "ACTIVE"
        shared = sorted(told[day][1])
        made = plain(day, status=status, shared_with=shared, suppresses=["CURRENT_ADDRESS"])
        return what, day, made | {"decided_on": decided if what == "ended" else None}, None, decided
    if what == "ended" and decided is None:
        decided = "2025-12-01"
    cases = [
        case(d, shared_with=sorted(sharers), status="ACTIVE" if is_open else "ENDED")
        for d, (is_open, sharers) in sorted(told.items())
    ]
    made = by_cases(day, *cases, decided_on=decided if what == "ended" else None)
    return what, day, made, told, decided


@pytest.mark.parametrize("seed", seeds(40, fast=5))
async def test_whatever_is_handed_in(house: Any, parse: Parse, seed: int) -> None:
    """What is taken and whom it covers is what an oracle says; and in no order whatever does an
    event end a case that it does not name."""
    rng, oracle = random.Random(seed), Oracle()
    desk = Desk(await house.publisher(), parse)
    first = by_cases(DAYS[0], case(DAYS[0]))
    assert await desk("started", first)
    oracle.standing, oracle.begun = {DAYS[0]: (True, frozenset())}, {DAYS[0]}
    for _ in range(12):
        what, day, made, told, decided = scenario(rng, oracle)
        before = {d for d, (is_open, _) in oracle.standing.items() if is_open}

        taken = await desk(what, made)

        assert taken == oracle.takes(what, day, told, decided), (what, day, made, desk.refused)
        if taken:
            named = (what != "ended", frozenset(made["shared_with"]) if told is None else None)
            if told is None and what == "ended":
                oracle.standing[day] = (False, frozenset())
            elif told is None:
                oracle.standing = {**_ended(oracle), day: (True, named[1] or frozenset())}
            else:
                oracle.standing = told
            oracle.begun |= set(oracle.standing)
            now = {d for d, (is_open, _) in oracle.standing.items() if is_open}
            assert before - now <= ({day} if what == "ended" else set())
        assert _covered(house) == oracle.covers()


def _ended(oracle: Oracle) -> dict[str, tuple[bool, frozenset[str]]]:
    """An old record follows records with cases: what had ended is still known."""
    return {d: c for d, c in oracle.standing.items() if not c[0]}


def _covered(house: Any) -> set[str]:
    """Whom the log covers, read from its beginning."""
    values: Sequence[bytes] = [value for _, value in house.log("protection") if value is not None]
    standings = CaseIndex()
    for told in said(decode(house.catalog.stream("protection").latest, [v[5:] for v in values])):
        standings.take(told)
    return {
        person.partition("/")[2]
        for key, standing in standings
        for person in covered(key, standing, NumberForm()).persons
    }
