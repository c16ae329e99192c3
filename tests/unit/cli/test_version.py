"""Which release this is, said the same everywhere; and commands that a shell completes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bus.cli.main import build

ROOT = Path(__file__).parents[3]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
RENKEI = Path(sys.executable).with_name("renkei")


def test_the_version_is_said() -> None:
    """The installed distribution's: that of pyproject.toml."""
    said = CliRunner().invoke(build(), ["--version"])

    assert said.exit_code == 0
    assert said.stdout == f"renkei {VERSION}\n"


def test_the_changelog_has_this_release() -> None:
    """Its newest release is this one, with a date; what comes after it is collected above."""
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert heads[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(VERSION)} — \d{{4}}-\d\d-\d\d", heads[1])


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes(shell: str) -> None:
    """The script that is installed asks the program, and the program answers."""
    words = {"COMP_WORDS": "renkei la", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "renkei la"}
    asked = {"_RENKEI_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}

    said = subprocess.run(
        [RENKEI],
        env={**os.environ, **words, **asked},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "lanes" in said.stdout
    assert "ledger" not in said.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "offered"), [("lanes pa", "pause"), ("ledger anchor --re", "--reason")]
)
def test_what_is_below_a_command_is_completed_too(typed: str, offered: str) -> None:
    """Its module is imported for it."""
    words = f"renkei {typed}"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}

    said = subprocess.run(
        [RENKEI],
        env={**os.environ, **asked, "_RENKEI_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert said.stdout.split() == [offered]
