"""What a command writes and leaves behind is for its user alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import resource, sys
from pathlib import Path
from bus.cli.main import keep_to_ourselves
Path("before").touch()
keep_to_ourselves()
Path("after").touch()
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_files_are_for_their_owner_and_no_core_is_dumped(tmp_path: Path) -> None:
    """A report, a picture, a socket, whatever library writes it."""
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.umask(0o022); os.chdir({str(tmp_path)!r}){SCRIPT}"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert done.stdout.strip() == "(0, 0)"
    assert (tmp_path / "before").stat().st_mode & 0o077 == 0o044
    assert (tmp_path / "after").stat().st_mode & 0o077 == 0


def test_every_command_begins_so() -> None:
    """Before it does anything else."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "0o77 (0, 0)"


PROBE = """
import os, resource, sys
import bus.cli.main as main
def probe():
    def run(**_):
        before = os.umask(0)
        print(oct(before), resource.getrlimit(resource.RLIMIT_CORE))
    return run
main.build = probe
os.umask(0o022)
main.main()
"""
