"""The synthetic municipality: plausible, awkward, the same every time, and good enough to publish.

Check digits and household rules are worked out here anew, from their sources, and the real
publisher judges everything that the municipality hands over.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from bus.broker import TopicSpec
from bus.broker.memory import MemoryBroker
from bus.catalog import Catalog, load
from bus.errors import ConfigurationError, SchemaUnknown
from bus.model import Change, Nature
from bus.publish.body import Fitter
from bus.publish.publisher import Publisher, PublisherSettings
from bus.sample.municipality import Municipality, events
from bus.sample.municipality.register import LOADED_AT, STREAMS
from tests.support.lanes import FixedRegistry

pytestmark = pytest.mark.slow

AT = datetime.fromisoformat("2026-11-24T10:00:00+09:00")
Kind = Callable[[Municipality, datetime], Change]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


@pytest.fixture(scope="module")
def loaded(catalog: Catalog) -> dict[str, list[dict[str, Any]]]:
    """The first load of a town of 3,000 as rows, by stream. Not to be changed."""
    town = Municipality(seed=1, population=3_000)
    return {name: rows_of(town, catalog, name) for name in STREAMS}


@pytest.fixture
def town() -> Municipality:
    """A village to which things may happen."""
    return Municipality(seed=2, population=200)


def rows_of(town: Municipality, catalog: Catalog, stream: str) -> list[dict[str, Any]]:
    return [row for batch in town.columns(catalog.stream(stream)) for row in batch.to_pylist()]


def is_numbered(number: str) -> bool:
    """Whether the last digit is モジュラス11, weights 2 to 7, of those before it."""
    total = sum(int(d) * (2 + i % 6) for i, d in enumerate(reversed(number[:-1])))
    remainder = total % 11
    return number[-1] == str(0 if remainder <= 1 else 11 - remainder)


# -- who lives there ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_town(catalog: Catalog) -> None:
    """People, numbers, ids and what happens to them."""
    one, other = Municipality(7, 150), Municipality(7, 150)

    assert list(one.changes()) == list(other.changes())
    assert [events.anything(one, AT) for _ in range(20)] == [
        events.anything(other, AT) for _ in range(20)
    ]
    assert next(Municipality(8, 150).changes()) != next(Municipality(7, 150).changes())


@pytest.mark.parametrize("population", [1, 5, 40, 777])
def test_there_are_as_many_residents_as_asked_for(population: int) -> None:
    """Exactly, also where the last family had to be smaller."""
    assert len(Municipality(1, population).residents()) == population


def test_numbers_carry_their_check_digit(loaded: dict[str, list[dict[str, Any]]]) -> None:
    """宛名番号 and 世帯番号 are fifteen digits, each once, and check."""
    numbers = [row["header"]["subject_id"] for row in loaded["resident"] + loaded["household"]]

    assert len(set(numbers)) == len(numbers)
    assert all(len(number) == 15 and is_numbered(number) for number in numbers)


def test_sizes_of_households_are_plausible(loaded: dict[str, list[dict[str, Any]]]) -> None:
    """About two persons each, over a quarter alone, few of six."""
    sizes = Counter(row["member_count"] for row in loaded["household"])
    households = sum(sizes.values())

    assert 1.9 < 3_000 / households < 2.6
    assert 0.25 < sizes[1] / households < 0.5
    assert max(sizes) <= 6


def test_households_and_residents_agree(loaded: dict[str, list[dict[str, Any]]]) -> None:
    """Who is a member says so, with the same 続柄, and shares the address."""
    check_households(loaded["resident"], loaded["household"])


def test_parents_are_older_than_their_children(loaded: dict[str, list[dict[str, Any]]]) -> None:
    """By eighteen years at least, where both dates are known."""
    born = {r["header"]["subject_id"]: r["birth_date"]["date"] for r in loaded["resident"]}
    pairs = [
        (born[row["head_subject_id"]], born[member["subject_id"]])
        for row in loaded["household"]
        for member in row["members"]
        if member["relationship"] == "20" and row["head_subject_id"]
    ]
    assert len(pairs) > 300
    assert all(child - parent > timedelta(days=17 * 365) for parent, child in pairs)


def test_what_breaks_programs_is_there(loaded: dict[str, list[dict[str, Any]]]) -> None:
    """Rare characters, selectors, aliases, unknown and impossible dates, absent heads."""
    residents = loaded["resident"]
    names = [row["name"]["full"] for row in residents]
    births = [row["birth_date"] for row in residents]

    assert any("\U000e0100" in name for name in names)
    assert any("𠮷" in name for name in names)
    assert any(unicodedata.normalize("NFKC", name) != name.replace("　", " ") for name in names)
    assert any(row["name"]["alias"] for row in residents)
    assert any(row["name"]["kanji"] for row in residents)
    assert any(birth["unknown"] and birth["text"] and not birth["date"] for birth in births)
    assert any(birth["text"] and not birth["unknown"] for birth in births)
    assert any(row["head_subject_id"] is None for row in loaded["household"])
    assert any(row["forwarding_address"] for row in residents)
    assert any(row["residence_expires_on"] for row in residents)
    assert any(row["former_family_name"] for row in residents)
    assert {row["resident_state"] for row in residents} == {"1", "2", "3"}
    assert any(row["address"]["building"] for row in residents)


def test_a_village_has_everything_too() -> None:
    """The first households are one of each kind, so that a small demo shows all there is."""
    town = Municipality(3, 40)

    assert any(person.is_protected for person in town.persons)
    assert any(person.is_foreign for person in town.persons)
    assert any(household.head is None for household in town.households)
    assert any(len(household.members) >= 4 for household in town.households)
    assert any(person.birth["date"] is None for person in town.persons)


def test_protection_covers_a_whole_household(loaded: dict[str, list[dict[str, Any]]]) -> None:
    """A child's address would give away its mother's."""
    flagged = {r["header"]["subject_id"] for r in loaded["resident"] if r["protected"]}
    under = {row["header"]["subject_id"]: row for row in loaded["protection"]}

    assert flagged
    assert flagged <= set(under)
    for row in loaded["household"]:
        members = {member["subject_id"] for member in row["members"]}
        assert not members & flagged or members <= flagged
    assert all(row["status"] == "ACTIVE" and row["suppresses"] for row in under.values())
    assert any(row["ends_on"] < LOADED_AT.date() for row in under.values())


def test_towns_are_the_municipalitys_own(loaded: dict[str, list[dict[str, Any]]]) -> None:
    """Shinjuku's postal codes for whoever lives in Shinjuku."""
    addresses = [row["address"] for row in loaded["resident"]]

    assert {address["municipality_code"] for address in addresses} == {"131041"}
    assert {address["municipality"] for address in addresses} == {"新宿区"}
    assert {address["postal_code"][:3] for address in addresses} <= {"160", "161", "162", "169"}


def test_another_municipality_has_other_towns() -> None:
    """Any code with towns of its own will do."""
    address = Municipality(1, 10, code="122025").persons[0].address

    assert address is not None
    assert (address["prefecture"], address["municipality"]) == ("千葉県", "銚子市")


@pytest.mark.parametrize("code", ["131042", "13104", "999997", "141003", "１３１０４１", "abcdef"])
def test_a_code_without_towns_is_refused(code: str) -> None:
    """A wrong check digit, no code at all, a designated city as a whole."""
    with pytest.raises(ConfigurationError):
        Municipality(1, 10, code=code)


# -- the first load -------------------------------------------------------------------------------


def test_changes_and_columns_are_the_same_events(catalog: Catalog) -> None:
    """Whichever way it is loaded, the log holds the same."""
    town = Municipality(4, 120)
    rows = {name: iter(rows_of(town, catalog, name)) for name in STREAMS}
    fitters = {name: Fitter(catalog.stream(name)) for name in STREAMS}

    for change in town.changes():
        (record,) = change.records
        row = next(rows[record.stream])
        header = row.pop("header")
        assert fitters[record.stream].fit(record.body, 0) == (row, [])
        assert header["change_id"] == change.change_id
        assert header["change_size"] == change.change_size == 1
        assert header["municipality_code"] == change.municipality_code
        assert (header["subject_id"], header["version"]) == (record.subject_id, record.version)
        assert (header["event_type"], header["nature"]) == (record.event_type, record.nature)
        assert header["effective_date"] == record.effective_date.model_dump()
        assert header["processed_at"] == change.processed_at
        assert (header["reason"], header["notified_on"]) == (change.reason, change.notified_on)
    assert all(next(left, None) is None for left in rows.values())


def test_batches_are_of_the_size_asked_for(catalog: Catalog) -> None:
    """In exactly the stream's schema."""
    batches = list(Municipality(1, 250).columns(catalog.stream("resident"), rows=100))

    assert [batch.num_rows for batch in batches] == [100, 100, 55]
    assert all(isinstance(batch, pa.RecordBatch) for batch in batches)


def test_a_stream_that_the_register_has_not_is_refused(catalog: Catalog) -> None:
    """Receipts are not its own."""
    with pytest.raises(SchemaUnknown):
        list(Municipality(1, 10).columns(catalog.stream("receipt")))


def test_the_first_load_comes_first(town: Municipality) -> None:
    """An entry that is part of a larger change is no change by itself."""
    events.family_moves(town, AT)

    with pytest.raises(ValueError, match="first load"):
        list(town.changes())


# -- what happens ---------------------------------------------------------------------------------


@pytest.fixture
async def publisher(catalog: Catalog) -> AsyncIterator[Publisher]:
    """The real publisher at a cluster in memory."""
    broker = MemoryBroker()
    await broker.create_topics(
        [TopicSpec(stream.topic, 2, 1, {}) for stream in catalog.streams.values()]
    )
    made = Publisher(catalog, FixedRegistry(catalog), broker, PublisherSettings(now=lambda: AT))
    await made.start()
    yield made
    await made.close()


async def accept(publisher: Publisher, *changes: Change) -> None:
    """Publish, and let no fault pass; of warnings only the impossible date."""
    for outcome in await publisher.publish(changes):
        faults = [fault for fault in outcome.faults if fault.code != "no-calendar-date"]
        assert faults == []
        assert outcome.is_published
        assert outcome.resent == 0


async def test_the_first_load_is_published_without_a_fault(
    town: Municipality, catalog: Catalog, publisher: Publisher
) -> None:
    """Changes one by one, and the columns after them are the same events again."""
    await accept(publisher, *town.changes())

    for name in STREAMS:
        for batch in town.columns(catalog.stream(name)):
            outcome = await publisher.publish_columns(catalog.stream(name), batch)
            assert (outcome.published, outcome.resent) == (0, batch.num_rows)
            assert outcome.refused == ()


KINDS: list[tuple[Kind, list[str]]] = [
    (events.protected_person_moves, ["resident.address_changed"]),
    (events.birth, ["resident.born", "household.changed"]),
    (events.death, ["resident.died", "household.changed"]),
    (events.moves_in, ["resident.moved_in", "household.changed"]),
    (events.moves_out, ["resident.moved_out", "household.changed"]),
    (events.name_changes, ["resident.name_changed"]),
    (events.correction, ["resident.corrected"]),
    (events.protection_starts, ["protection.started", "resident.corrected"]),
    (events.protection_ends, ["protection.ended", "resident.corrected"]),
    (events.family_moves, ["resident.address_changed"]),
]


@pytest.mark.parametrize(("kind", "types"), KINDS, ids=[kind.__name__ for kind, _ in KINDS])
async def test_each_kind_of_change_is_accepted(
    town: Municipality, catalog: Catalog, publisher: Publisher, kind: Kind, types: list[str]
) -> None:
    """Three of each, on top of the first load; the register agrees with itself after it."""
    await accept(publisher, *town.changes())

    for minute in range(3):
        change = kind(town, AT + timedelta(minutes=minute))
        happened = {record.event_type for record in change.records}
        assert set(types) <= happened
        assert change.change_size == len(change.records)
        await accept(publisher, change)

    check_households(rows_of(town, catalog, "resident"), rows_of(town, catalog, "household"))


async def test_a_long_day_is_accepted(
    town: Municipality, catalog: Catalog, publisher: Publisher
) -> None:
    """Three hundred changes of all kinds in a village of two hundred, none refused."""
    await accept(publisher, *town.changes())

    seconds = (AT - timedelta(seconds=left) for left in range(600, 300, -1))
    await accept(publisher, *[events.anything(town, second) for second in seconds])

    check_households(rows_of(town, catalog, "resident"), rows_of(town, catalog, "household"))


def test_a_family_moves_together(town: Municipality) -> None:
    """One change, an event per member, the same new address, the old one kept as previous."""
    before = {person.number: person.address for person in town.persons}

    change = events.family_moves(town, AT)

    assert len(change.records) >= 3
    assert {record.stream for record in change.records} == {"resident"}
    (address,) = {tuple(record.body["address"].items()) for record in change.records}  # type: ignore[union-attr]
    for record in change.records:
        old = before[record.subject_id]
        assert old is not None
        previous = record.body["previous_address"]
        assert isinstance(previous, dict)
        assert dict(address) != old
        assert {name: previous[name] for name in old} == old


def test_a_protected_person_moves_with_the_flag(town: Municipality) -> None:
    """Every snapshot says that its address must not be seen."""
    change = events.protected_person_moves(town, AT)

    assert all(record.body["protected"] is True for record in change.records)


def test_a_head_who_dies_is_followed(town: Municipality) -> None:
    """The spouse becomes head, and hears of it by an event."""
    household = next(h for h in town.households if h.head and any(map(is_spouse, h.members)))
    head, spouse = household.head, next(filter(is_spouse, household.members))

    change = events.death(town, AT, head)

    by_subject = {record.subject_id: record for record in change.records}
    assert head is not None
    assert by_subject[head.number].body["resident_state"] == "3"
    assert by_subject[head.number].nature is Nature.CESSATION
    assert by_subject[spouse.number].body["relationship"] == "02"
    assert by_subject[household.number].body["head_subject_id"] == spouse.number


def test_the_last_one_leaves_an_empty_household(town: Municipality) -> None:
    """Nobody is left, and the household says so."""
    household = next(h for h in town.households if len(h.members) == 1)

    change = events.death(town, AT, household.members[0])

    assert change.records[-1].body == {"head_subject_id": None, "members": [], "member_count": 0}


def test_a_correction_names_what_was_wrong(town: Municipality) -> None:
    """Each event refers to the one that it corrects, of the same subject."""
    earlier = events.family_moves(town, AT)
    wrong = {person.number: person.entry.event_id for person in town.persons}

    change = events.correction(town, AT + timedelta(hours=1), earlier)

    assert {r.subject_id for r in change.records} == {r.subject_id for r in earlier.records}
    for record in change.records:
        assert record.nature is Nature.CORRECTION
        assert record.cancels == wrong[record.subject_id]


def test_a_cancellation_brings_back_what_was(town: Municipality) -> None:
    """Everything but version and header is as before the change."""
    before = {person.number: person.body() for person in town.persons}
    versions = {person.number: person.version for person in town.persons}
    earlier = events.family_moves(town, AT)

    change = events.cancellation(town, AT + timedelta(hours=1), earlier)

    after = {person.number: person.body() for person in town.persons}
    assert after == before
    assert {record.nature for record in change.records} == {Nature.CANCELLATION}
    for record in change.records:
        assert record.version == versions[record.subject_id] + 2


async def test_corrections_and_cancellations_are_accepted(
    town: Municipality, publisher: Publisher
) -> None:
    """Also when they follow each other."""
    await accept(publisher, *town.changes())

    moved = events.family_moves(town, AT)
    corrected = events.correction(town, AT, moved)
    cancelled = events.cancellation(town, AT, corrected)

    await accept(publisher, moved, corrected, cancelled)


@pytest.mark.parametrize("seed", range(5))
def test_what_happens_one_after_the_other_happens_to_different_families(seed: int) -> None:
    """So that an earlier change can still be corrected after a few others."""
    town = Municipality(seed, 80)
    moved = events.family_moves(town, AT)

    for _ in range(7):
        events.anything(town, AT)

    assert len(events.correction(town, AT, moved).records) == len(moved.records)


def test_only_the_newest_change_can_be_undone(town: Municipality) -> None:
    """Undoing an older one would undo what came after it."""
    earlier = events.family_moves(town, AT)
    events.correction(town, AT, earlier)

    with pytest.raises(LookupError):
        events.cancellation(town, AT, earlier)


def test_protection_starts_with_the_new_snapshot(town: Municipality) -> None:
    """One change: the protection first, the person's flag after it."""
    person = next(person for person in town.residents() if not person.is_protected)

    change = events.protection_starts(town, AT, person)

    first, second = change.records
    assert (first.stream, first.event_type) == ("protection", "protection.started")
    assert second.subject_id == first.subject_id == person.number
    assert second.body["protected"] is True
    with pytest.raises(LookupError):
        events.protection_starts(town, AT, person)


async def test_protection_can_start_again(town: Municipality, publisher: Publisher) -> None:
    """The second time is the next version of the same protection."""
    await accept(publisher, *town.changes())
    person = next(person for person in town.residents() if not person.is_protected)

    for kind in (events.protection_starts, events.protection_ends, events.protection_starts):
        await accept(publisher, kind(town, AT, person))

    assert town.protections[person.number].version == 3


def test_what_cannot_happen_says_so() -> None:
    """Nobody moves where nobody lives."""
    with pytest.raises(LookupError):
        events.family_moves(Municipality(1, 1), AT)


def is_spouse(person: Any) -> bool:
    return person.relationship in ("11", "12", "13", "14")


def check_households(residents: list[dict[str, Any]], households: list[dict[str, Any]]) -> None:
    """What both streams say of who lives where must be one story."""
    living = {r["header"]["subject_id"]: r for r in residents if r["resident_state"] == "1"}
    housed: set[str] = set()
    for row in households:
        number = row["header"]["subject_id"]
        members = [living[member["subject_id"]] for member in row["members"]]
        assert row["member_count"] == len(members)
        assert [m["relationship"] for m in members] == [
            m["relationship"] for m in row["members"]
        ], number
        assert all(member["household_number"] == number for member in members)
        assert len({str(member["address"]) for member in members}) <= 1
        heads = [m["header"]["subject_id"] for m in members if m["relationship"] == "02"]
        assert heads == ([row["head_subject_id"]] if row["head_subject_id"] else [])
        assert not housed & {member["header"]["subject_id"] for member in members}
        housed |= {member["header"]["subject_id"] for member in members}
    assert housed == set(living)
    assert all(r["birth_date"]["date"] is None or r["birth_date"]["date"] <= date(2026, 11, 24)
               for r in residents)  # fmt: skip
