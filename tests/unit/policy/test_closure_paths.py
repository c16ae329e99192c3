"""What a store has to look for that was told by another process, held against the oracle.

Processes read three logs each in an order of its own between them. One masks a row as of somewhere,
of a store that was told as of somewhere before; another, which came another way, has to find that
row once it tells the store of a coverage that has it, though on its own way nothing ever changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random

import pytest

from bus.model import History, Protected, Reached, Turn
from bus.policy import Closure
from tests.unit.deliver.coverage_cases import Oracle, Said
from tests.unit.policy.test_closure import keyed, saying, tell, unspelled

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


def one_way(dice: Random, logs: Logs) -> Iterable[Protected]:
    """Who is covered, after each piece that one process reads, and what it remembers."""
    closure, at = Closure(recompute_from=dice.choice([1, 2, 500])), dict.fromkeys(STREAMS, 0)
    begin, turns = dict(at), list[Turn]()
    while left := [stream for stream in STREAMS if at[stream] < len(logs[stream])]:
        stream, before = dice.choice(left), closure.everybody
        piece = logs[stream][at[stream] :][: dice.choice([1, 1, 2, 5])]
        tell(closure, piece)
        at[stream] += len(piece)
        if any(closure.settle()) or closure.stirred:
            now, stirred = closure.everybody, closure.stirred
            persons = now.persons - before.persons | stirred.persons
            homes = now.households - before.households | stirred.households
            turns.append(Turn(dict(at), persons, homes))
        yield Protected(
            closure.everybody.persons,
            closure.everybody.households,
            dict(at),
            History(begin, tuple(turns), {}),
        )


def hold(dice: Random) -> None:
    """One process tells what another has not masked."""
    logs = logs_of(dice)
    nothing = dict.fromkeys(STREAMS, 0)
    for now in one_way(dice, logs):
        persons, homes = covered_at(logs, now.as_of)
        for _ in range(10):
            masked_under = between(dice, nothing, now.as_of)
            told = between(dice, nothing, masked_under)
            shown = covered_at(logs, masked_under)
            newly = now.newly(told)
            assert persons - shown[0] <= unspelled(newly.persons)
            assert homes - shown[1] <= unspelled(newly.households)


def test_whoever_was_told_by_another_process_is_looked_for() -> None:
    """Also of whom this one has known all the time, for one reason or another."""
    for seed in SOME:
        hold(Random(seed))


def test_who_is_new_alone_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle objects, where a process says only who is new on its own way."""
    monkeypatch.setattr(Closure, "_stir", lambda closure: None)
    with pytest.raises(AssertionError):
        test_whoever_was_told_by_another_process_is_looked_for()
