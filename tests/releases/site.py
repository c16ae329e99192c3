"""A small site as a release leaves it: its log, the schemas behind it, a store and the ledger.

``python -m tests.releases.site`` fills one with the present code and writes it down under the
present version; that is a step of making a release (CONTRIBUTING.md). ``test_upgrade.py`` has
whatever comes later go on from there. It needs the engines (``RENKEI_TEST_ENGINES``).
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from bus.broker import Message
from bus.ledger import SCHEMA, TABLE_PREFIX
from bus.ledger.feed import LedgerFeed
from bus.local.postgres import programs
from bus.model import SchemaVersion
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support import engines
from tests.support.lanes import CATALOG, FixedRegistry, Hosted, Town, hosted

HERE = Path(__file__).parent
SYSTEM = "child_allowance"
GIVEN = ("resident", "household", "protection")
PUBLISHED = [name for name, stream in CATALOG.streams.items() if not stream.is_internal]
RECORDED = (*PUBLISHED, "receipt", "exception", "operation", "view")
ONE, TWO, THREE, FOUR, FIVE = (f"{number:015d}" for number in range(1, 6))
ROWS = "SELECT subject_id, version, protected, renkei_applied_at FROM linkage.resident ORDER BY 1"


class Registry(FixedRegistry):
    """Knows the schemas of a release by the ids that they had, and later ones by other ids."""

    def __init__(self, texts: dict[int, str]) -> None:
        super().__init__()
        ids = {text: number for number, text in texts.items()}
        later = [text for text in self._ids if text not in ids]
        self._ids = ids | {text: max(texts) + 1 + n for n, text in enumerate(later)}
        self.texts = {number: text for text, number in self._ids.items()}

    def number(self, version: SchemaVersion) -> int:
        return self._ids[version.text]


@asynccontextmanager
async def at_work(town: Town, database: str) -> AsyncIterator[tuple[Hosted, Hosted]]:
    """The system and the ledger, each in a process of its own, until the block ends."""
    uri = SecretStr(database)
    kept = PostgresOptions(uri=uri, schema_name=SCHEMA, table_prefix=TABLE_PREFIX)
    feed = LedgerFeed(lambda: PostgresSink(kept), database, PUBLISHED)

    def store(_: object) -> PostgresSink:
        return PostgresSink(PostgresOptions(uri=uri))

    async with hosted(town, {SYSTEM: store}, streams=GIVEN) as given:
        async with hosted(town, {"ledger": lambda _: feed.sink()}, streams=RECORDED) as ledger:
            yield given, ledger


async def is_told(town: Town, ledger: Hosted) -> None:
    """Wait until the ledger has all that the log has, receipts of the last events included."""
    topics = {name: CATALOG.stream(name).topic for name in RECORDED}

    def is_so() -> bool:
        ends = {name: town.memory._topic(topic).logs[0].end for name, topic in topics.items()}
        stands = {lane.stream: lane.offset for lane in ledger.lanes}
        return stands == ends

    await ledger.until(is_so, 60)


async def fill(town: Town, database: str) -> None:
    """A life in small: changes, a protection, an erasure, a pause, and an event set aside."""
    async with at_work(town, database) as (given, ledger):
        await given.until(lambda: len(given.lanes) == len(GIVEN), 60)
        for subject in (ONE, TWO, THREE, FOUR):
            await town.publish("resident", subject, 1)
        await town.publish("household", ONE, 1)
        await town.publish("protection", TWO, 1)
        await given.at(1, "protection", seconds=60)
        await town.publish("resident", TWO, 2)
        await town.append("resident", THREE, None)
        await town.append("resident", FOUR, b"garbage")
        await given.at(7, seconds=60)
        await given.pause(SYSTEM, "household")
        await given.paused("household")
        await town.publish("household", TWO, 1)
        await is_told(town, ledger)


def write_down(town: Town, database: str, folder: Path) -> None:
    """The site as files."""
    folder.mkdir(exist_ok=True)
    lines = [
        json.dumps({"topic": name, "key": key.decode(), "value": value and text_of(value)})
        for name, topic in sorted(town.memory._topics.items())
        for log in topic.logs
        for key, value in zip(log.keys, log.values, strict=True)
    ]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = json.dumps(town.registry.texts, ensure_ascii=False, indent=0)
    (folder / "schemas.json").write_text(texts + "\n", encoding="utf-8")
    dump: list[str | Path] = [
        programs() / "pg_dump",
        "--no-owner",
        "--no-privileges",
        "--inserts",
        database,
    ]
    said = subprocess.run(dump, capture_output=True, text=True, check=True, timeout=120)
    (folder / "database.sql").write_text(said.stdout, encoding="utf-8")


async def read_back(folder: Path, database: str) -> Town:
    """The site as its release left it, in a database that is empty, and a log in memory."""
    await asyncio.to_thread(_restore, folder / "database.sql", database)
    town = Town()
    texts = json.loads((folder / "schemas.json").read_text("utf-8"))
    town.registry = Registry({int(number): text for number, text in texts.items()})
    await town.build()
    for line in (folder / "log.jsonl").read_text("utf-8").splitlines():
        said: dict[str, Any] = json.loads(line)
        value = said["value"] and base64.b64decode(said["value"])
        await town.producer.send([Message(said["topic"], 0, said["key"].encode(), value)])
    return town


def _restore(dump: Path, database: str) -> None:
    restore: list[str | Path] = [
        programs() / "psql",
        "--quiet",
        "--no-psqlrc",
        "--set=ON_ERROR_STOP=1",
        database,
    ]
    subprocess.run([*restore, "--file", dump], capture_output=True, check=True, timeout=120)


def text_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


def rows_of(database: str) -> list[tuple[Any, ...]]:
    """What the system's store shows of residents."""
    with psycopg.connect(database) as session:
        return session.execute(ROWS).fetchall()


async def record(folder: Path) -> None:
    """Fill a site and write it down."""
    given = engines.given()
    if given is None:
        raise SystemExit("set RENKEI_TEST_ENGINES")
    with engines.fresh_database(given.database) as database:
        town = Town()
        await town.build()
        await fill(town, database)
        write_down(town, database, folder)


if __name__ == "__main__":
    asyncio.run(record(HERE / version("renkei")))
