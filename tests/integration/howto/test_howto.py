"""The pages in ``docs/howto`` say what works: their SQL and their example are run as they stand."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import yaml
from psycopg import errors, sql

from bus.broker.topics import TopicShape, specs
from bus.catalog.registry import Registry
from bus.clock import SystemClock
from bus.deliver.state import LaneStatus
from bus.local.endpoints import Endpoints
from bus.publish.publisher import Publisher
from bus.publish.runner import Runner
from bus.rebuild.rebuild import TableRebuild
from bus.settings import Settings
from connectors.outbox import upkeep
from connectors.outbox.installing import InstallPlan, Speaker
from connectors.outbox.source import OutboxSource
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.lanes import CATALOG, Town, hosted, view_of
from tests.support.on_kafka import own_topics
from tests.support.outbox import QUICK, Outbox, until
from tests.support.own_topics import OwnTopics

pytestmark = pytest.mark.service

HOWTO = Path(__file__).parents[3] / "docs" / "howto"
ROLES = ("register_app", "renkei_relay", "renkei_bus", "child_allowance_app")
PASSWORD = "only-for-this-test"


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page that are in *language*."""
    text = (HOWTO / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def example() -> dict[str, Any]:
    """The change that the page shows."""
    (text,) = blocks("connect-a-core-system.md", "json")
    change: dict[str, Any] = json.loads(text)
    return change


class Site:
    """A database, and roles of the test's own in place of those that the pages name."""

    def __init__(self, database: str, suffix: str) -> None:
        self.database = database
        self._suffix = suffix

    def role(self, name: str) -> str:
        """What the role of that name is called here."""
        return f"{name}_{self._suffix}"

    def run(self, statements: str) -> None:
        """Run a page's SQL as an administrator; the roles get a password to log in with."""
        for name in ROLES:
            statements = re.sub(rf"\b{name}\b", self.role(name), statements)
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(statements)
            for role in self._made(connection):
                connection.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), PASSWORD)
                )

    def uri(self, name: str) -> str:
        """The database, as that role."""
        parts = urlsplit(self.database)
        login = f"{self.role(name)}:{PASSWORD}@{parts.hostname}:{parts.port}"
        return urlunsplit(parts._replace(netloc=login))

    def clear(self) -> None:
        """Drop the roles and what they own here."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            for role in self._made(connection):
                for statement in ("DROP OWNED BY {} CASCADE", "DROP ROLE {}"):
                    connection.execute(sql.SQL(statement).format(sql.Identifier(role)))

    def _made(self, connection: psycopg.Connection[Any]) -> list[str]:
        names = [self.role(name) for name in ROLES]
        found = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [names])
        return [row[0] for row in found]


@pytest.fixture
def site(database: str, unique: Callable[[str], str]) -> Iterator[Site]:
    """An empty database; its roles go with the test."""
    made = Site(database, unique("h"))
    yield made
    made.clear()


@pytest.fixture
async def broker(engines: Endpoints) -> AsyncIterator[OwnTopics]:
    """The real cluster, under topic names of the test's own."""
    async with own_topics(engines.kafka) as made:
        yield made


async def install(site: Site) -> None:
    """What the first page's section 1 says."""
    roles, _ = blocks("connect-a-core-system.md", "sql")
    site.run(roles)
    await upkeep.install(
        "resident_registry",
        site.database,
        InstallPlan(core=(Speaker(site.role("register_app")),), relay=(site.role("renkei_relay"),)),
    )


async def test_the_core_systems_page_holds(
    site: Site, broker: OwnTopics, engines: Endpoints
) -> None:
    """Called as the core system's role, sent by the relay's; refused and put right as it says."""
    await install(site)
    shape = TopicShape(
        partitions=1, replication=1, compaction_lag=timedelta(days=30), max_message_bytes=1_000_000
    )
    await broker.create_topics(specs(CATALOG.streams.values(), shape))
    call = blocks("connect-a-core-system.md", "sql")[1].replace("$1", "%s")
    wrong = example()
    wrong["records"][0]["body"]["sex"] = "秘密"
    behind = example()
    for record in behind["records"]:
        record["version"], record["nature"] = 2, "CHANGE"
    behind["records"][0]["event_type"] = "resident.address_changed"
    with psycopg.connect(site.uri("register_app")) as core:
        for change in (wrong, behind):
            core.execute(call, [json.dumps(change)])

    async with Registry(engines.registry) as registry:
        await registry.push(CATALOG)
        source = OutboxSource("resident_registry", site.uri("renkei_relay"), holder="here")
        relay = Runner(
            source,
            lambda guard: Publisher(CATALOG, registry, broker, guard=guard),
            pace=QUICK,
        )
        outbox = Outbox(site.database, Path())
        async with outbox.relaying(relay):
            await until(lambda: outbox.pending() == 0, within=30)
            first, second = await upkeep.refused("resident_registry", site.database)
            with psycopg.connect(site.uri("register_app")) as core:
                core.execute(call, [json.dumps(example())])
            await until(lambda: outbox.pending() == 0, within=30)
            await upkeep.retry("resident_registry", site.database, [second.seq])
            await until(lambda: outbox.pending() == 0, within=30)
            await upkeep.drop("resident_registry", site.database, [first.seq])

    assert {reason["field"] for reason in first.reasons} == {"sex"}
    assert "秘密" not in repr(first)
    assert {reason["code"] for reason in second.reasons} == {"version-gap"}
    assert second.behind == first.seq
    assert await upkeep.refused("resident_registry", site.database) == []
    assert outbox.rows("SELECT count(*) FROM renkei.outbox WHERE sent_at IS NOT NULL") == [(2,)]


@pytest.mark.parametrize(
    ("change", "sqlstate"),
    [("[]", "22023"), ('{"change_id": "1"}', "22023"), ("TWICE", "23505")],
)
async def test_the_call_fails_as_the_page_says(site: Site, change: str, sqlstate: str) -> None:
    """Each SQLSTATE of the page's table that one call alone can get."""
    await install(site)
    once = json.dumps(example() | {"change_id": "019d3f00-0000-7000-8000-000000001001"})

    with psycopg.connect(site.uri("register_app"), autocommit=True) as core:
        if change == "TWICE":
            core.execute("SELECT renkei.publish_change(%s::jsonb)", [once])
        text = once if change == "TWICE" else change
        with pytest.raises(psycopg.Error) as refused:
            core.execute("SELECT renkei.publish_change(%s::jsonb)", [text])

    assert refused.value.sqlstate == sqlstate
    assert f"| {sqlstate} |" in (HOWTO / "connect-a-core-system.md").read_text(encoding="utf-8")


async def test_the_core_system_can_do_nothing_else(site: Site) -> None:
    """Its role cannot read what it, or anybody, handed in."""
    await install(site)

    with (
        psycopg.connect(site.uri("register_app")) as core,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        core.execute("SELECT change FROM renkei.outbox")


async def test_the_receiving_systems_page_holds(site: Site, broker: OwnTopics) -> None:
    """With the page's rights alone: delivered, read by the system's role, left alone in a pause,
    and rebuilt."""
    page = "connect-a-receiving-system.md"
    _work_list, rights, question = blocks(page, "sql")
    (settings,) = blocks(page, "yaml")
    options = yaml.safe_load(settings)["systems"]["child_allowance"]["options"]
    site.run(rights)
    sink = PostgresOptions.model_validate(options | {"uri": site.uri("renkei_bus")})
    town = Town(1, broker, SystemClock(), Settings(stop_within=timedelta(seconds=5)))
    await town.build()
    began = datetime.now(UTC)
    numbers = [f"{number:015d}" for number in range(70)]
    for number in numbers:
        await town.publish("resident", number, 1)

    def read() -> list[tuple[Any, ...]]:
        with psycopg.connect(site.uri("child_allowance_app")) as system:
            return system.execute(question).fetchall()

    make = {"child_allowance": lambda _view: PostgresSink(sink)}
    async with hosted(town, make) as bus:
        await bus.at(len(numbers), seconds=30)
        found = read()
        await bus.pause("child_allowance")
        await bus.paused()
        await _let_go_of(site)
        await bus.resume("child_allowance")
        await bus.until(lambda: bus.lane().status is LaneStatus.RUNNING, 30)
        rebuilt = await TableRebuild(
            view_of("child_allowance", "resident"),
            "linkage.resident",
            reader=town.reader("resident"),
            sink=PostgresSink(sink),
            process=bus.process,
        ).run()
        again = read()
    await town.producer.close()

    assert rebuilt.events == len(numbers)
    assert sorted(row[0] for row in found) == numbers
    assert all(began - timedelta(seconds=5) <= row[-1] for row in found)
    assert [row[:-1] for row in sorted(again)] == [row[:-1] for row in sorted(found)]


async def _let_go_of(site: Site) -> None:
    """Wait until the bus has no session in the database: whoever looks after it may do anything."""
    await until(lambda: not _sessions(site), within=10.0)


def _sessions(site: Site) -> int:
    with psycopg.connect(site.database) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [site.role("renkei_bus")]
        ).fetchone() or (0,)
    return int(count)
