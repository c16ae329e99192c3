"""A stack bound to a command or a block: it stays until that ends, and then stops whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from bus.local.stack import DOWN_SECONDS
from tests.support.engines import stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.service, pytest.mark.slow]

COMMAND = """
import typer
from bus.cli import local
app = typer.Typer()
local.register(app)
app(["local", "up", "--foreground"])
"""


def test_a_stack_of_a_block_ends_with_it(tmp_path: Path) -> None:
    """Also when the block fails."""
    own = stack(tmp_path)

    with suppress(ZeroDivisionError), own.running() as endpoints:
        with psycopg.connect(endpoints.database) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        _ = 1 / 0

    assert own.leftovers() == []
    assert own.endpoints() is None


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    """Within fifteen seconds, with exit status 0; progress is on stderr, and nothing is left."""
    shared = stack(tmp_path)
    (tmp_path / "engines").symlink_to(shared.folder.engines)
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        env=os.environ | {"RENKEI_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:

        def is_up() -> bool:
            assert process.poll() is None, process.communicate()
            return shared.status().is_up

        wait_until(is_up, 120)
        begun = time.monotonic()

        process.send_signal(signal.SIGINT)
        output, progress = process.communicate(timeout=30)

    assert process.returncode == 0
    assert time.monotonic() - begun < DOWN_SECONDS
    assert output == ""
    assert "registry  answers" in progress
    assert shared.leftovers() == []
    assert shared.endpoints() is None
