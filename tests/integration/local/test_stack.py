"""The one-machine stack on the real engines: starting, stopping, and every way of dying.

One stack with a data folder of its own serves the module; each test leaves it up or takes it up
again, so their order does not matter.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from bus.broker.kafka import KafkaBroker
from bus.broker.port import Message, TopicSpec
from bus.errors import DataFolderInUse, EngineError
from bus.local import ports
from bus.local.endpoints import ENGINES, Endpoints
from bus.local.folder import Folder
from bus.local.stack import DOWN_SECONDS, LocalStack
from bus.local.state import Phase
from tests.support.engines import named, stack, unique
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.xdist_group("local-stack")]


class Owner:
    """A process whose end is the stack's; it ends with the tests, however they end."""

    def __init__(self) -> None:
        self._process = self._begun()

    @property
    def pid(self) -> int:
        """Its process id; another than before if that one has ended."""
        if self._process.poll() is not None:
            self._process = self._begun()
        return self._process.pid

    def end(self) -> None:
        """Kill it."""
        with self._process:
            self._process.kill()

    def _begun(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)  # reads until we are gone


@pytest.fixture(scope="module")
def owner() -> Iterator[Owner]:
    """Who owns the module's stack: a test may kill it."""
    it = Owner()
    yield it
    it.end()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, owner: Owner) -> Iterator[LocalStack]:
    """A stack that is up, and is stopped afterwards; its folder's name is not plain ASCII."""
    it = stack(tmp_path_factory.mktemp("stack") / "市 役所=𠮷")
    it.up(owner=owner.pid)
    yield it
    it.down()
    assert running(it) == []


@pytest.fixture
def up(local: LocalStack, owner: Owner) -> Endpoints:
    """The module's stack, up whatever the test before did to it."""
    return local.up(owner=owner.pid)


def running(it: LocalStack) -> list[psutil.Process]:
    """Every process that has anything to do with this data folder."""
    home = str(it.folder.home)
    found = []
    for process in psutil.process_iter():
        try:
            seen = " ".join(process.cmdline()) + process.cwd()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if home in seen and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that happens in another process."""
    wait_until(is_so, seconds)


def idle(argument: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """A process that does nothing, with an argument of its own."""
    program = [sys.executable, "-c", "import time; time.sleep(600)"]
    return subprocess.Popen([*program, argument], cwd=cwd)


def pid_of(it: LocalStack, name: str) -> int:
    """The process of an engine."""
    (pid,) = [each.pid for each in it.status().engines if each.name == name]
    assert pid is not None
    return pid


class Kept:
    """An event, a row and a schema that were acknowledged."""

    def __init__(self) -> None:
        self.topic = unique("kept")
        self.event = os.urandom(16)
        self.schema = {"schema": f'{{"type":"record","name":"{self.topic}","fields":[]}}'}

    async def write(self, at: Endpoints) -> None:
        """Write all three and wait for each acknowledgement."""
        with psycopg.connect(at.database) as connection:
            connection.execute(f"CREATE TABLE {self.topic} AS SELECT 1 AS one")
        async with httpx.AsyncClient(base_url=at.registry) as registry:
            answer = await registry.post(f"/subjects/{self.topic}/versions", json=self.schema)
            answer.raise_for_status()
        broker = KafkaBroker(at.kafka)
        await broker.start()
        try:
            await broker.create_topics([TopicSpec(self.topic, 1, 1, {})])
            producer = broker.producer()
            await producer.start()
            await producer.send([Message(self.topic, 0, b"key", self.event)])
            await producer.close()
        finally:
            await broker.close()

    async def assert_there(self, at: Endpoints) -> None:
        """All three are still there, once."""
        with psycopg.connect(at.database) as connection:
            rows = connection.execute(f"SELECT one FROM {self.topic}").fetchall()
        assert rows == [(1,)]
        async with httpx.AsyncClient(base_url=at.registry) as registry:
            answer = await registry.get(f"/subjects/{self.topic}/versions")
        assert answer.json() == [1]
        broker = KafkaBroker(at.kafka)
        await broker.start()
        try:
            consumer = broker.consumer()
            await consumer.start()
            await consumer.assign([(self.topic, 0)])
            consumer.seek((self.topic, 0), 0)
            values: list[bytes | None] = []
            while not values:
                for fetched in await consumer.fetch(10, timedelta(seconds=1)):
                    values.extend(fetched.values)
            assert values == [self.event]
            await consumer.close()
        finally:
            await broker.close()


def test_starting_again_changes_nothing(local: LocalStack, up: Endpoints) -> None:
    """``up`` twice is the same as once."""
    before = local.status()

    assert local.up() == up

    assert [each.pid for each in local.status().engines] == [each.pid for each in before.engines]


def test_a_second_one_on_the_same_folder_is_refused(local: LocalStack, up: Endpoints) -> None:
    """It says who holds the folder, and since when; the first goes on undisturbed."""
    holder = local.status()

    with pytest.raises(DataFolderInUse) as refused:
        LocalStack(local.folder.home, engines=local.folder.engines).run()
    second = subprocess.run(
        [sys.executable, "-m", "bus.local.supervisor", local.folder.home, local.folder.engines],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert refused.value.where["pid"] == holder.pid
    assert holder.since is not None
    assert refused.value.where["since"] == holder.since.isoformat()
    assert second.returncode == DataFolderInUse.exit_status
    assert f"pid={holder.pid}" in second.stderr
    assert local.status().is_up


def test_everything_listens_on_loopback_only(local: LocalStack, up: Endpoints) -> None:
    """Nobody on the network reaches an engine."""
    seen = set()
    for name in ENGINES:
        process = psutil.Process(pid_of(local, name))
        for each in [process, *process.children(recursive=True)]:
            for connection in each.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip.removeprefix("::ffff:") == "127.0.0.1"
                    seen.add(connection.laddr.port)

    kept = ports.kept(local.folder)
    assert kept is not None
    assert seen == {kept.kafka, kept.controller, kept.postgres, kept.registry}


def test_secrets_are_for_the_owner_alone(local: LocalStack, up: Endpoints) -> None:
    """The password is generated, in files that nobody else reads, and no door is open without."""
    for path in (local.folder.password, local.folder.addresses, local.folder.state):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (local.folder.home, local.folder.data, local.folder.run, local.folder.logs):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    password = local.folder.password.read_text(encoding="utf-8").strip()
    assert len(password) >= 32

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(up.database.replace(password, "wrong"))
    assert not any(password in " ".join(process.cmdline()) for process in running(local))


def test_the_registry_refuses_an_incompatible_schema(up: Endpoints) -> None:
    """Out of the box it would take anything."""
    subject = unique("subject")
    base = '{"type":"record","name":"r","fields":[%s]}'
    first = base % '{"name":"a","type":"string"}'
    second = base % '{"name":"b","type":"string"}'

    def post(schema: str) -> int:
        url = f"{up.registry}/subjects/{subject}/versions"
        return httpx.post(url, json={"schema": schema}).status_code

    assert post(first) == 200
    assert post(second) == 409
    assert httpx.get(f"{up.registry}/config").json()["compatibilityLevel"] == "FULL_TRANSITIVE"


def test_an_error_of_a_statement_is_not_logged(local: LocalStack, up: Endpoints) -> None:
    """Its text holds field values, and a log is read by others."""
    with psycopg.connect(up.database, autocommit=True) as connection:
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 'tr0ub4dor'::int")
        connection.execute("CREATE TABLE IF NOT EXISTS logged (a text PRIMARY KEY)")
        for _ in range(2):
            try:
                connection.execute("INSERT INTO logged VALUES (%s)", ["tr0ub4dor"])
            except psycopg.errors.UniqueViolation as error:
                assert "tr0ub4dor" in str(error)  # noqa: PT017 - the point is where it is not

    assert "tr0ub4dor" not in local.folder.log("postgres").read_text(encoding="utf-8")


def test_idle_it_takes_less_than_a_gigabyte(local: LocalStack, up: Endpoints) -> None:
    """All engines together."""
    memory = sum(each.memory_bytes or 0 for each in local.status().engines)

    assert 100_000_000 < memory < 1_000_000_000


@pytest.mark.parametrize("name", ENGINES)
async def test_killing_an_engine_loses_nothing(local: LocalStack, up: Endpoints, name: str) -> None:
    """What was acknowledged is there when the engine is up again; the others never stopped."""
    kept = Kept()
    await kept.write(up)
    killed = pid_of(local, name)
    others = [pid_of(local, each) for each in ENGINES if each != name]

    os.kill(killed, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(killed))

    assert local.up() == up
    assert pid_of(local, name) != killed
    assert [pid_of(local, each) for each in ENGINES if each != name] == others
    await kept.assert_there(up)


def test_an_engine_that_dies_is_started_again(local: LocalStack, up: Endpoints) -> None:
    """Without anybody asking; and until then status says that it is down."""
    killed = pid_of(local, "postgres")

    os.kill(killed, signal.SIGKILL)
    until(lambda: not local.status().is_up)
    until(lambda: local.status().is_up, 30.0)

    (postgres,) = [each for each in local.status().engines if each.name == "postgres"]
    assert postgres.pid != killed
    assert postgres.restarts >= 1


async def test_killing_the_supervisor_leaves_nothing_and_loses_nothing(
    local: LocalStack, up: Endpoints, owner: Owner
) -> None:
    """``kill -9`` of renkei itself takes the engines along, and the next start recovers."""
    kept = Kept()
    await kept.write(up)
    supervisor = local.status().pid
    assert supervisor is not None

    os.kill(supervisor, signal.SIGKILL)
    until(lambda: running(local) == [])

    assert local.endpoints() is None
    assert [each.phase for each in local.status().engines] == [Phase.DOWN] * 3
    assert local.up(owner=owner.pid) == up
    await kept.assert_there(up)


async def test_down_stops_everything_and_up_finds_it_again(
    local: LocalStack, up: Endpoints, owner: Owner
) -> None:
    """Within fifteen seconds; twice is the same as once; the ports stay.

    What still runs of this folder, without a supervisor, does not stand in the way.
    """
    kept = Kept()
    await kept.write(up)
    begun = time.monotonic()

    assert local.down()

    assert time.monotonic() - begun < DOWN_SECONDS
    assert running(local) == []
    assert not local.folder.addresses.exists()
    assert not local.down()

    with idle(f"-Drenkei.kafka={local.folder.home}") as orphan:
        with idle("bystander", cwd=local.folder.home) as bystander:
            assert local.up(owner=owner.pid) == up
            assert orphan.wait(10) == -signal.SIGTERM
            assert bystander.poll() is None, "only engines are ours to stop"
            bystander.kill()
    await kept.assert_there(up)


def test_a_stack_that_was_up_stays_up(local: LocalStack, up: Endpoints) -> None:
    """The demo on a stack that somebody else started does not stop it."""
    with local.running() as endpoints:
        assert endpoints == up

    assert local.status().is_up


def test_other_ports_need_a_new_start(local: LocalStack, up: Endpoints) -> None:
    """Rather than saying that it is up, elsewhere than was asked for."""
    other = LocalStack(
        local.folder.home, engines=local.folder.engines, chosen={"kafka": ports.LOWEST - 1}
    )

    with pytest.raises(EngineError, match="other ports"):
        other.up()


def test_a_taken_port_is_named(tmp_path: Path, local: LocalStack) -> None:
    """And the option that chooses another; nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = LocalStack(tmp_path, engines=local.folder.engines, chosen={"postgres": port})

        with pytest.raises(EngineError) as refused:
            other.up()

    assert f"port {port} is taken" in str(refused.value)
    assert "--postgres-port" in str(refused.value)
    assert running(other) == []
    assert not (tmp_path / "data" / "postgres").exists()


def test_an_engine_that_cannot_start_is_named_with_its_log(
    tmp_path: Path, local: LocalStack
) -> None:
    """Here: somebody else's files where PostgreSQL's should be."""
    other = LocalStack(tmp_path, engines=local.folder.engines)
    other.folder.make()
    (tmp_path / "data" / "postgres").mkdir()
    (tmp_path / "data" / "postgres" / "PG_VERSION").write_text("9.6\n", encoding="utf-8")

    with pytest.raises(EngineError, match="postgres ended while it was starting") as refused:
        other.up()

    assert refused.value.where["log"] == str(Folder.at(tmp_path).log("postgres"))
    assert running(other) == []


def test_a_database_of_the_stack_may_be_renamed_in_the_uri(up: Endpoints) -> None:
    """Tests and the demo make databases of their own."""
    with psycopg.connect(named(up.database, "postgres")) as connection:
        names = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}

    assert {"renkei", "registry"} <= names


def test_a_frozen_engine_keeps_nothing_running_after_its_owner(
    local: LocalStack, up: Endpoints, owner: Owner
) -> None:
    """A demo or a test run that is killed leaves nothing, not even what does not listen."""
    psutil.Process(pid_of(local, "kafka")).suspend()

    owner.end()

    until(lambda: running(local) == [], DOWN_SECONDS)
    assert not local.status().is_up
