"""Two processes that take changes in for one system at once, on the real Kafka and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from bus.connect.lease import Lease, LeaseStore
from bus.errors import BrokerUnavailable, LeaseLost, StoreUnavailable
from bus.local.endpoints import Endpoints
from bus.publish.admission import Bounds
from bus.publish.intake import Intake, IntakeStatus, Principal
from bus.publish.publisher import Publisher, PublisherSettings
from bus.publish.terms import DatabaseTerms
from tests.integration.publish.conftest import Cluster, own_cluster
from tests.support.changes import MUNICIPALITY, change, record
from tests.support.own_topics import OwnTopics

pytestmark = pytest.mark.service

CLERK = Principal("register", Bounds(frozenset({"resident_registry"}), frozenset({MUNICIPALITY})))
LENGTH, SEND = timedelta(seconds=3), timedelta(seconds=1)


def ident(subject: int, version: int) -> str:
    """A change's id."""
    return f"019d4be0-0000-7abc-8def-{subject:06d}{version:06d}"


def of(subject: int, version: int) -> bytes:
    """A change of one resident to that version."""
    made = record(
        subject_id=f"{subject:015d}",
        version=version,
        nature="RECORD" if version == 1 else "CHANGE",
    )
    return json.dumps(change(made, change_id=ident(subject, version))).encode()


def terms_in(database: str, **options: Any) -> DatabaseTerms:
    """A process's terms in a database."""
    options.setdefault("lease", LENGTH)
    return DatabaseTerms(database, holder="here", send_within=SEND, **options)


class Site:
    """Two intakes over one log and one database, each as a process of its own has it."""

    def __init__(self, cluster: Any, opened: tuple[OwnTopics, Any], database: str) -> None:
        self._cluster = cluster
        self._broker, self._registry = opened
        self.database = database

    def publisher(self, guard: Any, kind: type[Publisher] = Publisher) -> Publisher:
        """A publisher into the site's log."""
        return kind(
            self._cluster.catalog,
            self._registry,
            self._broker,
            guard=guard,
            settings=PublisherSettings(max_message_bytes=100_000),
        )

    def intake(self, **options: Any) -> Intake:
        """Another process."""
        return Intake(self.publisher, terms_in(self.database, **options))


@pytest.fixture
def cluster(engines: Endpoints) -> Iterator[Cluster]:
    """A topic of residents of the test's own: nothing else is handed in."""
    with own_cluster(engines, ["resident"]) as made:
        yield made


@pytest.fixture
async def site(cluster: Any, database: str) -> AsyncIterator[Site]:
    """Topics and a database of the test's own."""
    async with AsyncExitStack() as stack:
        yield Site(cluster, await stack.enter_async_context(cluster.open()), database)


async def versions(cluster: Any) -> dict[str, list[int]]:
    """What is in the log, by subject, in its order."""
    found: dict[str, list[int]] = {}
    for event in await cluster.events("resident"):
        header = event["header"]
        found.setdefault(header["subject_id"], []).append(header["version"])
    return found


async def insist(intake: Intake, changes: list[bytes]) -> list[IntakeStatus]:
    """Hand in until there is an answer, as a core system does."""
    while True:
        try:
            return [answer.fate for answer in await intake.accept(CLERK, changes)]
        except LeaseLost:
            continue


async def test_the_same_change_at_both_is_in_the_log_once(site: Site, cluster: Any) -> None:
    """One accepts it, the other knows it; whoever comes first."""
    one, two = site.intake(), site.intake()
    try:
        for subject in range(1, 11):
            found = await asyncio.gather(*(insist(each, [of(subject, 1)]) for each in (one, two)))
            assert Counter(fate for fates in found for fate in fates) == {
                IntakeStatus.ACCEPTED: 1,
                IntakeStatus.KNOWN: 1,
            }
    finally:
        await one.close()
        await two.close()

    assert await versions(cluster) == {f"{subject:015d}": [1] for subject in range(1, 11)}


async def test_changes_of_one_person_at_two_processes_keep_their_order(
    site: Site, cluster: Any
) -> None:
    """Whatever comes where and how often: no version is in the log twice, and none is missing."""
    intakes = [site.intake(patience=timedelta(seconds=30)) for _ in range(2)]
    chance = random.Random(7)
    newest = dict.fromkeys(range(1, 6), 0)

    async def core(number: int) -> None:
        """Hands in the next versions of all, here or there, until they are in the log."""
        for _ in range(12):
            subjects = chance.sample(sorted(newest), 3)
            wanted = [(subject, newest[subject] + 1) for subject in subjects]
            chosen = intakes[(number + chance.randrange(2)) % 2]
            fates = await insist(chosen, [of(*each) for each in wanted])
            for (subject, version), fate in zip(wanted, fates, strict=True):
                if fate is not IntakeStatus.REFUSED:
                    newest[subject] = max(newest[subject], version)

    try:
        await asyncio.gather(*(core(number) for number in range(4)))
    finally:
        for intake in intakes:
            await intake.close()

    assert min(newest.values()) > 3
    assert await versions(cluster) == {
        f"{subject:015d}": list(range(1, version + 1)) for subject, version in newest.items()
    }


async def test_a_process_that_died_keeps_others_waiting_no_longer_than_its_lease(
    site: Site, cluster: Any
) -> None:
    """Its term runs out by the database's clock; until then nobody else publishes."""
    dead = terms_in(site.database).of("resident_registry")
    await dead.__aenter__()  # and is never heard of again
    hasty = site.intake(patience=timedelta(milliseconds=100))
    with pytest.raises(LeaseLost):
        await hasty.accept(CLERK, [of(1, 1)])
    assert await versions(cluster) == {}

    patient = site.intake(patience=2 * LENGTH)
    (answer,) = await patient.accept(CLERK, [of(1, 1)])

    assert answer.fate is IntakeStatus.ACCEPTED
    await hasty.close()
    await patient.close()


async def test_one_that_sleeps_past_its_lease_appends_nothing(
    site: Site, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Woken when another has published, it finds the guard shut, and knows the log anew."""
    asleep, wake = asyncio.Event(), asyncio.Event()

    class Sleeper(Publisher):
        async def _deliver(self, batches: Any) -> None:
            if not wake.is_set():
                asleep.set()
                await wake.wait()
            await super()._deliver(batches)

    class Unkept(DatabaseTerms):
        """Of a process that is stopped: nothing renews."""

        @asynccontextmanager
        async def of(self, system: str) -> AsyncIterator[Any]:
            async with super().of(system) as term:
                monkeypatch.setattr(term, "keep", asyncio.Event().wait)
                yield term

    terms = Unkept(site.database, holder="here", lease=LENGTH, send_within=SEND)
    sleeper = Intake(lambda guard: site.publisher(guard, Sleeper), terms)
    other = site.intake(patience=2 * LENGTH)
    first = asyncio.create_task(sleeper.accept(CLERK, [of(1, 1)]))
    reached = asyncio.create_task(asleep.wait())
    await asyncio.wait({first, reached}, return_when=asyncio.FIRST_COMPLETED)
    assert not first.done(), first

    (answer,) = await other.accept(CLERK, [of(1, 1)])
    assert answer.fate is IntakeStatus.ACCEPTED
    wake.set()
    with pytest.raises(LeaseLost):
        await first

    assert await versions(cluster) == {"000000000000001": [1]}
    assert await insist(sleeper, [of(1, 1), of(1, 2)]) == [
        IntakeStatus.KNOWN,
        IntakeStatus.ACCEPTED,
    ]
    await sleeper.close()
    await other.close()


async def test_a_term_that_comes_as_its_caller_is_gone_is_given_back(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next has it at once: nobody waits for it to run out."""
    take = Lease.take

    async def taken_unheard(lease: Lease, row: LeaseStore) -> bool:
        assert await take(lease, row)
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "take", taken_unheard)
        with pytest.raises(asyncio.CancelledError):
            async with terms_in(database).of("register"):
                raise AssertionError("unreachable")

    async with terms_in(database, patience=timedelta()).of("register") as term:
        term.guard()


async def test_an_answer_that_was_lost_is_had_at_the_other(site: Site, cluster: Any) -> None:
    """Appended, but nobody said so: handed in again elsewhere, it is known."""

    class Deaf(Publisher):
        async def publish(self, changes: Any) -> Any:
            await super().publish(changes)
            raise BrokerUnavailable("the answer was lost")

    deaf = Intake(lambda guard: site.publisher(guard, Deaf), terms_in(site.database))
    with pytest.raises(BrokerUnavailable):
        await deaf.accept(CLERK, [of(1, 1)])
    other = site.intake()

    assert await insist(other, [of(1, 1), of(1, 2)]) == [IntakeStatus.KNOWN, IntakeStatus.ACCEPTED]
    await other.close()


async def test_without_its_database_nothing_is_published(site: Site, cluster: Any) -> None:
    """Whoever hands in is told to come again."""
    site.database = "postgresql://nobody@127.0.0.1:1/none"

    with pytest.raises(StoreUnavailable):
        await site.intake().accept(CLERK, [of(1, 1)])

    assert await versions(cluster) == {}


async def test_terms_of_two_systems_are_two(database: str) -> None:
    """Who publishes for one holds up nobody of another; what is there is a name and a time."""
    terms = terms_in(database)
    async with terms.of("resident_registry"), terms_in(database).of("individual_resident_tax"):
        with psycopg.connect(database) as session:
            rows = session.execute(
                "SELECT system, holder LIKE 'here-%' FROM publishing.term ORDER BY 1"
            ).fetchall()
    assert rows == [("individual_resident_tax", True), ("resident_registry", True)]
