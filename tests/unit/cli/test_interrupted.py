"""Ctrl-C at any moment, and a second demo while one has yet to clear up: a word, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bus.cli.demo import alone
from bus.errors import DataFolderInUse

INTERRUPTED_WHILE_IT_IS_BUILT = """
import bus.cli.main as main
def build():
    raise KeyboardInterrupt
main.build = build
main.main()
"""


@pytest.mark.slow
def test_ctrl_c_is_no_traceback() -> None:
    """Also before the command itself has begun."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IT_IS_BUILT],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_one_demo_at_a_time(tmp_path: Path) -> None:
    """One that ends deletes its folder: another that began meanwhile would lose its own."""
    home = tmp_path / "renkei" / "demo"
    with alone(home):
        with pytest.raises(DataFolderInUse, match="just ending"), alone(home):
            pytest.fail("two demos in one folder")
    with alone(home):
        assert not home.exists()
