"""Seeded orders of everything that coverage rests on, held against an oracle that shares no code.

Each order has protections, households, links, erasures and what cannot be read, of few enough
persons and households that they meet, in pieces of any size. After each piece the closure must say
whom the oracle says; at the end every stream that says where somebody is is searched, at every
place in which a record may name somebody.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from bus.model import Protected
from bus.model.number import AS_SHIPPED
from bus.policy import Closure, Search
from bus.policy import closure as closure_module
from bus.policy.adjacency import Adjacency
from bus.policy.cases import PersonCases, after, covered, said_of
from bus.policy.closure import LOAD_FROM
from bus.policy.departures import Departures
from tests.support.changes import MUNICIPALITY, body
from tests.support.lanes import CATALOG
from tests.unit.deliver.coverage_cases import GARBAGE, PERSONS, Body, Oracle, Said, plain

SEEDS = 10_000
SOME = range(SEEDS, SEEDS + 200)
NUMBERS = [f"0000000000010{n:02d}" for n in range(7)]
STRANGER = "999999999999999"
HOMES = [f"0000000000020{n:02d}" for n in range(3)]
_TEXT = pa.string()
_HEADER = pa.field("header", pa.struct([("municipality_code", _TEXT), ("subject_id", _TEXT)]))
SCHEMAS = {
    "household": pa.schema(
        [_HEADER, pa.field("members", pa.list_(pa.struct([("subject_id", _TEXT)])))]
    ),
    "nonresident": pa.schema([_HEADER, pa.field("linked_to", _TEXT)]),
}


CASE = {
    "kind": None, "ends_on": None, "from_other_municipality": False, "current_address": True,
    "previous_address": True, "registered_domicile": True,
}  # fmt: skip
PROTECTION: dict[str, Any] = {
    "kind": None, "ends_on": None, "from_other_municipality": False, "suppresses": [],
    "decided_on": None, "cases": [], "sharers": [],
}  # fmt: skip


def header(subject: str) -> dict[str, str]:
    event_type = "protection.started"  # of no account but for a protection
    return {"municipality_code": MUNICIPALITY, "subject_id": subject, "event_type": event_type}


def batch(stream: str, records: Sequence[Said]) -> pa.RecordBatch:
    """The columns of so many records, as far as coverage looks at them."""
    rows = [{**items, "header": header(subject)} for _, subject, items in records]  # type: ignore[dict-item]
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMAS[stream])


def tell(closure: Closure, piece: Sequence[Said]) -> None:
    """One stream's records, in order, as the fence does it: together what it can."""
    for is_read, said in itertools.groupby(piece, lambda said: isinstance(said[2], dict)):
        records = list(said)
        stream = records[0][0]
        if not is_read:
            for _, subject, items in records:
                _tell_unread(closure, stream, f"{MUNICIPALITY}/{subject}", items)
        elif stream == "protection":
            for _, subject, items in records:
                row = {**PROTECTION, **items, "header": header(subject)}  # type: ignore[dict-item]
                told = said_of(row)
                word = covered(told.key, after(PersonCases(), told), AS_SHIPPED)
                closure.protection(told.key, word)
        elif stream == "household":
            closure.households(batch(stream, records))
        else:
            closure.nonresidents(batch(stream, records))


def _tell_unread(closure: Closure, stream: str, key: str, items: Body) -> None:
    if stream == "protection":
        closure.protection(key, Protected() if items is None else None)
    elif items is None and stream == "household":
        closure.household_gone(key)
    elif items is None:
        closure.nonresident_gone(key)


def saying(dice: Random) -> Said:
    """One record of any of the three streams."""
    some = [spelled(dice, each) for each in NUMBERS if dice.random() < 0.25]
    said: Body
    match dice.choice(["protection", "household", "household", "nonresident"]):
        case "protection":
            stream, subject = "protection", dice.choice(NUMBERS)
            said = protecting(dice, some if dice.random() < 0.5 else [])
        case "household":
            said = {"members": [{"subject_id": each} for each in some]}
            stream, subject = "household", dice.choice(HOMES)
        case _:
            said = {"linked_to": dice.choice([None, *NUMBERS, spelled(dice, NUMBERS[0])])}
            stream, subject = "nonresident", dice.choice(NUMBERS)
    if dice.random() < 0.1:
        said = dice.choice([None, GARBAGE])
    return stream, spelled(dice, subject), said


def protecting(dice: Random, shared: Sequence[str]) -> dict[str, Any]:
    """A person's cases, some of them open; each names some of those who share the address."""
    begun = [date(2026, 4, day) for day in range(1, dice.randint(2, 4))]
    statuses = ["ACTIVE", "PROVISIONAL", "ENDED"]
    cases = [{**CASE, "started_on": day, "status": dice.choice(statuses)} for day in begun]
    sharers = [{"subject_id": each, "started_on": dice.choice(begun)} for each in shared]
    opened = {each["started_on"] for each in cases if each["status"] != "ENDED"}
    return {
        "status": "ACTIVE" if opened else "ENDED",
        "started_on": begun[0],
        "cases": cases,
        "sharers": sharers,
        "shared_with": [s["subject_id"] for s in sharers if s["started_on"] in opened],
        "household_number": dice.choice([None, None, *HOMES]),
    }


def spelled(dice: Random, number: str) -> str:
    """A number as somebody may have written it."""
    if dice.random() < 0.8:
        return number
    return number.lstrip("0").zfill(dice.randint(1, 15)) + dice.choice(["", " "])


def pieces(dice: Random) -> Iterator[list[Said]]:
    """An order, in pieces of one stream each."""
    for _ in range(dice.randint(2, 8)):
        first = saying(dice)
        more = [said for _ in range(dice.choice([0, 0, 1, 3])) if (said := saying(dice))]
        yield [first, *(said for said in more if said[0] == first[0])]


@dataclass(frozen=True)
class Rows:
    """Rows of one stream, the person that each names, and the household."""

    records: pa.RecordBatch
    persons: Sequence[str]
    homes: Sequence[str | None]


def searched(stream: str) -> Rows:
    """Rows that name each number at each place where a record may name somebody."""
    rows = [planted(stream, path, number) for number in NUMBERS for path in PERSONS[stream]]
    persons = [number for number in NUMBERS for _ in PERSONS[stream]]
    if stream == "resident":
        rows = [{**row, "household_number": None} for row in rows]
        rows += [{**planted(stream, "", STRANGER), "household_number": home} for home in HOMES]
        persons += [STRANGER] * len(HOMES)
    homes = [row.get("household_number") for row in rows]
    return Rows(pa.RecordBatch.from_pylist(rows), persons, homes)


def planted(stream: str, path: str, number: str) -> dict[str, Any]:
    """A row that names *number* at *path*, and nobody else whom anybody knows."""
    items: dict[str, Any] = {}
    for each in PERSONS[stream]:
        head, _, rest = each.partition("/")
        value = number if each == path else STRANGER
        if rest:
            items[head] = [{rest: STRANGER}, {rest: value}]
        elif each:
            items[each] = value
    return {**items, "header": header(number if path == "" else STRANGER)}


SEARCHED = {stream: searched(stream) for stream in PERSONS}


def unspelled(keys: Iterable[str]) -> frozenset[str]:
    return keyed({plain(key.partition("/")[2]) for key in keys})


def keyed(numbers: set[str]) -> frozenset[str]:
    return frozenset(f"{MUNICIPALITY}/{number}" for number in numbers)


def hold_against_oracle(seeds: Iterable[int]) -> None:
    """So many orders."""
    for seed in seeds:
        _hold(Random(seed))


def _hold(dice: Random) -> None:
    closure, oracle = Closure(recompute_from=dice.choice([1, 2, 500])), Oracle()
    if dice.random() < 0.5:  # merged at every turn, as what was said long ago is
        closure._households, closure._links = (
            Adjacency(merge_at=0, bulk_merge_at=1) for _ in range(2)
        )
    persons: set[str] = set()
    homes: set[str] = set()
    for piece in pieces(dice):
        tell(closure, piece)
        for said in piece:
            oracle.hear(*said)
        before = persons, homes
        persons, homes = oracle.covered()
        is_more, is_less = closure.settle()
        everybody = closure.everybody
        assert unspelled(everybody.persons) == keyed(persons)
        assert unspelled(everybody.households) == keyed(homes)
        assert everybody.persons >= keyed(persons)
        assert is_more == (not (persons <= before[0] and homes <= before[1]))
        assert is_less == (not (before[0] <= persons and before[1] <= homes))
    search = Search(closure.everybody)
    for stream, rows in SEARCHED.items():
        found = search.rows(rows.records, CATALOG.stream(stream).located).to_pylist()
        named = zip(rows.persons, rows.homes, strict=True)
        assert found == [who in persons or home in homes for who, home in named], stream


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_ten_thousand_orders(part: int) -> None:
    """Whom the oracle says, after every piece of every order, in every stream."""
    hold_against_oracle(range(part, SEEDS, 4))


def test_some_orders() -> None:
    """A few of them at each run."""
    hold_against_oracle(SOME)


def _nobody(*_: object) -> Sequence[int]:
    return ()


def _nobody_named(closure: Closure, subject: str, now: Protected | None) -> None:
    alone = None if now is None else Protected(now.persons & {subject}, now.households)
    _PROTECTION(closure, subject, alone)


def _no_household_named(closure: Closure, subject: str, now: Protected | None) -> None:
    _PROTECTION(closure, subject, None if now is None else Protected(now.persons))


_PROTECTION: Callable[..., None] = Closure.protection
RELATIONS: Mapping[str, tuple[Any, str, Any]] = {
    "whom a protection names": (Closure, "protection", _nobody_named),
    "the household that a protection names": (Closure, "protection", _no_household_named),
    "the members of a household": (Closure, "_members", _nobody),
    "the household of a person": (Closure, "_homes_of", _nobody),
    "whom a number is linked to": (Closure, "_linked_on", _nobody),
    "what is linked to a number": (Closure, "_linked_back", _nobody),
    "who left a household together": (Closure, "_moved_with", _nobody),
    "who left a household one after the other": (Departures, "_left_before", _nobody),
    "who came back to a household": (Departures, "returned", _nobody),
}


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_relation_taken_out_is_caught(relation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle objects: each relation is needed, and the orders above would show its loss."""
    monkeypatch.setattr(*RELATIONS[relation])
    with pytest.raises(AssertionError):
        hold_against_oracle(SOME)


class _WithoutTheRecordsHousehold(Search):
    def __init__(self, protected: Protected) -> None:
        super().__init__(Protected(protected.persons))


def test_the_records_own_household_taken_out_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a record says itself counts, too."""
    monkeypatch.setattr(f"{__name__}.Search", _WithoutTheRecordsHousehold)
    with pytest.raises(AssertionError, match="resident"):
        hold_against_oracle(SOME)


FORTNIGHT_MS = 14 * 24 * 3_600_000


@pytest.mark.parametrize("load_from", [0, LOAD_FROM], ids=["together", "one-by-one"])
def test_who_moves_with_her_is_covered_for_a_fortnight(
    load_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the word of the household on that both have left; then whoever is in none has left."""
    monkeypatch.setattr(closure_module, "LOAD_FROM", load_from)
    closure = Closure()
    woman, mother = NUMBERS[:2]
    both = {"members": [{"subject_id": woman}, {"subject_id": mother}]}
    home = f"{MUNICIPALITY}/{mother}"

    def say(at_ms: int, number: str, members: Mapping[str, Any]) -> tuple[bool, bool]:
        closure.advance(at_ms)
        closure.households(batch("household", [("household", number, members)]), [at_ms])
        return closure.settle()

    tell(closure, [("protection", woman, body("protection"))])
    assert say(10, HOMES[0], both) == (True, False)
    say(5_000, HOMES[0], {"members": []})
    assert home in closure.everybody.persons
    why = closure.reasons(f"{MUNICIPALITY}/{woman}")[home]
    assert [(r.relation.value, r.via) for r in why] == [("move", f"{MUNICIPALITY}/{woman}")]
    assert say(5_000 + FORTNIGHT_MS, HOMES[2], {"members": []}) == (False, False)
    assert say(5_001 + FORTNIGHT_MS, HOMES[2], {"members": []}) == (False, True)
    assert home not in closure.everybody.persons
    assert (closure._departures._parties_of, closure._departures._parties_by_age) == ({}, [])


@pytest.mark.parametrize("load_from", [0, LOAD_FROM], ids=["together", "one-by-one"])
def test_who_moves_after_her_is_covered_for_a_fortnight(
    load_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From her own leaving on, if the other left no more than a fortnight before."""
    monkeypatch.setattr(closure_module, "LOAD_FROM", load_from)
    closure = Closure()
    woman, mother, brother = NUMBERS[:3]

    def say(at_ms: int, number: str, *members: str) -> None:
        listed = {"members": [{"subject_id": each} for each in members]}
        closure.advance(at_ms)
        closure.households(batch("household", [("household", number, listed)]), [at_ms])
        closure.settle()

    def are_covered(*persons: str) -> list[bool]:
        return [f"{MUNICIPALITY}/{each}" in closure.everybody.persons for each in persons]

    tell(closure, [("protection", woman, body("protection"))])
    say(10, HOMES[0], woman, mother, brother)
    say(1_000, HOMES[0], mother, brother)
    assert are_covered(mother, brother) == [False, False]
    say(1_000 + FORTNIGHT_MS, HOMES[0], brother)
    assert are_covered(mother, brother) == [True, False]
    say(1_001 + FORTNIGHT_MS, HOMES[0])
    assert are_covered(mother, brother) == [True, True]  # he with his mother, and she with her
    say(1_000 + 2 * FORTNIGHT_MS, HOMES[2])
    assert are_covered(mother, brother) == [True, True]
    say(1_001 + 2 * FORTNIGHT_MS, HOMES[2])
    assert are_covered(mother, brother) == [False, False]
    say(1_002 + 3 * FORTNIGHT_MS, HOMES[2])
    departures = closure._departures
    assert (departures._parties_of, departures._parties_by_age) == ({}, [])
    assert (departures._left, departures._left_by_age) == ({}, [])


def looking(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The times of what is looked at one by one."""
    looked: list[int] = []
    one = Closure._household

    def look(self: Closure, home: int, members: Any, at_ms: int | None) -> None:
        looked.append(at_ms or 0)
        one(self, home, members, at_ms)

    monkeypatch.setattr(Closure, "_household", look)
    return looked


MINE = {"members": [{"subject_id": NUMBERS[0]}]}


def test_a_first_load_is_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """But what is said of a household for the second time, in the same load or later, is."""
    monkeypatch.setattr("bus.policy.closure.LOAD_FROM", 3)
    looked, closure = looking(monkeypatch), Closure()

    def say(at: int, *homes: str) -> None:
        times = list(range(at, at + len(homes)))
        closure.advance(times[-1])
        closure.households(batch("household", [("household", home, MINE) for home in homes]), times)

    say(100, *HOMES, "999")
    assert looked == []
    say(200, HOMES[0], "997", "998", "996", "998")
    closure.settle()
    assert looked == [200, 202, 204]
    say(300, "995")
    closure.settle()
    assert looked == [200, 202, 204, 300]


def test_what_is_said_again_as_a_whole_is_not_looked_at_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would take a process that starts too long."""
    monkeypatch.setattr("bus.policy.closure.LOAD_FROM", 3)
    looked, closure = looking(monkeypatch), Closure()
    monkeypatch.setattr("bus.policy.closure.MOST_MOVES", 3)
    said = [("household", HOMES[0], MINE)] * 4
    closure.households(batch("household", said), [100] * 4)
    closure.settle()
    assert looked == []


@pytest.mark.parametrize("pieces_at_most", [1, 1_000])
def test_who_leaves_after_a_first_load_is_found(
    pieces_at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a process that starts later, and reads load and leaving at once."""
    monkeypatch.setattr("bus.policy.closure.LOAD_FROM", 3)
    monkeypatch.setattr("bus.policy.closure.MOST_PIECES", pieces_at_most)
    woman, mother = NUMBERS[:2]
    both = {"members": [{"subject_id": woman}, {"subject_id": mother}]}
    load: list[Said] = [("household", home, MINE if n else both) for n, home in enumerate(HOMES)]
    load += [("household", f"{number}", {"members": []}) for number in range(901, 905)]
    closure = Closure(recompute_from=1)
    tell(closure, [("protection", woman, body("protection"))])
    tell(closure, load)
    closure.household_gone(f"{MUNICIPALITY}/{HOMES[1]}")
    tell(closure, [("household", HOMES[2], {"members": []})])
    tell(closure, [("household", HOMES[0], {"members": []}), *load[3:]])
    closure.settle()
    assert unspelled(closure.everybody.persons) == keyed({woman, mother})


def test_some_orders_in_large_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as a first load has, in every piece."""
    monkeypatch.setattr("bus.policy.closure.LOAD_FROM", 0)
    hold_against_oracle(SOME[:100])


def test_what_was_said_long_ago_is_not_looked_at_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came lately is, in the order in which it was said; by the logs' own time, of which the
    newest may come last, and from another log."""
    looked, closure = looking(monkeypatch), Closure(recompute_from=1)
    said = [("household", HOMES[0], MINE)] * 4
    closure.advance(101)
    closure.households(batch("household", said), [98, 99, 100, 101])
    closure.advance(100 + 2 * FORTNIGHT_MS)
    closure.households(batch("household", said[:1]), [102])
    closure.settle()
    assert looked == [100, 101, 102]


def test_why_somebody_is_covered() -> None:
    """Every step from the protected person on, by relation."""
    closure = Closure()
    woman, mother, brother, number = NUMBERS[:4]
    tell(
        closure,
        [("household", HOMES[0], {"members": [{"subject_id": woman}, {"subject_id": mother}]})],
    )
    tell(closure, [("nonresident", number, {"linked_to": mother})])
    said = body("protection", shared_with=[brother])
    tell(closure, [("protection", woman, said)])
    closure.settle()

    why = closure.reasons(f"{MUNICIPALITY}/{woman}")
    assert set(why) == closure.everybody.persons
    steps = {
        key.partition("/")[2]: [(r.relation.value, r.via.partition("/")[2]) for r in reasons]
        for key, reasons in why.items()
    }
    assert steps[woman][0] == ("case", woman)
    assert steps[brother] == [("named", woman)]
    assert steps[mother] == [("household", HOMES[0]), ("link", number)]
    assert steps[number] == [("link", mother)]
