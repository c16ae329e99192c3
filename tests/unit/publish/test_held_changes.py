"""Without keys, what needs them waits, and what would overtake it; everything else goes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest

from bus.connect.source import Refusal
from bus.errors import BusError
from bus.model import PROTECTION, Change, Fault
from bus.publish import held_changes as module
from bus.publish.held_changes import HeldChanges, KeyGate
from bus.sealing import Seals
from tests.support.changes import change, record
from tests.support.keys import Pocket

NUMBER = "individual_number"


class Held:
    """A source that is only told what to pass over."""

    places: Collection[int] = ()

    def hold(self, places: Collection[int]) -> None:
        self.places = set(places)


def of(*records: tuple[str, str]) -> Change:
    """A change with a record of each (stream, subject)."""
    named = [
        record("resident", subject_id=subject) | {"stream": stream} for stream, subject in records
    ]
    return Change.model_validate(change(*named))


def holding_of(seals: Seals, again_after: float = 0.0) -> tuple[HeldChanges, Held]:
    """What is held back, and the source that is told."""
    source: Any = Held()
    return HeldChanges(source, KeyGate(seals, {NUMBER}), again_after), source


async def gone(holding: HeldChanges, *changes: Change) -> list[int]:
    """The places of those that go, numbered from 1."""
    return [place for place, _ in await holding.without(list(enumerate(changes, 1)))]


async def test_with_keys_everything_goes() -> None:
    """Nothing is held, and nobody is asked where no change needs them."""
    holding, source = holding_of(Seals(Pocket("k1")))

    assert await gone(holding, of((NUMBER, "1")), of(("resident", "1"))) == [1, 2]
    assert (len(holding), source.places, holding.error) == (0, (), None)


async def test_what_needs_keys_waits_and_what_is_behind_it() -> None:
    """Of the same subjects, and of those that come in between; strangers go on."""
    holding, source = holding_of(Seals())

    going = await gone(
        holding,
        of(("resident", "1")),
        of((NUMBER, "1"), ("resident", "2")),
        of(("resident", "3")),
        of(("resident", "2"), ("resident", "4")),
        of(("resident", "4")),
        of(("resident", "1")),
    )

    assert going == [1, 3]
    assert source.places == {2, 4, 5, 6}
    assert holding.error is not None
    assert holding.error.code == "RK-105"
    assert await gone(holding, of(("resident", "4")), of(("resident", "5"))) == [2]
    assert not holding.is_full


async def test_a_protection_waits_for_no_number() -> None:
    """But for its own earlier version."""
    holding, _ = holding_of(Seals())

    going = await gone(holding, of((NUMBER, "1")), of((PROTECTION, "1")), of(("resident", "1")))

    assert going == [2]
    assert not holding.is_full


@pytest.mark.parametrize(
    "waiting",
    [
        [of((NUMBER, "1"), (PROTECTION, "1"))],
        [of((NUMBER, "1")), of((PROTECTION, "1"), ("resident", "1"))],
    ],
)
async def test_where_a_protection_waits_nothing_goes(waiting: list[Change]) -> None:
    """Whoever lives with the person must not be shown meanwhile."""
    holding, _ = holding_of(Seals())

    assert await gone(holding, *waiting, of(("resident", "9"))) == []
    assert holding.is_full


async def test_what_is_held_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing more is taken."""
    monkeypatch.setattr(module, "MOST_HELD", 3)
    holding, _ = holding_of(Seals())

    await gone(holding, *(of((NUMBER, str(n))) for n in range(3)))

    assert holding.is_full


async def test_once_there_are_keys_all_is_let_go() -> None:
    """They are asked for again after a while, and not at each batch."""
    pocket = Pocket()
    pocket.text = "half a fi"
    holding, source = holding_of(Seals(pocket))
    await gone(holding, of((NUMBER, "1")))
    await holding.ask_again()
    assert source.places == {1}

    pocket.hold("k1")
    await holding.ask_again()

    assert (source.places, len(holding), holding.error) == (set(), 0, None)
    assert await gone(holding, of((NUMBER, "1"))) == [1]


async def test_they_are_not_asked_for_at_every_turn() -> None:
    """A command may be a dear question."""
    pocket = Pocket()
    pocket.text = "half a fi"
    holding, source = holding_of(Seals(pocket), again_after=60.0)
    await gone(holding, of((NUMBER, "1")))
    pocket.hold("k1")

    await holding.ask_again()

    assert source.places == {1}


@pytest.mark.parametrize(
    ("seals", "kept"),
    [
        (Seals, False),
        (lambda: Seals(Pocket("k1")), False),
        (lambda: Seals(_torn()), True),
    ],
)
async def test_a_refusal_waits_for_keys_that_should_be_there(
    seals: Callable[[], Seals], kept: bool
) -> None:
    """What would be sealed must not lie about; a site without keys takes the content out."""
    holding, source = holding_of(seals())
    refused = [Refusal(1, [Fault(code="x", expected="y")]), Refusal(2, [])]
    first = of(("resident", "1"))

    settled = await holding.without_refusals(refused, [(1, first)])

    assert settled == ([] if kept else refused)
    assert set(source.places) == ({1, 2} if kept else set())
    assert isinstance(holding.error, BusError) == kept


def _torn() -> Pocket:
    pocket = Pocket()
    pocket.text = "half a fi"
    return pocket
