"""Thousands of orders: once a protection is applied in a store, the address is not in it.

Time is made up (:mod:`tests.support.madeup`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import bus.control.fence as fence
import bus.policy.numbering as numbering
import bus.policy.protection as searching
import connectors.memory.sink as memory
import tests.unit.deliver.protection_race as races
from bus.control.fence import Fence
from bus.deliver.coverage_updater import CoverageUpdater
from bus.model import Case, View
from bus.policy import Closure
from bus.policy.cases import PersonCases
from bus.policy.departures import Departures
from connectors.memory.sink import MemorySink
from tests.support.madeup import run
from tests.unit.deliver.memory_race import FEW, Race, without_logs
from tests.unit.deliver.protection_race import view_of

FAMILIES = 50


@pytest.fixture(autouse=True)
def _without_logs() -> None:
    without_logs()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_the_address_is_never_seen_again(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand families, each in an order of its own, five streams, every kind of trouble."""
    run(Race(seed, monkeypatch).run(FAMILIES))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(15))
def test_nor_in_any_stream_however_it_is_told(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stream that says where somebody is, numbers in several spellings, several cases. The
    seeds are the first of ``python -m tests.orders``, and its orders where PYTHONHASHSEED is 0."""
    run(Race(seed, monkeypatch, is_varied=True).run(FEW))


async def _asks_nobody(_: object, _asked: object = None) -> None:
    await asyncio.sleep(0)


def _lets_all(*_: object) -> None:
    return


def _nobody(*_: object) -> tuple[int, ...]:
    return ()


def _takes_nothing(table: Any, *_: object) -> Any:
    return table


class _WithoutHouseholds(searching.Search):
    def __init__(self, protected: Any) -> None:
        super().__init__(protected)
        self._households = searching._Keys(())


def _as_written(numbers: Any) -> Any:
    return numbers


def _the_first_case(standing: PersonCases) -> list[Case]:
    return [case for _, case in sorted(standing.cases.items())[:1] if case.is_open]


def _only_the_subject(system: str, stream: str) -> View:
    return replace(view_of(system, stream), located=("header.subject_id",))


MECHANISMS: dict[str, tuple[Any, str, Any]] = {
    "the fence asks": (Fence, "catch_up", _asks_nobody),
    "the store checks": (MemorySink, "_insist_on_fence", _lets_all),
    "the store takes out": (memory, "suppress", _takes_nothing),
    "the household counts": (fence, "Search", _WithoutHouseholds),
    "whoever is named counts": (races, "view_of", _only_the_subject),
    "members count": (Closure, "_members", _nobody),
    "homes count": (Closure, "_homes_of", _nobody),
    "whom a number is linked to counts": (Closure, "_linked_on", _nobody),
    "what is linked to a number counts": (Closure, "_linked_back", _nobody),
    "a lane tells its store": (CoverageUpdater, "is_due", property(lambda _: False)),
}

VARIED: dict[str, tuple[Any, str, Any]] = {
    "who left together counts": (Closure, "_moved_with", _nobody),
    "who left one after the other counts": (Departures, "_left_before", _nobody),
    "every case counts": (PersonCases, "open", property(_the_first_case)),
    "however a row spells a number": (searching, "comparable_column", _as_written),
    "however a record spells a number": (numbering, "bare", _as_written),
}
"""Those that only varied families need."""


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", [*MECHANISMS, *VARIED])
def test_without_a_mechanism_it_is_seen(mechanism: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is needed: taken away, an address is seen, or lanes wait for ever."""
    monkeypatch.setattr(*(MECHANISMS | VARIED)[mechanism])

    def races() -> None:
        for seed in range(3):
            run(Race(seed, monkeypatch, is_varied=mechanism in VARIED).run(FEW))

    with pytest.raises(AssertionError, match=r"was seen|not settled"):
        races()
