"""The systemd units that are shipped: what they start is there, and systemd has nothing to say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bus.cli.main import build
from bus.observe import metrics
from bus.settings import Settings
from tests.support import confined

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "run-in-production.md"
SERVICES = sorted(FOLDER.glob("*.service"))
PROGRAM = "/opt/renkei/.venv/bin/renkei"
EXPOSED_AT_MOST = 20
"""Of a hundred, as systemd counts it; a service without any of this has 96."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here"
)


def _said(unit: Path, name: str) -> list[str]:
    found: list[str] = re.findall(rf"^{name}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    return found


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_what_is_started_is_a_command_and_what_is_set_a_setting(unit: Path) -> None:
    (command,) = _said(unit, "ExecStart")
    program, *arguments = command.split()
    assert program == PROGRAM
    assert CliRunner().invoke(build(), [*arguments, "--help"]).exit_code == 0
    for line in _said(unit, "Environment"):
        for name in re.findall(r"RENKEI_(\w+)=", line):
            assert name == "SETTINGS" or name.lower() in Settings.model_fields


def test_the_howto_names_each_unit() -> None:
    text = HOWTO.read_text(encoding="utf-8")
    for unit in FOLDER.iterdir():
        assert unit.name in text
    declared = {each.name for each in metrics.DECLARED}
    assert set(re.findall(r"`(renkei_[a-z_]+)`", text)) <= declared


@needs_systemd
def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    """Neither of one of them nor of how they hang together."""
    units = []
    for unit in FOLDER.iterdir():
        name = unit.name.replace("@.", "@1.")
        text = unit.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
        (tmp_path / name).write_text(text, encoding="utf-8")
        units.append(str(tmp_path / name))
    arguments = ["systemd-analyze", "verify", "--man=no", *units]
    found = subprocess.run(arguments, capture_output=True, text=True, check=False)
    mine = [line for line in (found.stdout + found.stderr).splitlines() if "renkei" in line]
    assert mine == []


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_little_is_open_to_it(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name.replace("@.", "@1.")
    copy.write_text(unit.read_text(encoding="utf-8"), encoding="utf-8")
    arguments = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSED_AT_MOST}"]
    found = subprocess.run([*arguments, str(copy)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout.splitlines()[-1] if found.stdout else found.stderr


@pytest.mark.skipif(not confined.IS_KNOWN_HERE, reason="there is no libseccomp, or no systemd here")
def test_what_the_units_take_is_refused(tmp_path: Path) -> None:
    """By the filter under which ``test_crashes.py`` has the processes at work: it bites."""
    tries = """
import os, socket
acts = (lambda: os.nice(1), lambda: os.chown(".", 0, 0), lambda: socket.socket(socket.AF_NETLINK))
for act in acts:
    try:
        act()
    except PermissionError:
        print("refused")
print(open("/proc/self/status").read().count("NoNewPrivs:\\t1"), len(os.listdir("/")) > 0)
"""
    found = subprocess.run(
        [confined.python(tmp_path), "-c", tries], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["refused"] * 3 + ["1", "True"]
