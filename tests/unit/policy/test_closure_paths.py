"""What a store has to look for that was told by another process, held against the oracle.

Processes read three logs each in an order of its own between them. One masks a row as of somewhere,
of a store that was told as of somewhere before; another, which came another way, has to find that
row once it tells the store of a coverage that has it, though on its own way nothing ever changed.
And where the first covered somebody whom the other never did, the other has to look for rows that
may be shown again, and to tell the store at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest

from bus.model import CoverageChange, History, Protected, Reached, knows
from bus.policy import Closure
from bus.policy.grounds import Grounds
from tests.support.changes import MUNICIPALITY, body
from tests.unit.deliver.coverage_cases import Oracle, Said
from tests.unit.policy.test_closure import HOMES, NUMBERS, batch, keyed, saying, tell, unspelled

STREAMS = ("protection", "household", "nonresident")
SOME = range(400)
Logs = Mapping[str, Sequence[Said]]


def logs_of(dice: Random) -> Logs:
    """So many records, by stream."""
    said = [saying(dice) for _ in range(dice.randint(4, 14))]
    return {stream: [each for each in said if each[0] == stream] for stream in STREAMS}


def between(dice: Random, low: Reached, high: Reached) -> Reached:
    """Somewhere from *low* to *high*."""
    return {stream: dice.randint(low[stream], high[stream]) for stream in STREAMS}


def covered_at(logs: Logs, at: Reached) -> tuple[frozenset[str], frozenset[str]]:
    """Persons and households, by the oracle."""
    oracle = Oracle()
    for stream in STREAMS:
        for said in logs[stream][: at[stream]]:
            oracle.hear(*said)
    persons, homes = oracle.covered()
    return keyed(persons), keyed(homes)


def seal_of(covered: tuple[frozenset[str], frozenset[str]]) -> str:
    """Equal if the same are covered."""
    return repr([sorted(keys) for keys in covered])


def begun(dice: Random, logs: Logs, begin: Reached) -> tuple[Closure, Reached]:
    """A process that has read all up to *begin*, and how far the records go that it rests on."""
    closure, at = Closure(recompute_from=dice.choice([1, 2, 500])), dict.fromkeys(STREAMS, 0)
    grounds = Grounds(closure)
    note = {"household": grounds.households, "nonresident": grounds.nonresidents}
    while left := [stream for stream in STREAMS if at[stream] < begin[stream]]:
        stream = dice.choice(left)
        many = min(dice.choice([1, 2, 5]), begin[stream] - at[stream])
        piece = logs[stream][at[stream] :][:many]
        tell(closure, piece)
        for offset, said in enumerate(piece, at[stream]):
            if stream == "protection":
                grounds.protection(stream, f"{MUNICIPALITY}/{said[1]}", offset)
            elif isinstance(said[2], dict):
                note[stream](stream, batch(stream, [said]), [offset])
        at[stream] += many
    closure.settle()
    return closure, grounds.reach(begin)


def one_way(
    dice: Random, logs: Logs, closure: Closure, begin: Reached, rests_on: Reached
) -> Iterable[Protected]:
    """Who is covered, after each piece that one process reads, and what it remembers."""
    at, changes = dict(begin), list[CoverageChange]()
    seal = seal_of(covered_at(logs, begin))
    released = dict(begin) if begin["protection"] else {}
    history = History(begin, (), released, seal, rests_on)
    yield replace(closure.everybody, as_of=begin, history=history)
    while left := [stream for stream in STREAMS if at[stream] < len(logs[stream])]:
        stream, before = dice.choice(left), closure.everybody
        piece = logs[stream][at[stream] :][: dice.choice([1, 1, 2, 5])]
        tell(closure, piece)
        at[stream] += len(piece)
        is_more, is_less = closure.settle()
        if is_less or closure.loosened:
            released = dict(at)
        if is_more or is_less or closure.stirred or closure.loosened:
            now, stirred = closure.everybody, closure.stirred
            persons = now.persons - before.persons | stirred.persons
            homes = now.households - before.households | stirred.households
            changes.append(CoverageChange(dict(at), persons, homes))
        history = replace(history, changes=tuple(changes), released=released)
        yield replace(closure.everybody, as_of=dict(at), history=history)


def turned_at(now: Protected) -> Reached:
    """As of which a store is told at the latest: who is covered changed last then."""
    history = now.history
    assert history is not None
    return history.changes[-1].as_of if history.changes else history.released


def hold(dice: Random) -> None:
    """One process tells what others, before it or beside it, have not masked."""
    logs = logs_of(dice)
    nothing = dict.fromkeys(STREAMS, 0)
    begin = between(dice, nothing, {stream: len(said) for stream, said in logs.items()})
    closure, rests_on = begun(dice, logs, begin)
    for now in one_way(dice, logs, closure, begin, rests_on):
        persons, homes = covered_at(logs, now.as_of)
        for _ in range(10):
            masked_under = between(dice, nothing, now.as_of)
            told = between(dice, nothing, masked_under)
            shown = covered_at(logs, masked_under)
            newly = now.newly(now.since(told, seal_of(covered_at(logs, told))))
            assert persons - shown[0] <= unspelled(newly.persons)
            assert homes - shown[1] <= unspelled(newly.households)
            if not shown[0] <= persons:
                assert now.may_release(told)
                assert not knows(told, turned_at(now))


def test_whoever_was_told_by_another_process_is_looked_for() -> None:
    """Also of whom this one has known all the time, for one reason or another, or never."""
    for seed in SOME:
        hold(Random(seed))


def newly_after_a_restart(said: Logs, told: Reached) -> frozenset[str]:
    """Whom a process looks for that begins at the end of *said*, in a store told as of *told*."""
    begin = {stream: len(said[stream]) for stream in STREAMS}
    closure, rests_on = begun(Random(0), said, begin)
    now = next(iter(one_way(Random(0), said, closure, begin, rests_on)))
    return now.newly(now.since(told, seal_of(covered_at(said, told)))).persons


def test_after_a_restart_the_same_are_covered_but_not_all_the_time() -> None:
    """Whoever read that she has left, and not yet that she is named, has shown her row since."""
    one, two = NUMBERS[:2]
    named = {**body("protection"), "shared_with": [two], "sharers": []}
    lives = [{"members": [{"subject_id": each} for each in some]} for some in ([one, two], [one])]
    household: list[Said] = [("household", HOMES[0], each) for each in lives]
    protection: list[Said] = [("protection", one, each) for each in (body("protection"), named)]
    logs: Logs = {"protection": protection, "household": household, "nonresident": []}
    told = {"protection": 1, "household": 1, "nonresident": 0}
    assert covered_at(logs, told)[0] == keyed({one, two})
    assert covered_at(logs, {**told, "household": 2})[0] == keyed({one})
    assert newly_after_a_restart(logs, told) == keyed({one, two})
    quiet: Logs = {**logs, "protection": protection[:1], "household": household[:1]}
    assert not newly_after_a_restart(quiet, told)
    assert not newly_after_a_restart({**quiet, "household": [household[0], elsewhere()]}, told)


def test_a_newer_record_of_the_household_is_no_ground() -> None:
    """She may have left it in between, and come back."""
    one, two = NUMBERS[:2]
    lives: Said = ("household", HOMES[0], {"members": [{"subject_id": o} for o in (one, two)]})
    told = {"protection": 1, "household": 1, "nonresident": 0}
    logs: Logs = {
        "protection": [("protection", one, body("protection"))],
        "household": [lives, ("household", HOMES[0], {"members": [{"subject_id": one}]}), lives],
        "nonresident": [],
    }
    assert newly_after_a_restart(logs, told) == keyed({one, two})


def elsewhere() -> Said:
    """Somebody else's household, of which nobody is covered."""
    return "household", HOMES[1], {"members": [{"subject_id": NUMBERS[5]}]}


def test_a_move_is_no_ground() -> None:
    """What rests on records that hold no longer is taken for all that was read."""
    closure = Closure(recompute_from=1)
    both = {"members": [{"subject_id": each} for each in NUMBERS[:2]]}
    for said in (
        ("protection", NUMBERS[0], body("protection")),
        ("household", HOMES[0], both),
        ("household", HOMES[0], {"members": []}),
    ):
        tell(closure, [said])
    closure.settle()
    assert closure.rests_on_moves
    assert Grounds(closure).reach({"household/0": 7}) == {"household/0": 7}


def test_who_is_new_alone_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle objects, where a process says only who is new on its own way."""
    monkeypatch.setattr(Closure, "_stir", lambda closure: None)
    with pytest.raises(AssertionError):
        test_whoever_was_told_by_another_process_is_looked_for()


def test_who_is_released_alone_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle objects, where a process says only who is released on its own way."""
    monkeypatch.setattr(Closure, "_loosen", lambda *_: None)
    with pytest.raises(AssertionError):
        test_whoever_was_told_by_another_process_is_looked_for()
