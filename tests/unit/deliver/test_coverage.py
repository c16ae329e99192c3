"""Whoever must be covered is covered: by the view, in the store, until it is given back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bus.catalog.plain import from_json
from bus.control.fence import RESTS_ON, Fence
from bus.control.parked import lane_of
from bus.deliver.coverage_updater import LOOK_AFTER
from bus.errors import CoverageUnknown
from bus.model import Applied, Delivery, rows_in
from connectors.memory.sink import MemorySink, MemoryStore
from tests.support.changes import body
from tests.support.lanes import CATALOG, Hosted, Town, hosted, until
from tests.unit.deliver.coverage_cases import (
    CASES,
    GARBAGE,
    HOME,
    MOTHER,
    NUMBER,
    OTHER,
    PERSONS,
    WOMAN,
    Case,
    Oracle,
    Said,
    household,
    linked,
    mends,
    protection,
    records_about,
)
from tests.unit.deliver.protection_race import view_of

SYSTEM = "child_allowance"
STREAMS = (*PERSONS, "protection")
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


class Publishing:
    """Publishes with versions that count up."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.versions: dict[tuple[str, str], int] = {}
        self.counts: dict[str, int] = {}

    async def say(self, said: Sequence[Said]) -> None:
        for stream, subject, items in said:
            version = self.versions[stream, subject] = self.versions.get((stream, subject), 0) + 1
            if items is None or isinstance(items, bytes):
                await self._town.append(stream, subject, items)
            else:
                await self._town.append(
                    stream, subject, self._value(stream, subject, items, version)
                )
            self.counts[stream] = self.counts.get(stream, 0) + 1

    def _value(self, stream: str, subject: str, items: Any, version: int) -> bytes:
        known = CATALOG.stream(stream)
        made = self._town.record("household", subject, version, event_type=known.event_types[0])
        header = made["header"] | {"processed_at": "2026-11-24T00:00:00+00:00"}
        record, faults = from_json(known.latest, {**items, "header": header})
        assert faults == []
        return self._town.framed(known.latest, record)

    async def delivered(self, bus: Hosted) -> None:
        """Wait until everything is delivered, and nothing more is to be done."""
        await bus.news()
        for stream in PERSONS:
            if stream in self.counts:
                await bus.at(self.counts[stream], stream)
        if "protection" in self.counts:
            await bus.at(self.counts["protection"], "protection")

    async def mend(self, bus: Hosted, said: Sequence[Said]) -> None:
        """Publish these again in the place of what cannot be read, and close what is set aside."""
        await self.say(said)
        parked = bus.process.control.parked

        async def is_closed() -> bool:
            await bus.news()
            subjects = {subject for stream, subject, _ in said if stream in PERSONS}
            aside = [e for e in bus.parked() if e.subject.partition("/")[2] in subjects]
            await parked.dismiss([e for e in aside if e.state == "PARKED"], "T-1")
            for event in aside:
                parked.lane(lane_of(event)).on_news()
            return not aside

        await self.delivered(bus)
        await until(is_closed, 10)

    async def settled(self, bus: Hosted, store: MemoryStore) -> None:
        """Wait until the store knows who is covered, and nothing is to be given back."""

        async def is_so() -> bool:
            await self.delivered(bus)
            changed = bus.process.fence.changed
            is_told = all(store.fence.get(log, 0) >= changed[log] for log in changed)
            return is_told and not store.taken

        await until(is_so, 10)


def held(store: MemoryStore) -> dict[tuple[str, str], dict[str, Any]]:
    """Every row."""
    return {(n, row["subject_id"]): row for n in PERSONS for row in store.rows(n)}


def shown(store: MemoryStore) -> dict[tuple[str, str], list[bool]]:
    """Of each row, its flag and whether any location is there."""
    found = {}
    for stream in PERSONS:
        locations = view_of(SYSTEM, stream).locations
        for row in store.rows(stream):
            is_there = any(row[name] not in (None, []) for name in locations)
            found[stream, row["subject_id"]] = [row["protected"], is_there]
    return found


def expected(case: Case, rows: Sequence[tuple[str, str, Any]]) -> dict[tuple[str, str], list[bool]]:
    return {
        (stream, subject): [case.is_covered, not case.is_covered] for stream, subject, _ in rows
    }


def rows_of(case: Case) -> list[tuple[str, str, dict[str, Any]]]:
    """Records about whoever the case is about; what a case says itself of a number stays."""
    said = {(stream, subject) for stream, subject, _ in case.said}
    return [row for row in records_about(case.who, "000000000000109") if row[:2] not in said]


def test_the_table_knows_every_stream_that_says_where_somebody_is() -> None:
    """A new one is entered there."""
    assert set(PERSONS) == {n for n, s in CATALOG.streams.items() if s.has_location}


@by_case
def test_the_oracle(case: Case) -> None:
    """It says of each case what the table says."""
    oracle = Oracle()
    for said in case.said:
        oracle.hear(*said)
    assert (case.who in oracle.covered()[0]) is case.is_covered
    assert all(oracle.hides(*row) is case.is_covered for row in rows_of(case))


@by_case
@pytest.mark.slow
async def test_by_the_view(town: Town, sinks, store, case: Case) -> None:
    """What is published afterwards, in every place in which a record may name somebody."""
    publishing, rows = Publishing(town), rows_of(case)
    async with hosted(town, sinks, streams=STREAMS, views=view_of) as bus:
        await publishing.say(case.said)
        await publishing.say(rows)
        await publishing.mend(bus, mends(case.said))
        await publishing.delivered(bus)

    assert {row: seen for row, seen in shown(store).items() if row in expected(case, rows)} == (
        expected(case, rows)
    )


@by_case
@pytest.mark.slow
async def test_in_the_store(town: Town, sinks, store, case: Case) -> None:
    """What it has already goes, and comes back when nothing protects anybody any longer."""
    publishing, rows = Publishing(town), rows_of(case)
    async with hosted(town, sinks, streams=STREAMS, views=view_of) as bus:
        await publishing.say(rows)
        await publishing.delivered(bus)
        before = held(store)
        readable = len(case.said) - len(mends(case.said))  # what comes with the rest waits with it
        await publishing.say(case.said[:readable])
        await publishing.settled(bus, store)
        await publishing.say(case.said[readable:])
        await publishing.settled(bus, store)
        found = {row: seen for row, seen in shown(store).items() if row in expected(case, rows)}
        assert found == expected(case, rows)

        await publishing.mend(bus, mends(case.said))
        for subject in sorted(
            {subject for stream, subject, _ in case.said if stream == "protection"}
        ):
            await publishing.say([("protection", subject, body("protection", status="ENDED"))])
        await publishing.settled(bus, store)

    after = held(store)
    assert {row: after[row] for row in before} == before


@pytest.mark.parametrize("says", [household, linked], ids=["a household", "a link"])
async def test_whoever_is_taken_in_is_not_known(
    town: Town, says: Callable[[str, str | None], Said]
) -> None:
    """While the last word of a household or a non-resident cannot be read: whether an earlier one
    could or not, and for a process that began to look afterwards."""
    readers = {name: town.reader(name) for name in RESTS_ON}
    fence, later = (Fence(town.broker, CATALOG.streams, readers) for _ in range(2))
    publishing = Publishing(town)
    stream = says(HOME, WOMAN)[0]
    await fence.start()
    await publishing.say([says(HOME, WOMAN), (stream, HOME, GARBAGE), (stream, NUMBER, GARBAGE)])
    await later.start()

    async def is_said(offset: int | None) -> None:
        for each in (fence, later):
            await each.catch_up()
            if offset is None:
                await each.insist_on_ties()
                continue
            with pytest.raises(CoverageUnknown, match=f"linkage.{stream}, .* at offset {offset} "):
                await each.insist_on_ties()

    await is_said(1)
    await publishing.say([says(HOME, WOMAN)])
    await is_said(2)
    await publishing.say([(stream, NUMBER, None)])
    await is_said(None)
    await fence.close()
    await later.close()


@pytest.mark.parametrize("tie", ["household", "nonresident"])
async def test_nothing_is_shown_while_somebody_may_be_covered(
    town: Town, sinks, store, tie: str
) -> None:
    """The record that makes her mother one of the household cannot be read: what says where anybody
    is waits, aloud; what takes an address away does not."""
    publishing = Publishing(town)
    rows = [row for row in records_about(MOTHER, OTHER) if row[:2] != (tie, MOTHER)]
    home, joins = (
        ((HOME, household(HOME, WOMAN)), household(HOME, WOMAN, MOTHER))
        if tie == "household"
        else ((MOTHER, linked(MOTHER, None)), linked(MOTHER, WOMAN))
    )
    async with hosted(town, sinks, streams=STREAMS, views=view_of) as bus:
        await publishing.say([home[1], *records_about(WOMAN, OTHER)])
        await publishing.delivered(bus)
        assert set(map(tuple, shown(store).values())) == {(False, True)}
        before = held(store)

        await publishing.say([(tie, home[0], GARBAGE), *rows, protection()])
        await bus.until_told(lambda: {bus.lane(s).code for s in PERSONS} == {"RK-412"}, every=0.01)
        await bus.until_told(lambda: store.fence.get("protection/0", 0) == 1)
        assert held(store).keys() == before.keys()
        assert all(
            not is_there for (_, subject), (_, is_there) in shown(store).items() if subject == WOMAN
        )

        await publishing.mend(bus, [joins])
        await publishing.settled(bus, store)

    found = shown(store)
    assert {tuple(found[row[:2]]) for row in rows if row[:2] in found} == {(True, False)}


async def test_joining_and_leaving_without_a_word_of_protection(town: Town, sinks, store) -> None:
    """No event of the protection stream comes: the lane tells its store, and stays where it is."""
    publishing, rows = Publishing(town), [*records_about(MOTHER, OTHER)]
    there, gone = [household(HOME, WOMAN, MOTHER)], [household(HOME, WOMAN)]
    async with hosted(town, sinks, streams=STREAMS, views=view_of) as bus:
        await publishing.say([protection(), *gone, *rows])
        await publishing.settled(bus, store)
        before = held(store)
        for said, is_hidden in ((there, True), (gone, False), (there, True)):
            await publishing.say(said)
            await publishing.settled(bus, store)
            assert set(map(tuple, shown(store).values())) == {(is_hidden, not is_hidden)}
            assert store.checkpoints["protection", 0].position.offset == 1
        await publishing.say(gone)
        await publishing.settled(bus, store)

    assert held(store) == before


async def test_what_changed_while_nobody_looked(town: Town, sinks, store) -> None:
    """After a restart the store is told once; one that was put back is told again."""
    publishing, rows = Publishing(town), [*records_about(MOTHER, OTHER)]
    async with hosted(town, sinks, streams=STREAMS, views=view_of) as bus:
        await publishing.say([protection(), household(HOME, WOMAN), *rows])
        await publishing.settled(bus, store)
    was = copy.deepcopy((store.tables, store.fence, store.taken))
    await publishing.say([household(HOME, WOMAN, MOTHER)])

    async with hosted(town, sinks, streams=STREAMS, views=view_of) as bus:
        await publishing.settled(bus, store)
        assert set(map(tuple, shown(store).values())) == {(True, False)}

        store.tables, store.fence, store.taken = was
        assert set(map(tuple, shown(store).values())) == {(False, True)}
        town.moved.time += LOOK_AFTER
        await publishing.settled(bus, store)
        assert set(map(tuple, shown(store).values())) == {(True, False)}


async def test_a_lane_that_knows_too_little_asks_again(
    town: Town, sinks, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody joins while a batch is on its way: the store refuses it, and has it masked anew."""
    publishing, rows = Publishing(town), [*records_about(MOTHER, OTHER)]
    apply = MemorySink.apply

    async def late(self: MemorySink, batch: Delivery) -> Applied:
        if batch.view.stream == "light_vehicle_tax.vehicle" and rows_in(batch):
            monkeypatch.setattr(MemorySink, "apply", apply)
            await publishing.say([household(HOME, WOMAN, MOTHER)])
            async with hosted(town, sinks, streams=("protection",), views=view_of) as other:
                await other.news()
                await other.until(lambda: "household/0" in store.fence)
                await other.until(lambda: store.fence["household/0"] == 1)
        return await apply(self, batch)

    async with hosted(town, sinks, streams=STREAMS, views=view_of) as bus:
        await publishing.say([protection()])
        await publishing.settled(bus, store)
        monkeypatch.setattr(MemorySink, "apply", late)
        await publishing.say(rows)
        await publishing.settled(bus, store)

    assert set(map(tuple, shown(store).values())) == {(True, False)}
