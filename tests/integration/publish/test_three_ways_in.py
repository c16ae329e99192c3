"""One system's changes by its outbox and at two intakes at once, on the real engines."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bus.app.handing_in import taking_in
from bus.app.publishing import Relays, Rules
from bus.errors import ConfigurationError, IntakeDiffers
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.publish.admission import Bounds
from bus.publish.agreement import Agreed
from bus.publish.intake import Intake, IntakeStatus, Principal
from bus.publish.publisher import Publisher
from bus.publish.runners import run_together
from bus.settings import OutboxConnection, Settings
from connectors.outbox.upkeep import install
from tests.integration.publish.conftest import MOST_BYTES
from tests.support.changes import MUNICIPALITY, change, record
from tests.support.waiting import until

pytestmark = pytest.mark.service

SYSTEM = "resident_registry"
CLERK = Principal("register", Bounds(frozenset({SYSTEM}), frozenset({MUNICIPALITY})))
SUBJECTS, VERSIONS = range(1, 6), range(1, 9)


def of(subject: int, version: int, source: str = SYSTEM) -> dict[str, Any]:
    """A change of one resident to that version; whoever makes it, it is the same."""
    made = record(
        subject_id=f"{subject:015d}",
        version=version,
        nature="RECORD" if version == 1 else "CHANGE",
    )
    ident = f"019d4be0-0000-7abc-8def-{subject:06d}{version:06d}"
    return change(made, change_id=ident, source=source)


class Site:
    """A core system with an outbox, its relay, and two intakes; a process each."""

    def __init__(self, cluster: Any, uri: str, **said: Any) -> None:
        self.uri = uri
        self.settings = Settings(
            outboxes={SYSTEM: OutboxConnection(uri=SecretStr(uri))},
            database=SecretStr(uri),
            max_message_bytes=MOST_BYTES,
            relay_lease=timedelta(seconds=6),
            **said,
        )
        self.rules = Rules.of(self.settings)
        self._cluster = cluster

    @asynccontextmanager
    async def intake(self) -> AsyncIterator[Intake]:
        """One more process that takes changes in."""
        async with self._cluster.open() as (broker, registry):
            made = taking_in(self.rules, registry, broker, Tasks())
            try:
                yield made
            finally:
                await made.close()

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[None]:
        """The process that sends the outbox."""
        metrics, stop = Metrics(), asyncio.Event()
        async with self._cluster.open() as (broker, registry):
            tasks = Tasks(metrics)
            runners = Relays.of(self.rules, [], metrics).runners(registry, broker, tasks)
            running = asyncio.create_task(run_together(runners, stop, tasks))
            try:
                yield
            finally:
                stop.set()
                await running

    async def by_outbox(self, made: dict[str, Any]) -> str:
        """Have a change wait in the outbox until it is sent, or refused."""
        asked = "SELECT sent_at IS NOT NULL FROM renkei.outbox WHERE change_id = %s"
        async with await psycopg.AsyncConnection.connect(self.uri, autocommit=True) as session:
            await session.execute("SELECT renkei.publish_change(%s)", [json.dumps(made)])

            async def fate() -> str:
                row = await (await session.execute(asked, [made["change_id"]])).fetchone()
                return "refused" if row is None else "sent" if row[0] else ""

            return str(await until(fate, 60, every=0.01))


@pytest.fixture
async def site(cluster: Any, database: str) -> Callable[..., Site]:
    """Makes sites over topics and a database of the test's own."""
    await install(SYSTEM, database)
    return lambda **said: Site(cluster, database, **said)


async def test_order_is_kept_and_nothing_doubles(site: Callable[..., Site], cluster: Any) -> None:
    """Each version of each person comes one way, another, or two ways in the same moment: all
    versions are in the log, in order, once."""
    chance, fates = random.Random(3), Counter[str]()
    here = site(intake=(SYSTEM,))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(here.relay())
        intakes = [await stack.enter_async_context(here.intake()) for _ in range(2)]

        async def hand_in(intake: Intake, made: dict[str, Any]) -> str:
            (answer,) = await intake.accept(CLERK, [json.dumps(made).encode()])
            return answer.fate

        async def live(subject: int) -> None:
            for version in VERSIONS:
                made = of(subject, version)
                ways = [here.by_outbox, *(lambda m, i=i: hand_in(i, m) for i in intakes)]
                chosen = chance.sample(ways, chance.choice([1, 2, 3]))
                fates.update(await asyncio.gather(*(way(made) for way in chosen)))

        await asyncio.gather(*(live(subject) for subject in SUBJECTS))

    assert fates["refused"] == fates[IntakeStatus.REFUSED] == 0
    assert fates["sent"] > 10
    assert fates[IntakeStatus.ACCEPTED] > 5
    assert fates[IntakeStatus.KNOWN] > 5
    found: dict[str, list[int]] = {}
    for event in await cluster.events("resident"):
        found.setdefault(event["header"]["subject_id"], []).append(event["header"]["version"])
    assert found == {f"{subject:015d}": list(VERSIONS) for subject in SUBJECTS}


async def test_whose_turn_it_is_not_waits(
    site: Callable[..., Site], cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One who knows the log and is about to append, and the same change by the other way: the
    relay waits, and knows it then."""
    here = site(intake=(SYSTEM,))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(here.relay())
        intake = await stack.enter_async_context(here.intake())
        agreed = await intake._started()
        assert isinstance(agreed, Agreed)
        publisher = agreed._inner
        assert isinstance(publisher, Publisher)
        busy, wake, deliver = asyncio.Event(), asyncio.Event(), publisher._deliver

        async def held(portions: Any) -> None:
            busy.set()
            await wake.wait()
            await deliver(portions)

        monkeypatch.setattr(publisher, "_deliver", held)
        first = asyncio.create_task(intake.accept(CLERK, [json.dumps(of(1, 1)).encode()]))
        await busy.wait()
        second = asyncio.create_task(here.by_outbox(of(1, 1)))
        await asyncio.wait({second}, timeout=1.5)
        assert not second.done()
        wake.set()

        assert [answer.fate for answer in await first] == [IntakeStatus.ACCEPTED]
        assert await second == "sent"
    assert len(await cluster.events("resident")) == 1


async def test_who_may_not_hand_in_is_refused(site: Callable[..., Site], cluster: Any) -> None:
    """Though whoever hands in speaks for it: its relay would not wait for a turn."""
    tax = "light_vehicle_tax"
    both = Principal("hall", Bounds(frozenset({SYSTEM, tax})))
    async with site(intake=(SYSTEM,)).intake() as intake:
        (answer,) = await intake.accept(both, [json.dumps(of(1, 1, tax)).encode()])

    assert answer.fate is IntakeStatus.REFUSED
    assert [fault.field for fault in answer.faults] == ["source"]


async def test_without_the_setting_nobody_hands_in(site: Callable[..., Site]) -> None:
    """It is said, and by which setting."""
    with pytest.raises(ConfigurationError, match="RENKEI_INTAKE"):
        async with site().intake():
            raise AssertionError("unreachable")


async def test_who_takes_no_turns_does_not_publish(site: Callable[..., Site], cluster: Any) -> None:
    """A relay without the setting that the living intake has sends nothing, and says with whom it
    does not agree; once that one has gone, it goes on by itself."""
    there, here = site(intake=(SYSTEM,)), site()
    with capture_logs() as lines:
        async with AsyncExitStack() as stack:
            async with there.intake() as intake:
                (answer,) = await intake.accept(CLERK, [json.dumps(of(1, 1)).encode()])
                assert answer.fate is IntakeStatus.ACCEPTED
                await stack.enter_async_context(here.relay())
                sending = asyncio.create_task(here.by_outbox(of(2, 1)))
                await until(lambda: bool(disagreed(lines)), 30)
                assert "RENKEI_INTAKE" in disagreed(lines)[0]["reason"]
                assert len(await cluster.events("resident")) == 1
                assert not sending.done()
            assert await sending == "sent"
    assert len(await cluster.events("resident")) == 2


def disagreed(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What the log says of others who have another setting."""
    return [line for line in lines if line.get("code") == IntakeDiffers.code]
