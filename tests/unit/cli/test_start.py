"""What a command waits for before it does anything: the libraries that it uses, and no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from bus import app
from bus.cli.main import COMMANDS, build
from tests.support.commands import whole

LIBRARIES = {
    "adbc_driver_manager", "aiokafka", "cryptography", "fastavro", "faust", "httpx", "psycopg",
    "prometheus_client", "pyarrow", "pydantic", "pyruhvro", "rich", "starlette", "structlog",
    "uvicorn", "yaml",
}  # fmt: skip
"""What takes a while to import."""

STARTED = """
import sys
from bus.cli.main import build
try:
    build()(sys.argv[1:])
finally:
    print("imported", *{name.partition(".")[0] for name in sys.modules})
"""

NEEDED = {
    "--version": set(),
    "--help": set(),
    "local --help": {"rich", "pydantic"},  # typer's own, for what parameters may be
    "settings --help": {"rich", "pydantic", "yaml", "pyarrow"},
}


@pytest.mark.parametrize("words", NEEDED)
def test_a_library_is_imported_by_who_uses_it(words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTED, *words.split()],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    _, _, imported = done.stdout.rpartition("imported")
    assert LIBRARIES & set(imported.split()) <= NEEDED[words]


def test_each_command_has_its_line() -> None:
    """What `renkei --help` says before any module is imported is what the module says."""
    said = typer.main.get_command(build()).commands  # type: ignore[attr-defined]
    for name, command in whole().commands.items():
        assert COMMANDS[name] == command.get_short_help_str(200), name
        assert said[name].get_short_help_str() == command.get_short_help_str(), name
        assert not command.hidden


def test_each_module_of_the_composition_root_is_found_by_its_name() -> None:
    folder = Path(app.__file__).parent
    for name in {file.stem for file in folder.glob("*.py")} - {"__init__"}:
        assert getattr(app, name).__name__ == f"bus.app.{name}"
    with pytest.raises(AttributeError):
        app.nothing  # noqa: B018
