"""What tests of outboxes stand on: a core system that speaks SQL, and a publisher into a file.

Several processes may share the file. The publisher keeps the promises that a relay builds on:
versions of a subject come without gap or repeat, an event that is there already under the same
change id counts as published, and the guard is called before each append. What it is blind to:
Kafka's own behaviour.

``python -m tests.support.outbox SYSTEM URI FILE [PAUSE]`` runs one relay into such a file until
SIGTERM, obeying ``RENKEI_KILL_AT``. With PAUSE it waits that many seconds between learning what
is there and the guard, so that a test can stop it in the middle of a batch.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from bus import failpoints
from bus.connect.source import Guard
from bus.errors import BusError
from bus.model import Change, Fault
from bus.observe.metrics import Metrics
from bus.observe.runner import this_process
from bus.observe.tasks import Tasks
from bus.publish.admission import Admission
from bus.publish.held_changes import Gate
from bus.publish.outcome import Outcome
from bus.publish.runner import Runner, RunnerLimits
from bus.publish.runners import run_together
from bus.publish.sender import Publishes
from bus.publish.source_reports import RelayReport
from connectors.outbox.concealing import Concealer
from connectors.outbox.source import OutboxSource, OutboxTimes
from tests.support.waiting import until_elsewhere

FIRST, MOST = timedelta(milliseconds=50), timedelta(milliseconds=200)
KEEPING = OutboxTimes(
    lease=timedelta(seconds=3),
    send_within=timedelta(seconds=1),
    stand_by=timedelta(milliseconds=200),
)
"""For tests: a killed leader is followed within three seconds."""
QUICK = RunnerLimits(
    send_within=KEEPING.send_within,
    poll=timedelta(milliseconds=500),
    retry_first=FIRST,
    retry_most=MOST,
    stop_within=timedelta(seconds=5),
)
"""A pace for tests."""


@dataclass
class FilePublisher:
    """Appends one line per record to a file; see the module.

    ``before_append`` is awaited before the guard is asked, for tests that stop the world there;
    ``failing`` holds errors to raise by the next calls of publish, first come first.
    """

    path: Path
    guard: Guard
    before_append: Callable[[], Awaitable[None]] | None = None
    failing: list[BusError] = field(default_factory=list)

    async def start(self) -> None:
        """Learn what is there."""
        self._newest: dict[tuple[str, str], tuple[int, str]] = {}
        for line in lines(self.path):
            self._newest[line["stream"], line["subject"]] = (line["version"], line["change_id"])

    async def publish(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Append what is next in line; refuse what is not."""
        if self.failing:
            raise self.failing.pop(0)
        outcomes, added = [], []
        for change in changes:
            faults, new = self._check(change)
            outcomes.append(Outcome(change_id=None, faults=tuple(faults)))
            added += [] if faults else new
        if added:
            if self.before_append is not None:
                await self.before_append()
            self.guard()
            text = "".join(json.dumps(line) + "\n" for line in added)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
        return outcomes

    async def close(self) -> None:
        """Nothing is open."""

    def _check(self, change: Change) -> tuple[list[Fault], list[dict[str, Any]]]:
        faults: list[Fault] = []
        new: list[dict[str, Any]] = []
        seen = dict(self._newest)
        for number, record in enumerate(change.records):
            key = (record.stream, f"{change.municipality_code}/{record.subject_id}")
            version, by = seen.get(key, (0, ""))
            if (version, by) == (record.version, change.change_id):
                continue
            if record.version != version + 1:
                word = "version-gap" if record.version > version else "version-repeat"
                faults.append(Fault(code=word, expected="the next version", record=number))
            if record.body.get("refuse"):
                faults.append(Fault(code="code-list", expected="a known code", record=number))
            seen[key] = (record.version, change.change_id or "")
            new.append(
                {
                    "stream": key[0],
                    "subject": key[1],
                    "version": record.version,
                    "change_id": change.change_id,
                }
            )
        if not faults:
            self._newest = seen
        return faults, new


def lines(path: Path) -> list[dict[str, Any]]:
    """What was appended, in order."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


SYSTEM = "resident_registry"


def change(subject: str, version: int, **body: Any) -> dict[str, Any]:
    """A change of one record, as a core system writes it."""
    return change_of([(subject, version)], **body)


def change_of(records: Sequence[tuple[str, int]], **body: Any) -> dict[str, Any]:
    """A change of several records."""
    return {
        "municipality_code": "131130",
        "source": SYSTEM,
        "processed_at": "2026-11-02T09:00:00+09:00",
        "records": [
            {
                "stream": "resident",
                "event_type": "resident.address_changed",
                "subject_id": subject,
                "version": version,
                "body": body,
            }
            for subject, version in records
        ],
    }


@dataclass
class Outbox:
    """A core system's database with an outbox, and a file that stands for the topics."""

    uri: str
    topic: Path

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """A session of the core system."""
        return psycopg.connect(self.uri, autocommit=autocommit)

    def publish(self, *changes: dict[str, Any]) -> list[str]:
        """Commit changes, each in its own transaction."""
        with self.connect() as session:
            return [hand_over(session, one) for one in changes]

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        with self.connect() as session:
            return session.execute(question).fetchall()

    def pending(self) -> int:
        """How many changes wait."""
        return int(self.rows("SELECT count(*) FROM renkei.outbox WHERE sent_at IS NULL")[0][0])

    def sent(self) -> list[tuple[str, int]]:
        """What is in the topics, in order: subject and version."""
        return [(line["subject"].partition("/")[2], line["version"]) for line in lines(self.topic)]

    def publisher(self, **options: Any) -> Callable[[Callable[[], None]], FilePublisher]:
        """Makes publishers into the file."""
        return lambda guard: FilePublisher(self.topic, guard, **options)

    def relay(
        self,
        publisher: Callable[[Guard], Publishes] | None = None,
        *,
        admit: Admission | None = None,
        gate: Gate | None = None,
        concealer: Concealer | None = None,
        pace: RunnerLimits = QUICK,
        keeping: OutboxTimes = KEEPING,
        metrics: Metrics | None = None,
        report: RelayReport | None = None,
    ) -> Runner:
        """What publishes this outbox, into the file if nothing else is said."""
        source = OutboxSource(
            SYSTEM, self.uri, holder=this_process(), concealer=concealer, keeping=keeping
        )
        report = report or RelayReport(SYSTEM, metrics or Metrics())
        make = publisher or self.publisher()
        return Runner(source, make, admit=admit, gate=gate, pace=pace, report=report)

    @asynccontextmanager
    async def relaying(self, relay: Runner | None = None) -> AsyncIterator[Runner]:
        """A relay that runs inside the block and has ended well after it."""
        relay, stop = relay or self.relay(), asyncio.Event()
        tasks = Tasks(first=FIRST, most=MOST)
        task = asyncio.create_task(run_together([relay], stop, tasks))
        try:
            yield relay
        finally:
            stop.set()
            await task


def hand_over(session: psycopg.Connection[Any], value: Any) -> str:
    """Call the function that a core system calls, in the session's transaction."""
    row = session.execute("SELECT renkei.publish_change(%s)", [json.dumps(value)]).fetchone()
    assert row is not None
    return str(row[0])


async def until(is_true: Callable[[], bool], *, within: float = 10.0) -> None:
    """Wait until something is true; fail if it is not in time."""
    await until_elsewhere(is_true, within)


async def _main(system: str, uri: str, file: str, pause: float) -> None:
    async def wait() -> None:
        await asyncio.sleep(pause)

    source = OutboxSource(system, uri, holder=this_process(), keeping=KEEPING)
    relay = Runner(
        source, lambda guard: FilePublisher(Path(file), guard, wait if pause else None), pace=QUICK
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, relay.stop)
    await relay.run()


if __name__ == "__main__":
    failpoints.arm(os.environ)
    asyncio.run(
        _main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]) if sys.argv[4:] else 0.0)
    )
