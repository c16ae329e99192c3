"""Who was given what: the ledger's answer against one that was reckoned event by event."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bus.catalog import load
from bus.errors import ConfigurationError
from bus.ledger import Ledger
from bus.ledger.provision_queries import PageMark, Period, ProvisionQueries, SubjectPageMark
from bus.ledger.provisions import Provision
from bus.ledger.store import connected, prepare
from bus.ledger.subjects import PersonsStreams, persons_streams
from tests.support import ledgers
from tests.support.ledgers import BEGAN, MUNICIPALITY, Chain

pytestmark = pytest.mark.service

STREAMS = ["household", "individual_resident_tax.assessment", "resident"]
PERSONS = PersonsStreams(("resident",), ("individual_resident_tax.assessment",), ("household",))
SYSTEMS = ["pension", "school", "welfare"]
SUBJECTS = [f"{number:015d}" for number in range(8)]


@pytest.fixture
async def queries(database: str) -> AsyncIterator[ProvisionQueries]:
    await prepare(connected(database), STREAMS)
    ledger = Ledger(database)
    yield ProvisionQueries(ledger)
    await ledger.close()


Told = set[tuple[str, str, int, int, str, object]]


def told(provisions: list[Provision]) -> Told:
    found = [(p.system, p.stream, p.partition, p.offset, p.receipt, p.given_at) for p in provisions]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize("seed", range(6))
async def test_every_handing_over_is_found_and_nothing_else(
    queries: ProvisionQueries, database: str, seed: int
) -> None:
    """Holes, retries, a second chain of a rebuild beside the first, receipts that came twice."""
    chance = random.Random(seed)
    events = {
        stream: [
            ledgers.event(stream, partition, offset, _subject(chance, stream), offset)
            for partition in range(2)
            for offset in range(300)
            if chance.random() < 0.9  # compaction
        ]
        for stream in STREAMS
    }
    log: list[dict] = []
    given: list[tuple[str, str, int, int, str, object]] = []
    for system in SYSTEMS:
        for stream in STREAMS:
            for partition in range(2):
                there = [e["log_offset"] for e in events[stream] if e["log_partition"] == partition]
                for _ in range(chance.choice((1, 1, 3))):  # rebuilds
                    chain = Chain(system, stream, partition, log)
                    given += _delivered(chance, chain, there)
    ledgers.fill_events(database, events)
    ledgers.insert(database, "event_receipt", log)

    for subject in SUBJECTS:
        answer = await queries.of_subject(MUNICIPALITY, subject, PERSONS, Period())
        mine = {
            (stream, event["log_partition"], event["log_offset"])
            for stream in ("resident", "individual_resident_tax.assessment")
            for event in events[stream]
            if event["subject_id"].split("-")[0] == subject
        }
        wanted = {one for one in given if one[1:4] in mine}
        assert told(list(answer.provisions)) == wanted
        assert wanted or not mine
        counts = await queries.counts_of_subject(MUNICIPALITY, subject, PERSONS)
        assert counts == Counter((p.system, p.stream) for p in answer.provisions)
        a_page = len(answer.provisions) // 3 + 1
        assert await page_by_page(queries, subject, a_page) == answer.provisions


async def page_by_page(queries: ProvisionQueries, subject: str, most: int) -> list[Provision]:
    """Each page from where the one before ended, as it says so in text."""
    found: list[Provision] = []
    mark = SubjectPageMark()
    while True:
        page = await queries.of_subject(
            MUNICIPALITY, subject, PERSONS, Period(), mark=mark, most=most
        )
        assert len(page.provisions) <= most
        assert {p.view for p in page.provisions} >= page.views.keys()
        if not page.provisions:
            return found
        found += page.provisions
        mark = SubjectPageMark.of(str(SubjectPageMark.behind(page.provisions[-1])))


def _subject(chance: random.Random, stream: str) -> str:
    subject = chance.choice(SUBJECTS)
    return f"{subject}-{chance.choice((2025, 2026))}" if "." in stream else subject


def _delivered(chance: random.Random, chain: Chain, there: list[int]) -> list[tuple]:
    """Deliver a log in batches of every size, leave events out, try some again; what was given."""
    given, left_out = [], []
    while chain.position < 300:
        end = min(300, chain.position + chance.choice((1, 1, 2, 9, 90)))
        batch = [offset for offset in there if chain.position <= offset < end]
        handed = [offset for offset in batch if chance.random() < 0.8]
        left_out += sorted({*batch} - {*handed})
        row = chain.give(handed, end)
        given += [(*_lane(chain), o, row["chain"], row["applied_at"]) for o in handed]
        if chance.random() < 0.2:
            chain.repeat()
        if left_out and chance.random() < 0.3:
            again = sorted(chance.sample(left_out, min(3, len(left_out))))
            row = chain.give(again)
            given += [(*_lane(chain), o, row["chain"], row["applied_at"]) for o in again]
    return given


def _lane(chain: Chain) -> tuple[str, str, int]:
    return chain.system, chain.stream, chain.partition


async def test_a_rebuild_in_large_batches_is_seen_behind_many_small_ones(
    queries: ProvisionQueries, database: str
) -> None:
    """A thousand receipts of one event each lie between an event and its rebuild's receipt."""
    log: list[dict] = []
    live = Chain("school", "resident", 0, log)
    for offset in range(1000):
        live.give([offset], offset + 1)
    rebuilt = Chain("school", "resident", 0, log, at=BEGAN + timedelta(days=1))
    rebuilt.give(range(1000), 1000)
    ledgers.fill_events(database, {"resident": [ledgers.event("resident", 0, 3, "1", 1)]})
    ledgers.insert(database, "event_receipt", log)

    answer = await queries.of_subject(MUNICIPALITY, "1", PERSONS, Period())

    assert [p.receipt for p in answer.provisions] == [log[3]["chain"], log[-1]["chain"]]


async def test_the_same_receipt_at_another_time_is_another_handing_over(
    queries: ProvisionQueries, database: str
) -> None:
    """A rebuild in the same batches under the same view gives the same chain values."""
    log: list[dict] = []
    Chain("school", "resident", 0, log).give([0], 1)
    Chain("school", "resident", 0, log, at=BEGAN + timedelta(days=1)).give([0], 1)
    ledgers.fill_events(database, {"resident": [ledgers.event("resident", 0, 0, "1", 1)]})
    ledgers.insert(database, "event_receipt", log)

    answer = await queries.of_subject(MUNICIPALITY, "1", PERSONS, Period())

    assert log[0]["chain"] == log[1]["chain"]
    assert len(answer.provisions) == 2


async def test_what_was_given_at_one_moment_is_on_one_page_or_the_next(
    queries: ProvisionQueries, database: str
) -> None:
    """Two systems, two events, two receipts of one: a page may end between any of them."""
    log: list[dict] = []
    for system in ("school", "pension"):
        for digest in "ab":
            chain = Chain(system, "resident", 0, log, view=digest * 64)
            chain.give([0, 1], 2)
    for row in log:
        row["applied_at"] = BEGAN
    events = [ledgers.event("resident", 0, offset, "1", offset) for offset in (0, 1)]
    ledgers.fill_events(database, {"resident": events})
    ledgers.insert(database, "event_receipt", log)

    answer = await queries.of_subject(MUNICIPALITY, "1", PERSONS, Period())

    assert len(answer.provisions) == 8
    for most in (1, 3):
        assert await page_by_page(queries, "1", most) == answer.provisions


async def test_the_ground_is_that_of_the_time(queries: ProvisionQueries, database: str) -> None:
    """Two receipts under two grants: each provision has its own; one that nobody recorded none."""
    log: list[dict] = []
    for day, (view, system) in enumerate((("a", "school"), ("b", "school"), ("c", "pension"))):
        at = BEGAN + timedelta(days=day)
        Chain(system, "resident", 0, log, view=view, at=at).give([0], 1)
    ledgers.fill_events(database, {"resident": [ledgers.event("resident", 0, 0, "1", 1)]})
    ledgers.insert(database, "event_receipt", log)
    ledgers.insert(
        database,
        "event_view",
        [
            ledgers.view("a", "school", "resident", legal_basis="旧法"),
            ledgers.view("b", "school", "resident", legal_basis="新法", log_offset=1),
        ],
    )

    answer = await queries.of_subject(MUNICIPALITY, "1", PERSONS, Period())
    later = await queries.of_subject(
        MUNICIPALITY, "1", PERSONS, Period(first=BEGAN + timedelta(days=1))
    )

    grounds = [answer.views[p.view].legal_basis for p in answer.provisions if p.view != "c"]
    assert grounds == ["旧法", "新法"]
    assert "c" not in answer.views
    assert answer.views["a"].may_withhold
    assert [p.view for p in later.provisions] == ["b", "c"]
    assert answer.systems == ["pension", "school"]


async def test_a_number_of_several_municipalities_must_say_which(
    queries: ProvisionQueries, database: str
) -> None:
    """The same number is another person next door."""
    events = [
        ledgers.event("resident", 0, 0, "1", 1),
        {**ledgers.event("resident", 0, 1, "1", 1), "municipality_code": "131148"},
        ledgers.event("resident", 0, 2, "2", 1),
    ]
    ledgers.fill_events(database, {"resident": events})

    assert await queries.municipality_of("2", PERSONS) == MUNICIPALITY
    with pytest.raises(ConfigurationError, match="several municipalities"):
        await queries.municipality_of("1", PERSONS)
    with pytest.raises(ConfigurationError, match="no event of this number"):
        await queries.municipality_of("3", PERSONS)


@pytest.mark.parametrize("seed", range(3))
async def test_a_system_by_day_and_page_by_page(
    queries: ProvisionQueries, database: str, seed: int
) -> None:
    """Sums per day, stream and view are those of the receipts; pages have each event once."""
    chance = random.Random(seed)
    log: list[dict] = []
    chain = Chain("school", "resident", 0, log)
    there = list(range(300))
    given = _delivered(chance, chain, there)
    other = Chain("pension", "resident", 0, log)
    other.give(there, 300)
    ledgers.fill_events(
        database,
        {"resident": [ledgers.event("resident", 0, offset, "1", offset) for offset in there]},
    )
    ledgers.insert(database, "event_receipt", log)

    answer = await queries.by_system("school", Period())
    pages: list[Provision] = []
    mark = PageMark()
    while page := await queries.page("school", "resident", Period(), mark, 37):
        pages += page
        mark = PageMark.of(str(PageMark.behind(page[-1])))

    receipts = {r["chain"] for r in log if r["system"] == "school" and r["rows"]}
    assert [(d.day.isoformat(), d.stream, d.view) for d in answer.days] == [
        ("2026-04-01", "resident", "v" * 64)
    ]
    assert answer.days[0].deliveries == len(receipts)
    assert answer.events == len(given) == len(pages)
    assert told(pages) == set(given)
    nothing = await queries.by_system("school", Period(after=BEGAN))
    assert nothing.days == []


def test_a_mark_is_what_a_page_ended_with() -> None:
    """Anything else is told."""
    with pytest.raises(ConfigurationError, match="--after"):
        PageMark.of("2026-04-01T00:00:00/0/1")
    for text in ("2026-04-01T00:00:00/school/resident/0/1/c", "2026-04-01T00:00:00+00:00/0/1"):
        with pytest.raises(ConfigurationError, match="--after"):
            SubjectPageMark.of(text)


def test_where_a_persons_number_is_found() -> None:
    """By what the schemas say of each stream's number; the bus's own are none of it."""
    found = persons_streams(load().streams.values())

    assert {"resident", "protection", "child_allowance.receipt"} <= {*found.own}
    assert {"individual_resident_tax.assessment", "fixed_asset_tax.levy"} <= {*found.derived}
    assert {"household", "light_vehicle_tax.vehicle", "child_allowance.receipt"} <= {*found.naming}
    assert "household" not in found.own
    assert not {"receipt", "view", "exception"} & {*found.own, *found.derived, *found.naming}
