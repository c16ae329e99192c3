"""Which engines a test run uses when it is told."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from bus.errors import ConfigurationError
from bus.local import folder
from bus.local.endpoints import Endpoints
from bus.local.folder import Folder, Lock
from tests.support import engines
from tests.support.engines import RUNS, clear


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A data folder of this test's own, named in the environment."""
    for name in ("RENKEI_HOME", "RENKEI_TEST_ENGINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RENKEI_HOME", str(tmp_path))
    made = Folder.at(tmp_path)
    made.make()
    return made


def test_nothing_said_means_engines_of_ones_own(home: Folder) -> None:
    """Then the run starts some."""
    assert engines.given() is None


def test_addresses_are_taken_as_they_are(home: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they run."""
    monkeypatch.setenv("RENKEI_TEST_ENGINES", "kafka=a:1;registry=http://b:2;database=c")

    assert engines.given() == Endpoints("a:1", "http://b:2", "c")


def test_home_means_the_running_stack(home: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``renkei local up`` wrote, as long as it runs."""
    monkeypatch.setenv("RENKEI_TEST_ENGINES", "home")
    home.addresses.write_text("kafka: a:1\nregistry: http://b:2\ndatabase: c\n", encoding="utf-8")
    home.addresses.chmod(0o600)

    with pytest.raises(ConfigurationError, match="renkei local up"):
        engines.given()
    with monkeypatch.context() as up:
        up.setattr(folder, "is_held", lambda _: True)
        assert engines.given() == Endpoints("a:1", "http://b:2", "c")


def left(folder: Path, name: str, note: object) -> Path:
    """A data folder of a run, with what it says of its owner."""
    home = folder / f"{RUNS}_{name}"
    home.mkdir()
    (home / "owner.json").write_text(json.dumps(note), encoding="utf-8")
    return home


def test_what_dead_runs_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    """By who began a run and when; a folder that says nothing of that is nobody's to delete."""
    me = psutil.Process()
    mine = left(tmp_path, "mine", {"pid": me.pid, "created": me.create_time()})
    another = {"pid": me.pid, "created": me.create_time() - 3600}
    dead = left(tmp_path, "dead", another)
    silent = left(tmp_path, "silent", None)
    held = left(tmp_path, "held", another)
    other = tmp_path / "renkei-else"
    other.mkdir()
    lock = Lock(Folder.at(held))
    lock.acquire()
    try:
        clear(tmp_path)
    finally:
        lock.release()

    assert not dead.exists()
    assert all(home.exists() for home in (mine, silent, held, other))
    clear(tmp_path)
    assert not held.exists()
