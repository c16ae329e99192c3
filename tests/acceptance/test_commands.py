"""The installed command, as a user has it: help, JSON, exit statuses, width, colour, the demo."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from bus.cli.main import build
from bus.sample.municipality import events
from tests.acceptance.installation import (
    DELIVER,
    MONITOR,
    RELAY,
    Installation,
    run_command,
)
from tests.support import engines as test_engines
from tests.support.commands import whole
from tests.support.waiting import wait_until

RENKEI = Path(sys.executable).with_name("renkei")
Completed = subprocess.CompletedProcess[str]
WIDTH = 80
NOWHERE = "127.0.0.1:9"
needs_engines = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.timeout(240),
]
SYSTEM = "child_allowance"
OF_RESIDENTS = {"family_moves", "birth", "death", "protected_person_moves", "correction"}
HELPS = [
    *([], ["demo"], ["publish"], ["deliver"], ["relay"], ["relay", "refused"], ["reach"]),
    *(["monitor"], ["parked"], ["schemas"], ["subscriptions"], ["topics"], ["local"]),
    *(["provisions"], ["ledger"], ["erase"]),
    *(["settings"], ["status"], ["throughput"], ["doctor"], ["bench"], ["streams"], ["systems"]),
    *(["docs"], ["docs", "build"]),
]
ASKED = {  # what has --json and changes nothing -> its exit status
    "status": 0,
    "throughput": 0,
    "parked list": 0,
    "relay status": 0,
    "relay refused list resident_registry": 0,
    "schemas check": 0,
    "schemas push --dry-run": 0,
    "schemas list": 0,
    "schemas show resident": 0,
    "subscriptions check": 0,
    "subscriptions list": 0,
    f"subscriptions show {SYSTEM}": 0,
    "systems list": 0,
    f"systems show {SYSTEM}": 0,
    "topics list": 0,
    "topics apply --dry-run": 0,
    "local status": 0,
    "settings show": 0,
    "provisions by child_allowance": 0,
    "ledger verify": 0,
    "ledger anchor": 0,
    "ledger prune --dry-run": 0,
    "reach show CHANGE": 0,
    "reach show 01900000-0000-7000-8000-000000000000": 64,
}


def renkei(
    *arguments: str,
    home: Path,
    program: Path = RENKEI,
    within: float = 60.0,
    **environment: Any,
) -> Completed:
    """Run the installed command to its end, piped."""
    return run_command(
        [program, *arguments], {"RENKEI_HOME": str(home), **environment}, within=within
    )


def at(place: Installation, *arguments: str, **environment: Any) -> Completed:
    """The same at a town, by the command that is imported already."""
    program = place.programs / RENKEI.name
    return renkei(*arguments, home=place.home, program=program, **environment)


def at_once(*asked: Callable[[], Completed]) -> list[Completed]:
    """What each says; all are asked at the same time."""
    with ThreadPoolExecutor(len(asked)) as pool:
        return [each.result() for each in [pool.submit(ask) for ask in asked]]


def too_wide(text: str) -> list[str]:
    """Lines above 80 columns; a full-width character takes two."""
    return [
        line
        for line in text.splitlines()
        if sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line) > WIDTH
    ]


@pytest.fixture(scope="module")
def town(installation: Installation) -> Iterator[tuple[Installation, str]]:
    """A small town at work, and the id of a change that has arrived everywhere."""
    installation.build(100, 20_260_403)
    installation.ensure(RELAY, DELIVER, MONITOR)
    installation.load()
    change = installation.enter(events.birth)
    installation.quiet()
    yield installation, str(change.change_id)
    installation.stop_all()


@pytest.mark.slow
@pytest.mark.parametrize("group", HELPS, ids=lambda words: " ".join(words) or "renkei")
def test_help(group: list[str], programs: Path, tmp_path: Path) -> None:
    """Every command and group of the first level says what it is, in 80 columns, piped.

    The first is the installed one; the others are imported already.
    """
    program = programs / RENKEI.name if group else RENKEI
    said = renkei(*group, "--help", home=tmp_path, program=program)

    assert said.returncode == 0, said.stderr
    assert "Usage: renkei" in said.stdout
    assert "\x1b" not in said.stdout + said.stderr
    assert too_wide(said.stdout) == []
    assert list(tmp_path.iterdir()) == []


def test_every_command_has_help() -> None:
    """Down to the last one: it answers ``--help``, and none is without a sentence."""

    def below(command: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
        yield words, command
        for name, each in getattr(command, "commands", {}).items():
            yield from below(each, [*words, name])

    app = build()
    found = list(below(whole(), []))
    for words, command in found:
        assert command.help, words
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0, words
    assert len(found) > 35


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("nonsense", 2),
        ("publish", 2),
        ("status", 78),  # nothing is set, nothing runs
        ("deliver", 78),
        ("relay run", 78),
        ("publish /no/such/file", 78),
        ("subscriptions show nobody", 64),  # what is named is looked up first
        ("schemas show nothing", 64),
        ("local status", 1),
    ],
)
def test_exit_status_without_engines(
    arguments: str, status: int, programs: Path, tmp_path: Path
) -> None:
    """What cannot work says so in one line on stderr and ends with the status for its kind."""
    said = renkei(*arguments.split(), home=tmp_path, program=programs / RENKEI.name)

    assert said.returncode == status, said.stdout + said.stderr
    assert said.stderr.strip()
    assert "Traceback" not in said.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", ["status", "topics list", "schemas push", "parked list", "throughput"]
)
def test_exit_status_when_nobody_answers(arguments: str, programs: Path, tmp_path: Path) -> None:
    """75: something did not answer; the same command may work later."""
    away: dict[str, Any] = {
        "RENKEI_KAFKA": NOWHERE,
        "RENKEI_REGISTRY": f"http://{NOWHERE}",
        "RENKEI_DATABASE": f"postgresql://nobody:secret@{NOWHERE}/none",
    }
    program = programs / RENKEI.name
    said = renkei(*arguments.split(), home=tmp_path, program=program, **away)

    assert said.returncode == 75, said.stdout + said.stderr
    assert "Traceback" not in said.stderr
    assert "secret" not in said.stdout + said.stderr


class TestOnEngines:
    """Commands that ask a town at work."""

    pytestmark = needs_engines

    @pytest.mark.parametrize(("arguments", "status"), ASKED.items(), ids=ASKED)
    def test_asked(self, arguments: str, status: int, town: tuple[Installation, str]) -> None:
        """JSON that parses and stands alone on stdout; for people 80 columns without colour."""
        place, change_id = town
        words = arguments.replace("CHANGE", change_id).split()
        as_json, for_people = at_once(
            lambda: at(place, *words, "--json"), lambda: at(place, *words, NO_COLOR="1")
        )

        assert as_json.returncode == for_people.returncode == status, as_json.stderr
        assert isinstance(json.loads(as_json.stdout), dict | list)
        assert for_people.stdout.strip()
        assert "\x1b" not in as_json.stdout + for_people.stdout + for_people.stderr
        assert too_wide(for_people.stdout) == []

    def test_a_change_that_nobody_knows(self, town: tuple[Installation, str]) -> None:
        """Why it exits 64 is on stderr, whether asked by a person or a machine."""
        change_id = "01900000-0000-7000-8000-000000000000"
        words = ("reach", "show", change_id)
        for said in at_once(lambda: at(town[0], *words), lambda: at(town[0], *words, "--json")):
            assert said.returncode == 64, said.stdout + said.stderr
            assert said.stderr.startswith("error: [RK-120] the ledger has no event of this change")
            assert f"(change_id={change_id})" in said.stderr

    def test_doctor(self, town: tuple[Installation, str]) -> None:
        """Says what it looked at, also as JSON; its status says whether something fails."""
        said = at(town[0], "doctor", "--json")
        findings = json.loads(said.stdout)

        assert {finding["verdict"] for finding in findings} <= {"ok", "warn", "fail"}
        assert said.returncode == any(finding["verdict"] == "fail" for finding in findings)

    def test_somebody_says_that_delivery_is_dead(self, town: tuple[Installation, str]) -> None:
        """Each who should run and does not is named by who is asked, a database that is away too;
        when they run again, nobody is."""
        place, _ = town
        watched = {"RENKEI_MONITOR_PORT": str(place.ports[MONITOR])}

        def doctor() -> dict[str, dict[str, str]]:
            found = json.loads(
                place.renkei("doctor", "--json", expect=None, environment=watched).stdout
            )
            return {finding["name"]: finding for finding in found}

        well = doctor()
        processes = [place.processes[name] for name in (DELIVER, RELAY, MONITOR)]
        for name, process in zip(("deliver", "relay", "monitor"), processes, strict=True):
            assert well[name]["verdict"] == "ok"
            assert f":{process.pid} since 20" in well[name]["says"]
        assert well["databases"]["verdict"] == "ok"
        for process in processes:
            process.kill()
        wait_until(
            lambda: (
                {doctor()[name]["verdict"] for name in ("deliver", "relay", "monitor")} == {"fail"}
            ),
            120,
        )
        change = place.enter(events.birth)
        asked = ("doctor", "status", "lanes show", f"reach show {change.change_id}")
        *said, lanes = at_once(
            *(partial(place.renkei, *words.split(), expect=None) for words in asked),
            partial(place.renkei, "lanes", "show", "--json"),
        )
        shown, as_json = dict(zip(asked, said, strict=True)), json.loads(lanes.stdout)

        assert shown["doctor"].returncode == 1
        assert f"nobody delivers to {SYSTEM}" in shown["status"].stdout
        assert (
            "nobody sends what waits in the source of resident_registry" in shown["status"].stdout
        )
        assert f"nobody delivers to {SYSTEM}" in shown["lanes show"].stdout
        assert "nobody delivers to ledger" in shown["lanes show"].stdout
        assert {"system": SYSTEM, "state": "unhosted"}.items() <= next(
            one for one in as_json if one["system"] == SYSTEM
        ).items()
        assert "nobody delivers to it" in shown[f"reach show {change.change_id}"].stdout
        place.ensure(RELAY, DELIVER, MONITOR)
        place.quiet()
        assert "nobody" not in place.renkei("status").stdout

    def test_publish_refuses_a_line(self, town: tuple[Installation, str], tmp_path: Path) -> None:
        """65, the line's number, the others published; again, and nothing changes."""
        place, _ = town
        good = events.moves_in(place.people, datetime.now(UTC)).model_dump_json()
        file = tmp_path / "changes.jsonl"
        file.write_text(f"{good}\n{{half a line\n", encoding="utf-8")
        first = at(place, "publish", str(file), "--json")
        again = at(place, "publish", str(file))

        assert (first.returncode, again.returncode) == (65, 65)
        assert json.loads(first.stdout)
        assert "line 2" in again.stderr
        assert too_wide(again.stdout) == []

    def test_deliver_once_and_terminated(self, town: tuple[Installation, str]) -> None:
        """``--once`` ends by itself with 0, SIGTERM ends a delivery with 0 within 10 s."""
        place, _ = town
        place.stop(DELIVER)
        once = at(place, "deliver", "--once", "--system", SYSTEM)
        process = place.start(DELIVER, "deliver that is terminated")
        wait_until(lambda: process.log.read_bytes().count(b"lane-open") > 10, 60)
        begun = datetime.now(UTC)

        assert once.returncode == 0, once.stderr
        assert process.stop() == 0
        assert (datetime.now(UTC) - begun).total_seconds() < 10


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.timeout(480)
def test_demo(tmp_path: Path) -> None:
    """One object on stdout, every change wherever it must be, and nothing left running.

    Every system of the purpose register received and published, each proved by its own database.
    """
    shared = test_engines.stack(tmp_path).folder.engines
    home = tmp_path / "home"
    home.mkdir()
    (home / "engines").symlink_to(shared)
    said = renkei("demo", "--population", "1000", "--json", home=home, within=420.0)

    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["population"] == 1_000
    assert found["first_load"]["deliveries"] >= 16 * 1_000
    assert len(found["changes"]) >= 25
    for change in found["changes"]:
        assert change["expected"] == change["applied"] == change["ledger_applied"] > 0, change
        assert change["kind"] not in OF_RESIDENTS or change["expected"] >= 16, change
        assert 0 < change["slowest_ms"] < 60_000
    listed = json.loads(renkei("systems", "list", "--json", home=home).stdout)
    standard = [each for each in listed if each["kind"] == "standard"]
    seventeen = sorted(each["system"] for each in standard)
    assert len(seventeen) == 17
    assert all(each["receives"] and each["provides"] for each in standard)
    assert [each["system"] for each in found["received"]] == seventeen
    assert [each["system"] for each in found["provided"]] == seventeen
    assert all(each["rows"] > 0 for each in found["received"])
    assert all(each["sent"] > 0 and each["rows_elsewhere"] > 0 for each in found["provided"])
    assert "\x1b" not in said.stderr
    assert too_wide(said.stderr) == []
    assert [p.info["pid"] for p in psutil.process_iter(["pid", "cmdline"]) if names(p, home)] == []


def names(process: psutil.Process, home: Path) -> bool:
    """Whether a process was started for this folder."""
    return any(str(home) in word for word in process.info["cmdline"] or ())
