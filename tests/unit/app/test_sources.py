"""Publishing systems by their settings: a kind of the roster, its options, what may come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bus.app import outboxes, sources
from bus.connect.source import Limits, Published
from bus.connect.source_kind import SourceContext
from bus.errors import ConfigurationError, SettingsRefused
from bus.model import Change
from bus.operate import naming
from bus.settings import OutboxConnection, Settings, SourceConnection
from connectors import SOURCES
from connectors.outbox.source import OutboxSource

URI = "postgresql://relay:tr0ub4dor@127.0.0.1/x"
HERE = SourceContext(system="resident_registry")


@pytest.fixture
def spool(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line in the roster, and nothing else."""
    monkeypatch.setitem(SOURCES, "spool", "tests.support.sources.spool:SpoolSource")


def settings(**sources: dict[str, Any]) -> Settings:
    """With these sources."""
    return Settings(
        sources={name: SourceConnection.model_validate(said) for name, said in sources.items()}
    )


async def test_a_kind_is_one_line_of_the_roster(spool: None, tmp_path: Path) -> None:
    """Named in the settings, it hands over what waits in it."""
    (tmp_path / "1.json").write_text(json.dumps({"a": 1}))
    said = {"connector": "spool", "options": {"folder": str(tmp_path)}}
    (connection,) = sources.connections(settings(resident_registry=said)).values()

    made = sources.relayed(connection, HERE)

    assert made.name == "resident_registry"
    assert made.capabilities.kept == {
        "exclusive": False, "endless": True, "remote": False, "holds": False, "watched": False
    }  # fmt: skip
    (one,) = await made.take(Limits(10, 1_000, 1_000))
    await made.settle([Published(one.place, Change.model_construct())], [])
    assert await made.take(Limits(10, 1_000, 1_000)) == []


@pytest.mark.parametrize(
    ("kind", "near"),
    [("outbx", "near it: outbox"), ("xyz", "there are: jsonlines, memory, outbox")],
)
def test_an_unknown_kind_is_refused(kind: str, near: str) -> None:
    """With what was probably meant."""
    with pytest.raises(ConfigurationError, match=near):
        sources.source(kind, {}, HERE)


def test_options_are_the_kinds_own() -> None:
    """What it does not know is said by its name; no value is."""
    with pytest.raises(SettingsRefused) as refused:
        sources.source("outbox", {"uri": URI, "urn": "tr0ub4dor"}, HERE)

    assert refused.value.where["names"] == "options.urn"
    assert "tr0ub4dor" not in repr(refused.value) + str(refused.value.faults)


def test_a_kind_that_a_command_runs_is_no_relays() -> None:
    """A file has an end."""
    said = {"connector": "jsonlines", "options": {"file": "/tmp/changes.jsonl"}}
    (connection,) = sources.connections(settings(resident_registry=said)).values()

    with pytest.raises(ConfigurationError, match="renkei publish"):
        sources.relayed(connection, HERE)


def test_an_outbox_is_one_either_way() -> None:
    """By RENKEI_OUTBOXES as by RENKEI_SOURCES."""
    box = OutboxConnection(uri=SecretStr(URI), municipalities=("131016",))
    short = Settings(outboxes={"a": box})
    long = settings(
        a={"connector": "outbox", "options": {"uri": URI}, "municipalities": ["131016"]}
    )

    assert sources.connections(short) == sources.connections(long)
    assert outboxes.outboxes(short) == outboxes.outboxes(long) == {"a": URI}
    assert naming.outbox_names(short) == naming.outbox_names(long) == ["a"]
    (connection,) = sources.connections(long).values()
    assert isinstance(sources.relayed(connection, HERE), OutboxSource)
    assert sources.bounds(connection, "a").municipalities == {"131016"}


def test_a_system_has_one_source() -> None:
    """Two would be two publishers of one subject."""
    both = Settings(
        outboxes={"a": OutboxConnection(uri=SecretStr(URI))},
        sources={"a": SourceConnection(connector="memory")},
    )

    with pytest.raises(ConfigurationError, match="both name it"):
        sources.connections(both)


def test_who_has_none_is_said(spool: None) -> None:
    """By name; and an outbox is looked for among outboxes alone."""
    known = settings(a={"connector": "spool", "options": {"folder": "/"}})

    with pytest.raises(ConfigurationError, match="no source of this system"):
        sources.connections(known, ["b"])
    with pytest.raises(ConfigurationError, match="no outbox of this system"):
        outboxes.outboxes(known, ["a"])
    with pytest.raises(ConfigurationError, match="set RENKEI_OUTBOXES"):
        sources.connections(Settings())
    assert (naming.source_names(known), naming.outbox_names(known)) == (["a"], [])


async def test_what_cannot_be_looked_at_is_none(spool: None) -> None:
    """It has no backlog that anybody could show."""
    known = settings(a={"connector": "spool", "options": {"folder": "/"}})

    assert await sources.status(known, "a") is None


def test_a_municipality_is_a_code() -> None:
    """Said in the words of the setting that it stands in."""
    wrong = SourceConnection(connector="spool", municipalities=("13101",))

    with pytest.raises(ConfigurationError, match="RENKEI_SOURCES: a municipality"):
        sources.bounds(wrong, "a")
