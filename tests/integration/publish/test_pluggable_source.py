"""A kind of source that nobody under ``bus`` knows, by one line of the roster and the settings."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bus.app.publishing import Relays, Rules
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.publish.runners import run_together
from bus.settings import Settings, SourceConnection
from connectors import SOURCES
from tests.integration.publish.conftest import MOST_BYTES
from tests.support.changes import change, record
from tests.support.waiting import until

pytestmark = pytest.mark.service


def put(folder: Path, number: int, **fields: Any) -> None:
    """Have a change of a resident wait."""
    draft = folder / f"{number}.draft"
    draft.write_text(json.dumps(change(record(subject_id=f"{number:015d}", **fields))))
    draft.rename(draft.with_suffix(".json"))


async def test_it_is_relayed(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits goes to Kafka, what has faults is refused, what may not come from there as well;
    and what comes later goes too."""
    monkeypatch.setitem(SOURCES, "spool", "tests.support.sources.spool:SpoolSource")
    connection = SourceConnection(connector="spool", options={"folder": tmp_path})
    elsewhere = SourceConnection(
        connector="spool", options={"folder": tmp_path / "tax"}, sources=("light_vehicle_tax",)
    )
    settings = Settings(
        sources={"resident_registry": connection, "tax": elsewhere}, max_message_bytes=MOST_BYTES
    )
    (tmp_path / "tax").mkdir()
    put(tmp_path, 1)
    put(tmp_path, 2, version=0)
    put(tmp_path / "tax", 3)
    metrics, stop = Metrics(), asyncio.Event()
    relays = Relays.of(Rules.of(settings), [], metrics)
    assert relays.watches() == []  # nobody can look into a folder from outside

    async with cluster.open() as (broker, registry):
        tasks = Tasks(metrics)
        runners = relays.runners(registry, broker, tasks)
        running = asyncio.create_task(run_together(runners, stop, tasks))
        try:
            await gone(tmp_path)
            await gone(tmp_path / "tax")
            put(tmp_path, 4)
            await gone(tmp_path)
        finally:
            stop.set()
            await running

    subjects = [event["header"]["subject_id"] for event in await cluster.events("resident")]
    assert sorted(subjects) == [f"{number:015d}" for number in (1, 4)]
    assert names_in(tmp_path) == {"2.refused", "2.why", "tax"}
    (why,) = json.loads((tmp_path / "tax" / "3.why").read_text())
    assert why["code"] == "source"


def names_in(folder: Path) -> set[str]:
    """What is there."""
    return {file.name for file in folder.iterdir()}


async def gone(folder: Path) -> None:
    """Wait until nothing waits."""
    await until(lambda: not any(name.endswith(".json") for name in names_in(folder)), 30)
