"""Changes that are handed in: an answer to each, and twice is once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bus.connect.source import Limits, SoleTerm
from bus.errors import BrokerUnavailable, ChangeRefused, LeaseLost
from bus.publish.admission import Bounds
from bus.publish.intake import Answer, Intake, IntakeStatus, Principal
from bus.publish.publisher import Publisher, PublisherSettings
from tests.support.changes import MUNICIPALITY, body, change, record

CLERK = Principal("register", Bounds(frozenset({"resident_registry"}), frozenset({MUNICIPALITY})))


def ident(number: int) -> str:
    """A change id."""
    return f"019d4be0-0000-7abc-8def-{number:012d}"


def moved_in(number: int, **fields: Any) -> bytes:
    """A change of one resident, as somebody hands it in."""
    made = change(record(subject_id=f"{number:015d}", **fields), change_id=ident(number))
    return json.dumps(made, ensure_ascii=False).encode()


class Term(SoleTerm):
    """May be lost, and says whether it was left to run out."""

    def __init__(self) -> None:
        self.is_lost = False
        self.is_abandoned = False

    def guard(self) -> None:
        if self.is_lost:
            raise LeaseLost("another process leads here")

    def abandon(self) -> None:
        self.is_abandoned = True


class Mine:
    """Terms of one process, by system."""

    def __init__(self) -> None:
        self.term = Term()
        self.asked: list[str] = []

    @asynccontextmanager
    async def of(self, system: str) -> AsyncIterator[Term]:
        self.asked.append(system)
        yield self.term


@pytest.fixture
def intake(house: Any) -> Callable[..., Any]:
    """Makes an intake over the house's log."""

    async def make(terms: Mine | None = None, **options: Any) -> Intake:
        publisher = await house.publisher()
        return Intake(lambda _: publisher, terms or Mine(), **options)

    return make


def fates(answers: list[Answer]) -> list[IntakeStatus]:
    """What became of each."""
    return [answer.fate for answer in answers]


async def test_each_is_answered_by_itself(intake: Any, house: Any) -> None:
    """In the order in which they were handed in; one that is refused holds up no other."""
    taken = await (await intake()).accept(
        CLERK,
        [moved_in(1), b"{", moved_in(2, body=body("resident", sex="9")), moved_in(3)],
    )

    assert fates(taken) == [
        IntakeStatus.ACCEPTED,
        IntakeStatus.REFUSED,
        IntakeStatus.REFUSED,
        IntakeStatus.ACCEPTED,
    ]
    assert [fault.code for fault in taken[1].faults] == ["not-json"]
    assert ("code-list", "性別") in [(fault.code, fault.item) for fault in taken[2].faults]
    assert taken[2].change_id == ident(2)
    assert [len(answer.event_ids) for answer in taken] == [1, 0, 0, 1]
    assert len(house.events("resident")) == 2


async def test_twice_is_once(intake: Any, house: Any) -> None:
    """Whoever got no answer hands the same in again, here or elsewhere; others go with it."""
    first = await (await intake()).accept(CLERK, [moved_in(1)])
    again = await (await intake()).accept(CLERK, [moved_in(1), moved_in(2)])

    assert fates(first + again) == [
        IntakeStatus.ACCEPTED,
        IntakeStatus.KNOWN,
        IntakeStatus.ACCEPTED,
    ]
    assert first[0].event_ids == again[0].event_ids
    assert len(house.events("resident")) == 2


async def test_whoever_hands_in_speaks_for_their_own(intake: Any, house: Any) -> None:
    """For no other system and no other municipality; and each change says who it is."""
    foreign = json.loads(moved_in(1)) | {"source": "individual_resident_tax"}
    elsewhere = json.loads(moved_in(2)) | {"municipality_code": "011002"}
    nameless = json.loads(moved_in(3))
    del nameless["change_id"]
    terms = Mine()

    taken = await (await intake(terms)).accept(
        CLERK, [json.dumps(one).encode() for one in (foreign, elsewhere, nameless)]
    )

    assert [[fault.field for fault in answer.faults] for answer in taken] == [
        ["source"], ["municipality_code"], ["change_id"],
    ]  # fmt: skip
    assert terms.asked == []
    assert house.events("resident") == []


async def test_what_is_handed_in_is_bounded(intake: Any) -> None:
    """One that is too large is refused, too many at once are not looked at."""
    made = await intake(limits=Limits(changes=2, bytes=10_000, change_bytes=5_000))

    (answer,) = await made.accept(CLERK, [b"x" * 5_001])
    assert [fault.code for fault in answer.faults] == ["too-large"]
    for many in ([b"{}"] * 3, [b"x" * 4_000] * 3):
        with pytest.raises(ChangeRefused):
            await made.accept(CLERK, many)
    assert await made.accept(CLERK, []) == []


async def test_nothing_is_sent_without_the_term(house: Any) -> None:
    """A process that was stopped, and wakes when another one leads, appends nothing."""
    terms, publishers = Mine(), list[Publisher]()

    def make(guard: Any) -> Publisher:
        made = Publisher(
            house.catalog,
            house.registry,
            house.broker,
            PublisherSettings(now=lambda: house.now),
            guard=guard,
        )
        publishers.append(made)
        return made

    intake = Intake(make, terms)
    terms.term.is_lost = True
    with pytest.raises(LeaseLost):
        await intake.accept(CLERK, [moved_in(1)])
    assert house.events("resident") == []

    terms.term.is_lost = False
    assert fates(await intake.accept(CLERK, [moved_in(1)])) == [IntakeStatus.ACCEPTED]
    assert len(publishers) == 2
    assert not terms.term.is_abandoned
    await intake.close()


class Away:
    """A publisher whose broker went away; closing it says whether something is under way."""

    def __init__(self, *, ends: bool) -> None:
        self._ends = ends

    async def start(self) -> None:
        """It was there then."""

    async def publish(self, changes: Any) -> Any:
        raise BrokerUnavailable("nothing answers")

    async def close(self) -> None:
        if not self._ends:
            raise BrokerUnavailable("nothing answers")


@pytest.mark.parametrize("ends", [True, False])
async def test_a_term_is_kept_while_something_may_be_under_way(*, ends: bool) -> None:
    """Otherwise it is given back at once."""
    terms = Mine()
    intake = Intake(lambda _: Away(ends=ends), terms)

    with pytest.raises(BrokerUnavailable):
        await intake.accept(CLERK, [moved_in(1)])

    assert terms.term.is_abandoned == (not ends)
