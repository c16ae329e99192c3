"""A person is erased: from the log, from every store, and what is not reached is said by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bus.clock import SystemClock
from bus.conformance.sink_suite import rows_of
from bus.connect.source import Guard
from bus.control.erasing import Erasures
from bus.control.fence import RESTS_ON, Fence
from bus.errors import (
    BrokerUnavailable,
    ConfigurationError,
    ErasureRefused,
    EventRefused,
    IntakeDiffers,
    UnknownName,
)
from bus.ledger import SCHEMA, TABLE_PREFIX, Ledger
from bus.ledger.feed import LedgerFeed
from bus.ledger.provision_queries import Period, ProvisionQueries
from bus.ledger.subjects import persons_streams
from bus.log.internal import InternalTopic
from bus.model import Change
from bus.model.deed import Act, Deed
from bus.model.erasure import ErasureState
from bus.model.subject import subject_digest
from bus.operate import deeds, documents
from bus.operate.actor import Actor
from bus.operate.deeds import Order
from bus.operate.erasing import Erase, Erasing, ErasurePlan, not_reached
from bus.publish.publisher import Publisher, PublisherSettings
from bus.settings import OutboxConnection, Settings, SystemConnection
from connectors.memory.sink import MemoryOptions, MemorySink, MemoryStore
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.changes import MUNICIPALITY, change, record
from tests.support.lanes import CATALOG, Hosted, Town, hosted
from tests.support.operating import Desk

pytestmark = pytest.mark.service

SYSTEM, GONE = "child_allowance", "individual_resident_tax"
ONE, TWO = "000000000000019", "000000000000027"
STREAMS = ("resident", "protection")
FED = (*STREAMS, "receipt", "view", "exception", "operation", "erasure")
PUBLISHED = [name for name, stream in CATALOG.streams.items() if not stream.is_internal]


@dataclass
class Place:
    """A town with a store, a ledger, and somebody who erases."""

    town: Town
    uri: str
    settings: Settings
    store: MemoryStore
    refused: set[str]

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[Hosted]:
        """The system receives; at the end it has all, and the ledger as well."""
        place = self

        class Picky(MemorySink):
            async def apply(self, batch: Any) -> Any:
                if place.refused & {row["subject_id"] for row in rows_of(batch)}:
                    raise EventRefused("the store refuses a row")
                return await super().apply(batch)

        sinks = {SYSTEM: lambda _: Picky(MemoryOptions(store=self.store))}
        async with hosted(self.town, sinks, streams=STREAMS) as bus:
            yield bus
            await self._caught_up(bus, STREAMS)
        options = PostgresOptions(
            uri=SecretStr(self.uri), schema_name=SCHEMA, table_prefix=TABLE_PREFIX
        )
        feed = LedgerFeed(lambda: PostgresSink(options), self.uri, PUBLISHED)
        async with hosted(self.town, {"ledger": lambda _: feed.sink()}, streams=FED) as bus:
            await self._caught_up(bus, FED)

    async def _caught_up(self, bus: Hosted, streams: tuple[str, ...]) -> None:
        async with asyncio.timeout(20):
            for name in streams:
                end = self.town.memory._topic(CATALOG.stream(name).topic).logs[0].end
                await bus.at(end, stream=name, seconds=20)

    @asynccontextmanager
    async def erasing(self, settings: Settings | None = None) -> AsyncIterator[Erasing]:
        town, own = self.town, CATALOG.stream("erasure")
        topic = InternalTopic(town.broker, town.producer, town.registry, own)
        erasures = Erasures(
            town.broker, town.producer, topic, own, town.reader("erasure"), SystemClock()
        )
        fence = Fence(town.broker, CATALOG.streams, {n: town.reader(n) for n in RESTS_ON})
        ledger = Ledger(self.uri)
        await erasures.start()
        await fence.start()
        try:
            yield Erasing(settings or self.settings, CATALOG, ledger, erasures, fence)
        finally:
            await ledger.close()
            await erasures.close()
            await fence.close()

    async def erase(self, subject: str, guard: Guard | None = None) -> ErasurePlan:
        async with self.erasing() as erasing:
            plan = await erasing.plan(subject)
            if not plan.is_done:
                await erasing.erase(
                    plan, operator="ops", reason="T-1", guard=guard or (lambda: None)
                )
            return plan

    def held(self) -> dict[str, int]:
        return {row["subject_id"]: row["version"] for row in self.store.rows("resident")}


@pytest.fixture
async def place(database: str, tmp_path: Path) -> Place:
    town = Town()
    await town.build()
    key = tmp_path / "erasure.key"
    key.write_text("0123456789abcdef" * 2)
    key.chmod(0o600)
    settings = Settings(
        database=SecretStr(database),
        erasure_key_file=key,
        systems={SYSTEM: SystemConnection(connector="memory")},
        outboxes={"resident_registry": OutboxConnection(uri=SecretStr("postgresql://nowhere"))},
    )
    return Place(town, database, settings, MemoryStore(), set())


def _change(given: dict[str, Any]) -> Change:
    return Change.model_validate_json(json.dumps(change(given)), strict=True)


async def test_a_person_leaves_every_store_and_nobody_else_does(place: Place) -> None:
    """A null value in every stream of persons; the fact is known without the number."""
    async with place.delivering():
        await place.town.publish("resident", ONE, 1)
        await place.town.publish("resident", TWO, 1)
    plan = await place.erase(ONE)
    async with place.delivering():
        pass

    assert place.held() == {TWO: 1}
    assert plan.known == {"resident": 1}
    erased = {stream.name for stream, _ in plan.keys}
    assert {"resident", "protection", "individual_number", "child_allowance.receipt"} <= erased
    assert "household" not in erased
    for name in erased:
        log = place.town.memory._topic(CATALOG.stream(name).topic).logs[0]
        assert (log.keys[-1], log.values[-1]) == (f"{MUNICIPALITY}/{ONE}".encode(), None)
    said = place.town.read_all("erasure")
    assert [row["state"] for row in said] == ["BEGUN", "ERASED"]
    assert ONE not in str(said)
    assert said[-1]["subject_digest"] == subject_digest(b"0123456789abcdef" * 2, MUNICIPALITY, ONE)


async def test_what_cannot_be_reached_is_said_by_name(place: Place) -> None:
    """Systems with copies, those whose lane has ended, records that name the person, outboxes."""
    async with place.delivering():
        await place.town.publish("resident", ONE, 1)
    async with place.erasing(place.settings.model_copy(update={"systems": {}})) as erasing:
        plan = await erasing.plan(ONE)
    said = dict(not_reached(plan))
    told = documents.erasure(plan, None)

    by_hand, files, naming, outboxes, ledger, log = said.values()
    assert by_hand == [f"{SYSTEM}/resident"]
    assert files == [SYSTEM]
    assert "household (resident_registry)" in naming
    assert outboxes == ["resident_registry"]
    assert ledger == ["ledger"]
    assert log == ["kafka"]
    assert told["state"] == "not erased"
    assert told["copies"] == [
        {"system": SYSTEM, "stream": "resident", "events": 1, "removed_by_its_lane": False}
    ]
    assert ONE not in str(told)
    async with place.erasing() as erasing:
        plan = await erasing.plan(ONE)
    assert [copies.has_lane for copies in plan.copies] == [True]


async def test_a_second_run_says_erased_already(place: Place) -> None:
    """Nothing is appended twice; and the ledger still says what was given."""
    async with place.delivering():
        await place.town.publish("resident", ONE, 1)
    await place.erase(ONE)
    async with place.delivering():
        pass
    end = place.town.memory._topic("linkage.resident").logs[0].end

    plan = await place.erase(ONE)

    assert plan.is_done
    assert plan.before is not None
    assert plan.before.state is ErasureState.ERASED
    assert place.town.memory._topic("linkage.resident").logs[0].end == end
    ledger = Ledger(place.uri)
    where = persons_streams(CATALOG.streams.values())
    answer = await ProvisionQueries(ledger).of_subject(
        MUNICIPALITY, ONE, where, Period(), plan.digest
    )
    await ledger.close()
    assert len(answer.provisions) == 1
    assert answer.erasure is not None
    assert answer.erasure.is_done


async def test_an_erasure_that_was_cut_off_is_finished(place: Place, monkeypatch: Any) -> None:
    """BEGUN is no end: the next run does it whole."""
    async with place.delivering():
        await place.town.publish("resident", ONE, 1)
    send = type(place.town.producer).send

    async def cut_off(self: Any, messages: Any) -> Any:
        if any(message.value is None for message in messages):
            raise BrokerUnavailable("the broker does not answer")
        return await send(self, messages)

    with monkeypatch.context() as patch:
        patch.setattr(type(place.town.producer), "send", cut_off)
        with pytest.raises(BrokerUnavailable):
            await place.erase(ONE)
    assert [row["state"] for row in place.town.read_all("erasure")] == ["BEGUN"]

    plan = await place.erase(ONE)

    assert not plan.is_done
    assert plan.before is not None
    assert place.town.read_all("erasure")[-1]["state"] == "ERASED"


@pytest.mark.parametrize("asked", [1, 2, 3])
async def test_the_guard_is_asked_before_each_append(place: Place, asked: int) -> None:
    """Another process with another RENKEI_INTAKE came meanwhile: nothing more is appended, and the
    next run finishes it."""
    async with place.delivering():
        await place.town.publish("resident", ONE, 1)
    answers = iter(range(asked, 0, -1))

    def guard() -> None:
        if next(answers) == 1:
            raise IntakeDiffers("another process has another RENKEI_INTAKE")

    with pytest.raises(IntakeDiffers):
        await place.erase(ONE, guard)
    begun = ["BEGUN"] if asked > 1 else []
    assert [row["state"] for row in place.town.read_all("erasure")] == begun
    log = place.town.memory._topic("linkage.resident").logs[0]
    assert (None in log.values) is (asked > 2)

    await place.erase(ONE)
    assert place.town.read_all("erasure")[-1]["state"] == "ERASED"


async def test_a_subject_that_comes_back_starts_anew_and_can_be_erased_again(
    place: Place,
) -> None:
    """Versions are learnt from the topic: the old ones are forgotten, RECORD starts anywhere."""
    async with place.delivering():
        await place.town.publish("resident", ONE, 1)
        await place.town.publish("resident", ONE, 2)
    await place.erase(ONE)
    publisher = Publisher(
        CATALOG, place.town.registry, place.town.broker, PublisherSettings(learn=["resident"])
    )
    await publisher.start()
    on, anew = await publisher.publish(
        [
            _change(record(subject_id=ONE, version=3)),
            _change(
                record(
                    subject_id=ONE,
                    version=3,
                    nature="RECORD",
                    event_type="resident.moved_in",
                )
            ),
        ]
    )
    await publisher.close()
    async with place.delivering():
        pass
    came_back = place.held()
    plan = await place.erase(ONE)
    async with place.delivering():
        pass

    assert [fault.code for fault in on.faults if fault.is_error] == ["version-gap"]
    assert anew.is_published, anew.faults
    assert came_back == {ONE: 3}
    assert not plan.is_done  # something came since
    assert place.held() == {}


async def test_a_person_under_protection_is_not_erased(place: Place) -> None:
    """The fence would forget them, and others' records would show where they are."""
    async with place.delivering():
        await place.town.publish("resident", ONE, 1)
        await place.town.publish("protection", ONE, 1)

    with pytest.raises(ErasureRefused, match="under protection"):
        await place.erase(ONE)

    assert place.town.read_all("erasure") == []
    assert ONE in place.held()


class Clerk(Desk):
    """Somebody at a desk who asks for an erasure."""

    def __init__(self, settings: Settings, opened: Erasing) -> None:
        self.recorded: list[Deed] = []
        super().__init__(settings, None, self.recorded)
        self._opened = opened

    async def enter(self, _: Any) -> Any:
        return self._opened

    async def asks(self, subject: str, consent: deeds.Consent) -> None:
        order = Order(Actor("clerk", "ops"), "T-1")
        preview = await deeds.plan(self, Erase(subject))
        await deeds.with_consent(self, preview, order, consent, lambda: pytest.fail("shown"))


@pytest.mark.parametrize("said", [{"is_dry": True}, {"is_sure": True}, {}])
async def test_who_learns_that_somebody_is_protected_is_recorded(
    place: Place, said: dict[str, bool]
) -> None:
    """So is who learns that the ledger has nothing of a number."""
    async with place.delivering():
        await place.town.publish("resident", ONE, 1)
        await place.town.publish("protection", ONE, 1)
    consent = deeds.Consent(**{"is_dry": False, "is_sure": False, **said}, ask=_nobody)
    async with place.erasing() as erasing:
        clerk = Clerk(place.settings, erasing)
        with pytest.raises(ErasureRefused, match="under protection"):
            await clerk.asks(f"{MUNICIPALITY}/{ONE}", consent)
        with pytest.raises(UnknownName, match="no event of this number"):
            await clerk.asks(f"{MUNICIPALITY}/{TWO}", consent)

    digests = [subject_digest(b"0123456789abcdef" * 2, MUNICIPALITY, n) for n in (ONE, TWO)]
    assert [(d.act, d.subject_digest) for d in clerk.recorded] == [
        (Act.ERASURE_OF, digest) for digest in digests
    ]
    assert place.town.read_all("erasure") == []


async def _nobody() -> bool:
    pytest.fail("asked")


async def test_what_is_set_aside_is_settled_by_it(place: Place) -> None:
    """It is said, and superseded when the lane comes to the null value."""
    place.refused.add(ONE)
    async with place.delivering() as bus:
        await place.town.publish("resident", ONE, 1)
        await bus.at(1)
    plan = await place.erase(ONE)
    async with place.delivering() as bus:
        await bus.until(lambda: not bus.parked())

    assert plan.set_aside == {(SYSTEM, "resident"): 1}
    assert place.town.read_all("exception")[-1]["state"] == "SUPERSEDED"


async def test_without_a_key_nothing_is_erased(place: Place, tmp_path: Path) -> None:
    """A digest without a key would give the number away."""
    async with place.delivering():
        await place.town.publish("resident", ONE, 1)
    for key, mode in (("short", 0o600), ("x" * 40, 0o644)):
        file = tmp_path / f"{mode}.key"
        file.write_text(key)
        file.chmod(mode)
        other = place.settings.model_copy(update={"erasure_key_file": file})
        async with place.erasing(other) as erasing:
            with pytest.raises(ConfigurationError, match="key of erasures"):
                await erasing.plan(ONE)
    async with place.erasing(place.settings.model_copy(update={"erasure_key_file": None})) as none:
        with pytest.raises(ConfigurationError, match="RENKEI_ERASURE_KEY_FILE"):
            await none.plan(ONE)
