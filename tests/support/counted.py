"""A site in memory that counts how often a command opens its log and its registry."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner, Result

from bus.app import clients
from bus.broker import TopicSpec
from bus.broker.memory import MemoryBroker
from bus.cli.main import build
from bus.errors import BrokerUnavailable
from bus.files import write_private
from bus.sealing import file as keyfile
from bus.sealing.ring import new_key
from tests.support.changes import change, record
from tests.support.lanes import CATALOG, FixedRegistry

UNKNOWN = "water_supply"  # which no file names: it is looked for in the log
REASON = ("--reason", "T-1")


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


def counted_site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counted:
    """A site whose log and registry are counted; what commands read lies in *tmp_path*."""
    made = Counted()
    monkeypatch.setattr(clients, "KafkaBroker", made.log)
    monkeypatch.setattr(clients, "Registry", made.registry)
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
    """The command, in this process."""
    return CliRunner().invoke(build(), arguments)
