"""No command opens Kafka more than once, whatever it asks; a session opens each thing once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner, Result

from bus.app import outside
from bus.broker import TopicSpec
from bus.broker.memory import MemoryBroker
from bus.cli.main import build
from bus.errors import BrokerUnavailable
from bus.files import write_private
from bus.operate.session import Session
from bus.sealing import file as keyfile
from bus.sealing.ring import new_key
from bus.settings import Settings
from tests.support.changes import change, record
from tests.support.lanes import CATALOG, FixedRegistry

PERSON = "131016/000000012345674"
REASON = ("--reason", "T-1")
UNKNOWN = "water_supply"  # which no file names: it is looked for in the log


class Counted:
    """How often log and registry were opened, and closed."""

    def __init__(self) -> None:
        self.opened = self.closed = self.registries = 0
        self.is_away = False

    def log(self, *_: object, **__: object) -> MemoryBroker:
        """In the place of Kafka: every topic is there, and empty."""
        counted = self

        class Log(MemoryBroker):
            async def start(self) -> None:
                counted.opened += 1
                if counted.is_away:
                    raise BrokerUnavailable("the broker does not answer")
                await super().start()
                topics = [stream.topic for stream in CATALOG.streams.values()]
                await self.create_topics([TopicSpec(topic, 1, 1, {}) for topic in topics])

            async def close(self) -> None:
                counted.closed += 1
                await super().close()

        return Log()

    def registry(self, *_: object) -> Any:
        """In the place of the registry: it knows every schema."""
        self.registries += 1

        class Registry(FixedRegistry):
            async def __aenter__(self) -> Self:
                return self

            async def __aexit__(self, *_: object) -> None:
                pass

        return Registry()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counted:
    made = Counted()
    monkeypatch.setattr(outside, "KafkaBroker", made.log)
    monkeypatch.setattr(outside, "Registry", made.registry)
    for name, of in (("SEAL", "seal-keys"), ("RECEIPT", "receipt-keys")):
        keyfile.add(tmp_path / of, new_key(None, datetime.now(UTC)))
        monkeypatch.setenv(f"RENKEI_{name}_KEYS_FILE", str(tmp_path / of))
    write_private(tmp_path / "erasure-key", "0123456789abcdef" * 2)
    monkeypatch.setenv("RENKEI_ERASURE_KEY_FILE", str(tmp_path / "erasure-key"))
    monkeypatch.setenv("RENKEI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RENKEI_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("RENKEI_REGISTRY", "http://127.0.0.1:1")
    monkeypatch.setenv("RENKEI_PARTITIONS", "1")
    monkeypatch.setenv("RENKEI_SYSTEMS", json.dumps({"child_allowance": {"connector": "memory"}}))
    monkeypatch.chdir(tmp_path)
    line = {**change(record(subject_id="000000012345674"))}
    Path("changes.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    Path("ends.csv").write_text("municipality_code,subject_id,started_on,decided_on\n")
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), arguments)


COMMANDS = [
    ("lanes", "show"),
    ("lanes", "show", "--system", UNKNOWN),
    ("lanes", "pause", "child_allowance", *REASON),
    ("lanes", "resume", "child_allowance"),
    ("parked", "list"),
    ("parked", "list", "--system", UNKNOWN),
    ("parked", "retry", "child_allowance", "--all"),
    ("parked", "dismiss", "--all-systems", "--all", *REASON),
    ("parked", "add", "child_allowance", "resident", "0", "1", *REASON),
    ("parked", "skip", "resident", "0", "1", *REASON),
    ("subscriptions", "apply", "--dry-run"),
    ("subscriptions", "apply", "--yes"),
    ("subscriptions", "simulate"),
    ("protections", "list", *REASON),
    ("protections", "show", PERSON, *REASON),
    ("protections", "end", "ends.csv", *REASON, "--yes"),
    ("rebuild", "child_allowance", "--dry-run"),
    ("rebuild", "child_allowance", "--discard"),
    ("publish", "changes.jsonl"),
    ("publish", "changes.jsonl", "--dry-run"),
    ("topics", "list"),
    ("topics", "apply"),
    ("throughput",),
    ("keys", "check"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: " ".join(words[:3]))
def test_a_command_opens_kafka_once(counted: Counted, arguments: tuple[str, ...]) -> None:
    """Also where the parser of a name asks; and closes it."""
    done = run(*arguments)

    assert (counted.opened, counted.closed) == (1, 1), done.output


async def test_each_is_opened_once(counted: Counted) -> None:
    """And all that was opened is closed with the session; nothing before it is asked for."""
    settings = Settings(kafka="127.0.0.1:1", registry="http://127.0.0.1:1")
    async with Session(settings) as session:
        assert (counted.opened, counted.registries) == (0, 0)
        first = await session.broker()
        assert await session.parked() is await session.parked()
        assert await session.operations() is await session.operations()
        assert await session.editions() is await session.editions()
        await session.journal()
        assert await session.broker() is first
        assert (counted.opened, counted.registries, counted.closed) == (1, 1, 0)
    assert counted.closed == 1


async def test_a_log_that_was_away_is_looked_for_again(counted: Counted) -> None:
    """A page that lives longer than an outage sees its end."""
    settings = Settings(kafka="127.0.0.1:1", registry="http://127.0.0.1:1")
    async with Session(settings) as session:
        counted.is_away = True
        with pytest.raises(BrokerUnavailable):
            await session.broker()
        counted.is_away = False
        assert await session.broker() is not None
    assert (counted.opened, counted.closed) == (2, 1)
