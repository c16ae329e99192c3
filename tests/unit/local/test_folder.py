"""The data folder: who holds it, what lies in it, and which ports it keeps."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bus.credentials import erasure_key
from bus.errors import DataFolderInUse, EngineError
from bus.local import folder, ports
from bus.local.folder import Folder, Lock
from bus.sealing import KeyRing
from bus.settings import Settings


@pytest.fixture
def where(tmp_path: Path) -> Folder:
    """An empty data folder."""
    it = Folder.at(tmp_path / "home")
    it.make()
    return it


def test_the_key_of_erasures_is_made_once(where: Folder) -> None:
    """For the owner alone; with another one nobody would know who was erased."""
    path = where.ensure_erasure_key()
    made = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert where.ensure_erasure_key().read_text() == made
    settings = Settings(erasure_key_file=path)
    assert erasure_key(settings) == made.strip().encode()


def test_keys_that_seal_are_made_once(where: Folder) -> None:
    """For the owner alone; they live as long as the data that they sealed."""
    path = where.ensure_seal_keys()
    made = path.read_text()

    assert where.ensure_seal_keys().read_text() == made
    assert len(KeyRing.parse(made).keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_held_folder_names_its_holder(where: Folder) -> None:
    """Which process, and since when."""
    lock = Lock(where)
    lock.acquire()

    with pytest.raises(DataFolderInUse) as refused:
        Lock(where).acquire()
    holder = folder.holder(where)
    lock.release()
    lock.release()

    assert holder is not None
    assert refused.value.where["pid"] == holder.pid == os.getpid()
    assert refused.value.where["since"] == holder.since.isoformat()
    assert not folder.is_held(where)


def test_a_holder_that_is_killed_holds_no_longer(where: Folder) -> None:
    """No stale lock is ever in the way."""
    script = (
        "import sys, time; from pathlib import Path; from bus.local.folder import Folder, Lock\n"
        "Lock(Folder.at(Path(sys.argv[1]))).acquire(); print(flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(where.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert folder.is_held(where)
        process.kill()

    assert not folder.is_held(where)
    assert folder.holder(where) is None
    Lock(where).acquire()


def test_a_later_process_of_the_same_id_is_another(where: Folder) -> None:
    """Process ids come round again."""
    assert folder.process(os.getpid(), 0.0) is None


def test_the_password_is_made_once_for_the_owner_alone(where: Folder) -> None:
    """Generated, and never on the command line."""
    first = where.ensure_password()

    assert where.ensure_password() == first
    assert len(first) >= 32
    assert stat.S_IMODE(where.password.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").touch()

    with pytest.raises(EngineError, match="file"):
        Folder.at(tmp_path / "file" / "home").make()


def test_a_folder_that_kafka_cannot_use_is_refused(tmp_path: Path) -> None:
    """Kafka reads a comma as two folders, Java a colon as two places."""
    for name in ("a,b", "a:b", "a\nb"):
        with pytest.raises(EngineError, match="cannot use"):
            Folder.at(tmp_path / name).make()


def test_ports_are_kept(where: Folder) -> None:
    """What was told to other programs stays true."""
    first = ports.choose(where, {})

    assert ports.choose(where, {}) == first
    assert len({first.kafka, first.controller, first.postgres, first.registry}) == 4


def test_a_chosen_port_is_used_and_kept(where: Folder) -> None:
    """By option, once."""
    before = ports.choose(where, {})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    chosen = ports.choose(where, {"registry": port})

    assert chosen.registry == port
    assert chosen.kafka == before.kafka
    assert ports.choose(where, {}) == chosen


def test_one_port_for_two_engines_is_refused(where: Folder) -> None:
    """Only one of them could start."""
    with pytest.raises(EngineError):
        ports.choose(where, {"kafka": 20_000, "postgres": 20_000})


def test_half_a_state_file_is_no_state(where: Folder) -> None:
    """Whatever was there when the machine went down."""
    where.state.write_text('{"pid": 1', encoding="utf-8")

    assert folder.read_json(where.state) is None
