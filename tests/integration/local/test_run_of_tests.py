"""The engines of a test run: one set for all workers, and none left when the run ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support import engines as test_engines
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.service, pytest.mark.slow]

TESTS = """
import time
from pathlib import Path
import pytest

@pytest.mark.parametrize("n", range(4))
def test_it(engines, n):
    Path({seen!r}, str(n)).write_text(engines.database)
    time.sleep({seconds})
"""


@contextmanager
def begin(folder: Path, seconds: float, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run of its own whose four tests use the engines; killed if it is still there."""
    conftest = Path(__file__).parents[2] / "conftest.py"
    shutil.copy(conftest, folder / "conftest.py")
    (folder / "seen").mkdir()
    text = TESTS.format(seen=str(folder / "seen"), seconds=seconds)
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "tmp").mkdir()
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *options, str(folder)],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(("RENKEI_TEST", "PYTEST"))}
        | {"TMPDIR": str(folder / "tmp")},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def seen(folder: Path) -> list[str]:
    """The databases that the tests of a run saw."""
    return [file.read_text(encoding="utf-8") for file in (folder / "seen").iterdir()]


def left_running(folder: Path) -> list[psutil.Process]:
    """Processes that have anything to do with a run's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()) + process.cwd():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_workers_share_one_set_that_ends_with_the_run(tmp_path: Path) -> None:
    """Whichever worker comes first starts it; the run's own process ends it."""
    with begin(tmp_path, 0.0, "-n", "2") as run:
        assert run.wait(120) == 0

    databases = seen(tmp_path)
    assert len(databases) == 4
    assert len(set(databases)) == 1
    assert left_running(tmp_path) == []
    assert not list((tmp_path / "tmp").glob("renkei-tests*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, and worse: no process, and no data folder once the next run has begun."""
    with begin(tmp_path, 600.0) as run:

        def has_begun() -> bool:
            assert run.poll() is None
            return any((tmp_path / "seen").iterdir())

        wait_until(has_begun, 120)

        test_engines.clear(tmp_path / "tmp")
        assert list((tmp_path / "tmp").glob("renkei-tests*"))

        run.send_signal(number)
        run.wait(30)

    wait_until(lambda: not left_running(tmp_path), 20, every=0.05)

    test_engines.clear(tmp_path / "tmp")
    assert not list((tmp_path / "tmp").glob("renkei-tests*"))
