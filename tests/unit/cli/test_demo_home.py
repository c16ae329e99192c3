"""What a demo that is kept leaves for the other commands, and how it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bus.local.folder import Folder

ROOT = Path(__file__).parents[3]


def test_the_engines_are_found_in_its_home(tmp_path: Path) -> None:
    """As if they lay there; nothing of them is copied, and deleting the home leaves them."""
    folder = Folder.at(tmp_path / "demo", tmp_path / "engines")
    (folder.engines / "maven").mkdir(parents=True)
    for _ in range(2):
        folder.share_engines()
    assert (Folder.at(folder.home).engines / "maven").is_dir()
    shutil.rmtree(folder.home)
    assert (folder.engines / "maven").is_dir()


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--keep"], "make demo KEEP=1"),
        (["demo", "-k"], "make demo KEEP=1"),
        (["demo", "KEEP=1"], "renkei demo --keep"),
        (["demo"], "renkei demo"),
        (["test", "-k"], "pytest"),
    ],
)
def test_make_s_own_flag_is_not_taken_for_ours(arguments: list[str], said: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    found = subprocess.run(
        ["make", "--dry-run", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    text = found.stdout + found.stderr
    assert said in text
    assert (found.returncode == 0) == ("KEEP=1" not in said)
