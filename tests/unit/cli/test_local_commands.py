"""``renkei local``, ``settings`` and ``doctor`` where no engine runs: words, JSON, exit status."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner, Result

from bus.cli import doctor, local, settings
from bus.errors import BusError
from bus.local.endpoints import Endpoints
from bus.local.folder import Folder
from bus.operate.engines import Engines, StartStep

SECRET = "tr0ub4dor"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, named by the environment."""
    for name in ("RENKEI_SETTINGS", "RENKEI_KAFKA", "RENKEI_REGISTRY", "RENKEI_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RENKEI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: str) -> Result:
    """One command."""
    app = typer.Typer()
    for module in (local, settings, doctor):
        module.register(app)
    return CliRunner().invoke(app, arguments)


def test_status_of_nothing(home: Path) -> None:
    """Exit status 1: scripts wait for 0."""
    result = run("local", "status", "--json")

    status = json.loads(result.stdout)
    assert result.exit_code == 1
    assert status["up"] is False
    assert [engine["state"] for engine in status["engines"]] == ["down"] * 3
    assert "renkei local up" in run("local", "status").stderr
    assert not home.exists()


def test_down_of_nothing(home: Path) -> None:
    """Twice is the same as once."""
    result = run("local", "down")

    assert (result.exit_code, result.stdout.strip()) == (0, "nothing was running")
    assert json.loads(run("local", "down", "--json").stdout)["was_up"] is False


def test_up_says_where_the_engines_are_and_not_the_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For people and for programs; of the password, where it is."""

    class Stack:
        folder = Folder.at(home)

        def status(self) -> Any:
            return SimpleNamespace(is_up=False)

        def up(self, progress: object) -> Endpoints:
            uri = f"postgresql://renkei:{SECRET}@127.0.0.1:3/renkei"
            return Endpoints("127.0.0.1:1", "http://127.0.0.1:2", uri)

    monkeypatch.setattr(local, "engines_here", lambda _: Engines(cast("Any", Stack())))
    said, shown = run("local", "up", "--json"), run("local", "up")

    assert json.loads(said.stdout) == {
        "document": "engines-up/1",
        "kafka": "127.0.0.1:1",
        "registry": "http://127.0.0.1:2",
        "database": "postgresql://renkei@127.0.0.1:3/renkei",
        "password": str(Stack.folder.password),
        "was_up": False,
    }
    assert "postgresql://renkei@127.0.0.1:3/renkei" in shown.stdout
    assert SECRET not in said.output + shown.output
    assert isinstance(run("local", "up", "--json", "--foreground").exception, BusError)


def test_reset_asks_for_a_yes(home: Path) -> None:
    """It deletes everything but the fetched files."""
    where = Folder.at(home)
    where.make()
    (where.data / "kept").touch()
    (where.engines).mkdir()

    refused = run("local", "reset")
    assert isinstance(refused.exception, BusError)
    assert "--yes" in str(refused.exception)
    assert (where.data / "kept").exists()

    assert json.loads(run("local", "reset", "--yes", "--json").stdout) == {
        "document": "engines-reset/1",
        "deleted": str(home),
    }
    assert [path.name for path in home.iterdir()] == ["engines"]


def test_logs_show_the_last_lines(home: Path) -> None:
    """Of one engine, or of all with their names."""
    where = Folder.at(home)
    where.make()
    where.log("kafka").write_text("one\ntwo [x]\nthree\n", encoding="utf-8")

    assert run("local", "logs", "kafka", "-n", "2").stdout.splitlines() == ["two [x]", "three"]
    assert run("local", "logs", "-n", "1").stdout.split() == ["kafka", "three"]
    assert isinstance(run("local", "logs", "zookeeper").exception, BusError)


def test_settings_hide_secrets(home: Path) -> None:
    """Stars for URIs and for whatever a connector's options hold; the origin is named."""
    where = Folder.at(home)
    where.make()
    (where.run / "systems.yaml").write_text(
        f"systems: {{tax: {{options: {{uri: {SECRET}}}}}}}\noutboxes: {{register: {SECRET}}}\n",
        encoding="utf-8",
    )
    (where.run / "engines.yaml").write_text(
        f"database: {SECRET}\nregistry: https://me:{SECRET}@r.example/a\n", encoding="utf-8"
    )
    for file in where.run.iterdir():
        file.chmod(0o600)

    plain, as_json = run("settings", "show"), run("settings", "show", "--json")

    assert plain.exit_code == as_json.exit_code == 0
    assert SECRET not in plain.stdout + as_json.stdout
    shown = json.loads(as_json.stdout)
    assert shown["database"]["from"] == str(where.run / "engines.yaml")
    assert shown["systems"]["value"]["tax"]["options"] == {"uri": "**********"}
    assert shown["registry"]["value"] == "https://**********@r.example/a"
    assert shown["home"] == {"value": str(home), "from": "RENKEI_HOME"}


def test_doctor_lists_what_it_found(home: Path) -> None:
    """One document, each finding with its verdict; nothing fails on a fresh machine."""
    result = run("doctor", "--json")

    findings = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert findings["engine files"]["mend"] == "renkei local fetch"
    assert (result.exit_code == 1) == any(f["verdict"] == "fail" for f in findings.values())


def test_doctor_fails_when_something_does(home: Path) -> None:
    """And names the command that mends it."""
    where = Folder.at(home)
    where.make()
    where.ensure_password()
    where.password.chmod(0o644)

    result = run("doctor")

    assert result.exit_code == 1
    assert "chmod 600" in result.stdout


WITHOUT = """
import sys
sys.modules["psutil"] = None
import typer
from bus.cli import doctor, local, settings
from bus.errors import ConfigurationError
app = typer.Typer()
for module in (local, settings, doctor):
    module.register(app)
app(["settings", "show"], standalone_mode=False)
for command in (["local", "status"], ["doctor"]):
    try:
        app(command, standalone_mode=False)
    except ConfigurationError as error:
        print("refused:", error)
"""


@pytest.mark.slow
def test_without_the_packages_for_engines_the_rest_works(home: Path) -> None:
    """In production nobody installs them; the message says how."""
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=60
    )

    assert result.stdout.count("refused:") == result.stdout.count("renkei[local]") == 2


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_fetch_fits_eighty_columns(is_terminal: bool) -> None:
    """Bars with sizes on a terminal; a few plain lines elsewhere."""
    text = io.StringIO()
    console = Console(
        file=text, width=80, force_terminal=is_terminal, no_color=True, highlight=False
    )
    watch = local.StartScreen(console)

    watch.fetching(2, 200_000_000)
    watch.received("a-file-with-quite-a-long-name-1.2.3-all.tar.gz", 199_000_000, 1_000_000)
    watch.received("b.jar", 1_000_000, 1_000_000)
    watch.fetched()
    watch.step(StartStep("kafka: start", 2.5))

    shown = Text.from_ansi(text.getvalue()).plain
    assert "fetching 2 files, 200.0 MB" in shown
    assert "2.0/200.0 MB" in shown or not is_terminal
    assert "kafka     answers               2.5 s" in shown
    assert max(len(line) for line in re.split(r"[\r\n]", shown)) <= 80
