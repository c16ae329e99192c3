"""One whole installation for the acceptance tests: engines, a town's databases, processes.

The topics have the names that they have in production, so an installation needs a log of its own.
Everything that its processes write lies below one folder, temporary files included.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from bus.local.ports import free_port
from bus.local.stack import LocalStack
from bus.model import Change
from bus.sample import town as towns
from bus.sample.municipality import Municipality, events
from bus.sample.processes import Process
from bus.sample.register import Register
from tests.acceptance import checker, evidence
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
SUBSCRIPTIONS = ROOT / "schemas" / "subscriptions"
JAPAN = ZoneInfo("Asia/Tokyo")
RELAY, DELIVER, MONITOR = "relay run", "deliver", "monitor run"
QUIET_WITHIN_S = 90.0
COMMAND_WITHIN_S = 60.0
_QUICK = {
    "RENKEI_RELAY_LEASE": "PT6S",  # a killed leader keeps the others waiting no longer
    "RENKEI_RETRY_MOST": "PT1S",
    "PYTHONUNBUFFERED": "1",
}


class Installation:
    """Engines that run, a town built on them, and the processes of the bus."""

    def __init__(self, home: Path, stack: LocalStack) -> None:
        self.home = home
        self.programs = Path(sys.executable).parent
        """Where the ``renkei`` is that runs commands to their end."""
        self.stack = stack
        self.engines = stack.up(owner=os.getpid())
        self.temporary = home / "tmp"
        self.outputs = home / "outputs"
        self.logs = home / "logs" / "processes"  # the engines' are beside
        self.processes: dict[str, Process] = {}
        self.ports: dict[str, int] = {}
        self._register: Register | None = None

    # -- making ----------------------------------------------------------------------------

    def build(self, population: int, seed: int, **settings: Any) -> None:
        """A new town: empty topics, new databases, a municipality whose load is not yet entered.

        Args:
            population: How many residents it has.
            seed: Of all that is made up.
            settings: That hold for it beside those that every town has.
        """
        self.clear()
        granted = evidence.read_grants(SUBSCRIPTIONS, self.today)
        self.town = towns.build(self.engines.database, sorted(granted))
        self.town.write_settings(
            self.home / "run" / "systems.yaml", database=self.town.ledger, **settings
        )
        for command in (self.town.install_command(), ["topics", "apply"], ["schemas", "push"]):
            self.renkei(*command)
        self.random = Random(seed)
        self.people = Municipality(seed, population)
        self.register.install()
        self.where = evidence.Where(
            core=self.town.core,
            ledger=self.town.ledger,
            systems=self.town.systems,
            kafka=self.engines.kafka,
            registry=self.engines.registry,
            subscriptions=SUBSCRIPTIONS,
            receipt_keys=self.home / "run" / "receipt-keys",
        )

    def build_watched(self, population: int, seed: int, **settings: Any) -> None:
        """A town that was loaded through the outbox, and is at work; every write to its stores is
        recorded."""
        self.build(population, seed, **settings)
        self.ensure(RELAY, DELIVER)
        self.watch_stores()
        self.load()
        self.quiet()

    def clear(self) -> None:
        """No process, no topic, nothing that the tests before have left; folders for what will
        be written."""
        self.stop_all()
        for folder in (self.temporary, self.outputs, self.logs):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.temporary, self.outputs, self.logs, self.home / "run"):
            folder.mkdir(parents=True, exist_ok=True)
        self._delete_topics()

    def watch_stores(self) -> None:
        """Wait until delivery has made every table, and record all writes from then on."""
        for system, granted in evidence.read_grants(SUBSCRIPTIONS, self.today).items():
            uri = self.town.systems[system]

            def has_tables(uri: str = uri, count: int = len(granted)) -> bool:
                with psycopg.connect(uri) as connection:
                    return len(evidence.stream_tables(connection)) >= count

            wait_until(has_tables, 60.0)
            evidence.watch_table_steps(self.engines.database, uri)

    @property
    def receiving(self) -> list[str]:
        """The systems that receive residents: the register has them itself."""
        granted = evidence.read_grants(SUBSCRIPTIONS, self.today)
        return [system for system, streams in granted.items() if "resident" in streams]

    def _delete_topics(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.engines.kafka})

        def ours() -> list[str]:
            return [t for t in admin.list_topics(timeout=20).topics if t.startswith("linkage.")]

        if found := ours():
            for deleted in admin.delete_topics(found).values():
                deleted.result(20)
            wait_until(lambda: not ours(), 20.0)

    # -- processes -------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """What every command of this installation is told."""
        return {"RENKEI_HOME": str(self.home), "TMPDIR": str(self.temporary), **_QUICK}

    def start(self, command: str, name: str | None = None, **environment: str) -> Process:
        """Start a long-running command; *name* keeps several of one kind apart.

        What ran under that name is stopped: nobody would know of it any more.
        """
        name = name or command
        self.stop(name)
        port = free_port()
        kind = "RENKEI_MONITOR_PORT" if command == MONITOR else "RENKEI_HTTP_PORT"
        log = self.logs / f"{name.replace(' ', '-')}.log"
        given = {**self.environment, kind: str(port), **environment}
        made = Process(command.split(), given, log, ends_with_starter=True)
        self.processes[name], self.ports[name] = made, port
        return made

    @contextmanager
    def beside(self, command: str) -> Iterator[Process]:
        """A second process of a kind, which is stopped at the end, whatever happens."""
        name = f"second {command}"
        try:
            yield self.start(command, name)
        finally:
            self.stop(name)

    def ensure(self, *commands: str) -> None:
        """Start those of *commands* that do not run."""
        for command in commands:
            process = self.processes.get(command)
            if process is None or process.poll() is not None:
                self.start(command)

    def stop(self, *names: str) -> None:
        """Stop these, in order, as an operator does."""
        for name in names:
            self.ports.pop(name, None)  # or the next file of tests would ask a dead process
            if process := self.processes.pop(name, None):
                process.stop()

    def stop_all(self) -> None:
        """Stop every process, and let go of the core system."""
        self.stop(*list(self.processes))
        if self._register is not None:
            self._register.close()
            self._register = None

    def renkei(
        self,
        *arguments: str,
        expect: int | None = 0,
        stdin: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; what it says is kept below the installation's folder too."""
        done = run_command(
            [self.programs / "renkei", *arguments],
            {**self.environment, **(environment or {})},
            stdin=stdin,
        )
        with (self.outputs / "commands.txt").open("a", encoding="utf-8") as kept:
            kept.write(f"{arguments}\n{done.stdout}\n{done.stderr}\n")
        if expect is not None:
            assert done.returncode == expect, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    # -- the core system -------------------------------------------------------------------

    @property
    def register(self) -> Register:
        """The core system, connected."""
        if self._register is None:
            self._register = Register(self.town.core)
        return self._register

    def load(self) -> None:
        """Enter the whole population, each subject's first entry as a change of its own."""
        for change in self.people.changes():
            self.register.enter(change)

    def enter(self, make: Callable[..., Change] = events.anything, **given: Any) -> Change:
        """Something happens and a clerk enters it; again if the database was away meanwhile."""
        change = make(self.people, datetime.now(UTC), **given)
        is_in_doubt = False  # the answer to an attempt was lost

        def is_entered() -> bool:
            nonlocal is_in_doubt
            try:
                if not (is_in_doubt and self._has_entered(change)):
                    self.register.enter(change)
            except psycopg.OperationalError:
                is_in_doubt = True
                if self._register is not None:
                    self._register.close()
                self._register = None
                return False
            return True

        wait_until(is_entered, 60)
        return change

    def _has_entered(self, change: Change) -> bool:
        with psycopg.connect(self.town.core) as connection:
            found = connection.execute(
                "SELECT FROM register.entry WHERE change_id = %s LIMIT 1", (change.change_id,)
            )
            return found.fetchone() is not None

    # -- judging ---------------------------------------------------------------------------

    @property
    def today(self) -> date:
        """The day on which grants are judged: Japan's, as the product has it."""
        return datetime.now(JAPAN).date()

    def quiet(self, within: float = QUIET_WITHIN_S) -> None:
        """Wait until all that was committed has arrived everywhere and is in the ledger."""
        left: list[str] = []

        def is_quiet() -> bool:
            try:
                left[:] = evidence.unquiet(self.where, self.today)
            except psycopg.Error as error:  # tables not made yet, or the server restarts
                left[:] = [type(error).__name__]
            return not left

        try:
            wait_until(is_quiet, within)
        except AssertionError:
            raise AssertionError(f"not quiet in {within:.0f} s: {left}\n{self._told()}") from None

    def versions(self, system: str) -> dict[str, int]:
        """Subject -> version, as one system's table of residents has them."""
        with psycopg.connect(self.town.systems[system]) as connection:
            try:
                rows = connection.execute("SELECT subject_id, version FROM linkage.resident")
            except psycopg.errors.UndefinedTable:
                return {}
            return dict(rows.fetchall())

    def log(self, topic: str) -> list[Any]:
        """Every record of a topic, partition by partition."""
        consumer = Consumer({"bootstrap.servers": self.engines.kafka, "group.id": "acceptance"})
        found: list[Any] = []
        try:
            for number in consumer.list_topics(topic, 20).topics[topic].partitions:
                place = TopicPartition(topic, number, 0)
                _, end = consumer.get_watermark_offsets(place, timeout=20)
                consumer.assign([place])
                for _ in range(end):
                    message = consumer.poll(20)
                    assert message is not None
                    found.append(message)
        finally:
            consumer.close()
        return found

    def _told(self) -> str:
        """What each process said last, for whoever has to find out why."""
        told = []
        for name, process in self.processes.items():
            last = process.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            told += [f"{name} ({process.poll()}):", *last]
        return "\n".join(told)

    def findings(self) -> list[str]:
        """What the independent checker has to say."""
        return [str(found) for found in checker.judge(evidence.gather(self.where, self.today))]


def run_command(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    stdin: str | None = None,
    within: float = COMMAND_WITHIN_S,
) -> subprocess.CompletedProcess[str]:
    """Run something to its end, with none of the bus's variables but those given."""
    inherited = {name: at for name, at in os.environ.items() if not name.startswith("RENKEI_")}
    return subprocess.run(
        command,
        env={**inherited, **environment},
        input=stdin or "",
        capture_output=True,
        text=True,
        check=False,
        timeout=within,
    )


def kill_quietly(process: Process | None) -> None:
    """SIGKILL, unless it is dead already."""
    if process is not None:
        with suppress(ProcessLookupError):
            process.kill()


def what_pages_say(town: Installation) -> None:
    """The metrics and the health of every process."""
    for name, port in town.ports.items():
        for page in ("metrics", "healthz", "readyz"):
            text = what_page_says(f"http://127.0.0.1:{port}/{page}")
            (town.outputs / f"{name}-{page}.txt".replace(" ", "-")).write_bytes(text)


def what_page_says(url: str) -> bytes:
    """The page, once its process serves it."""
    said = b""

    def answers() -> bool:
        nonlocal said
        try:
            with urllib.request.urlopen(url, timeout=20) as page:
                said = page.read()
        except urllib.error.HTTPError as error:  # not ready: it says why
            with error:
                said = error.read()
        except urllib.error.URLError:
            return False
        return True

    wait_until(answers, 60)
    return said
