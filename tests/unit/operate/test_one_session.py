"""No command opens Kafka more than once, whatever it asks; a session opens each thing once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import BrokerUnavailable
from bus.operate.session import Session
from bus.settings import Settings
from tests.support.counted import REASON, UNKNOWN, Counted, counted_site, run

PERSON = "131016/000000012345674"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counted:
    return counted_site(monkeypatch, tmp_path)


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


async def test_each_is_opened_once(counted: Counted, tmp_path: Path) -> None:
    """And all that was opened is closed with the session; nothing before it is asked for."""
    settings = Settings(
        kafka="127.0.0.1:1",
        registry="http://127.0.0.1:1",
        receipt_keys_file=tmp_path / "receipt-keys",
    )
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
