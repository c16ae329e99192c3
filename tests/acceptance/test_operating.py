"""An operator's commands, on an installation that delivers in two processes: pause, restart, go
on; and a lane that stopped at an event of another schema."""

from __future__ import annotations

import json
import re
import shlex
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.acceptance.installation import Installation
from tests.support.changes import MUNICIPALITY, body, change, record
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.xdist_group("acceptance"),
    pytest.mark.timeout(280),
]
PAUSED, OTHER, LEDGER = "child_allowance", "public_assistance", "ledger"
COMMAND = f"deliver --system {PAUSED} --system {OTHER} --system {LEDGER}"
PROCESSES = ("deliver-one", "deliver-two")
PEOPLE = range(1, 31)
REASON = "T-4711 一時停止"
TOPIC = "linkage.resident"
HOWTO = Path(__file__).parents[2] / "docs" / "howto"


@pytest.fixture(scope="module")
def town(installation: Installation) -> Iterator[Installation]:
    """Everybody's first version is in both systems; the two processes share the lanes."""
    installation.build(20, 20_260_404)
    for name in PROCESSES:
        installation.start(COMMAND, name)
    publish(installation, version=1)
    wait_until(lambda: has_version(installation, PAUSED, 1), 60)
    wait_until(lambda: has_version(installation, OTHER, 1), 60)
    wait_until(lambda: lanes(installation, "running") == 8, 30)
    yield installation
    installation.stop_all()


def subject(number: int) -> str:
    """A 宛名番号 of this module; its wrong check digit is a warning."""
    return f"{number:015d}"


def change_id(version: int, number: int) -> str:
    """The change that brings somebody's version."""
    return f"019d3f00-0000-7000-8000-{version:06d}{number:06d}"


def publish(town: Installation, *, version: int, expect: int = 0) -> str:
    """Everybody's next version, from a file; what is said about it on stderr."""
    lines = [
        json.dumps(
            change(
                record(subject_id=subject(number), version=version, body=body("resident")),
                change_id=change_id(version, number),
            ),
            ensure_ascii=False,
        )
        for number in PEOPLE
    ]
    file = town.home / f"operating-{version}.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return town.renkei("publish", str(file), expect=expect).stderr


def has_version(town: Installation, system: str, version: int) -> bool:
    """Whether everybody is there in this version."""
    return town.versions(system) == {subject(number): version for number in PEOPLE}


def lanes(town: Installation, status: str) -> int:
    """How many lanes of the two systems' residents are so, over all processes that answer."""
    wanted = [f'stream="resident",system="{system}"' for system in (PAUSED, OTHER)]
    found = 0.0
    for port in town.ports.values():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
        except urllib.error.URLError:
            continue  # it is about to start
        for line in lines:
            if line.startswith("renkei_deliver_lanes{") and f'status="{status}"' in line:
                found += float(line.rsplit(" ", 1)[1]) if any(w in line for w in wanted) else 0
    return int(found)


def asked(town: Installation, *arguments: str, expect: int | None = 0) -> Any:
    """What a command says as JSON."""
    return json.loads(town.renkei(*arguments, "--json", expect=expect).stdout)


def standing(town: Installation) -> list[dict[str, Any]]:
    """What stands in the systems that are delivered to; nobody delivers to the others, and that
    is said of each of them."""
    said = asked(town, "lanes", "show")
    unhosted = [row["system"] for row in said if row["state"] == "unhosted"]
    assert unhosted == sorted(set(town.town.systems) - {PAUSED, OTHER})
    return [row for row in said if row["state"] != "unhosted"]


def reach(town: Installation, change: str) -> dict[str, dict[str, Any]]:
    """How a change stands in each system."""
    said = asked(town, "reach", "show", change, expect=None)
    return {system["system"]: system for system in said["systems"]}


def until(is_so: Callable[[dict[str, dict[str, Any]]], bool], town: Installation, at: str) -> Any:
    """Reach, once it is so."""
    found: dict[str, dict[str, Any]] = {}

    def look() -> bool:
        found.update(reach(town, at))
        return is_so(found)

    wait_until(look, 60)
    return found


def test_a_pause_holds_over_a_restart(town: Installation) -> None:
    """Both processes stand within seconds; who, when and why is told; then nothing is missing."""
    would = asked(town, "lanes", "pause", PAUSED, "resident", "--reason", REASON, "--dry-run")
    town.renkei("lanes", "pause", PAUSED, "resident", "--reason", REASON, "--by", "ops1")
    wait_until(lambda: lanes(town, "paused") == 4, 5)
    publish(town, version=2)
    wait_until(lambda: has_version(town, OTHER, 2), 30)
    last = change_id(2, PEOPLE[-1])
    found = until(lambda r: r[OTHER]["state"] == "applied", town, last)
    (paused,) = standing(town)
    status = town.renkei("status").stdout

    assert [o["stream"] for o in would] == ["resident"]
    assert lanes(town, "paused") == 4  # the dry run and the rest changed nothing else
    assert has_version(town, PAUSED, 1)
    assert found[PAUSED]["state"] == "paused"
    said = found[PAUSED]["operation"]
    assert (said["operator"], said["reason"]) == ("ops1", REASON)
    assert paused == {"document": "operation/1", **said}
    assert f"{PAUSED}/resident paused" in status
    assert REASON not in status

    town.stop(*PROCESSES)
    for name in PROCESSES:
        town.start(COMMAND, name)
    wait_until(lambda: lanes(town, "paused") == 4, 30)
    assert has_version(town, PAUSED, 1)
    town.renkei("lanes", "resume", PAUSED)
    wait_until(lambda: has_version(town, PAUSED, 2), 30)
    assert until(lambda r: r[PAUSED]["state"] == "applied", town, last)[PAUSED]["operation"] is None
    assert standing(town) == []
    logs = "".join(process.log.read_text("utf-8") for process in town.processes.values())
    assert "lane-paused" in logs
    assert "T-4711" not in logs


def test_a_lane_goes_past_an_event_of_another_schema(town: Installation) -> None:
    """It stops and says at which event; set aside unread, everything else goes on."""
    partition, value = foreign(town)
    producer = Producer({"bootstrap.servers": town.engines.kafka})
    key = f"{MUNICIPALITY}/{subject(PEOPLE[0])}"
    producer.produce(TOPIC, value, key, partition)
    assert producer.flush(20) == 0
    wait_until(lambda: len(stopped(town)) == 3, 30)
    assert "RK-205" in publish(town, version=3, expect=65)
    last = change_id(3, PEOPLE[0])
    lane = stopped(town)

    assert {o["system"] for o in lane} == {PAUSED, OTHER, LEDGER}
    assert {(o["partition"], o["code"]) for o in lane} == {(partition, "RK-205")}
    (offset,) = {o["offset"] for o in lane}
    said = {"3 1234": f"{partition} {offset}", "T-4711": "T-1"}
    preview, skip = said_by("set-one-event-aside.md", "parked skip", said)
    would = town.renkei(*preview).stdout
    town.renkei(*skip)
    publish(town, version=3)
    newest = {subject(n): 3 for n in PEOPLE} | {subject(PEOPLE[0]): 2}
    for system in (PAUSED, OTHER):
        wait_until(lambda s=system: town.versions(s) == newest, 30)
    assert found_states(town, last) == {"waiting"}

    key = f"{MUNICIPALITY}/{subject(PEOPLE[0])}"
    (dismiss,) = said_by("set-one-event-aside.md", "parked dismiss", said | {"SUBJECT": key})
    town.renkei(*dismiss)
    for system in (PAUSED, OTHER):
        wait_until(lambda s=system: has_version(town, s, 3), 30)
    wait_until(lambda: found_states(town, last) == {"applied"}, 30)
    assert standing(town) == []
    assert key in would
    receiving = len(
        asked(town, "parked", "skip", *skip[2:5], "--reason", "T", "--dry-run")["systems"]
    )
    assert f"set aside for {receiving}, resumed for 3, closed for 0" in would


def test_a_stream_with_an_event_set_aside_is_rebuilt(town: Installation) -> None:
    """Everybody has what they had; what was cut off before is taken away, as the page says."""
    from_page = said_by("set-one-event-aside.md", "rebuild", {"child_allowance": PAUSED})
    preview, discard = from_page
    killed = {"RENKEI_KILL_AT": "rebuild-filled"}
    town.renkei("rebuild", PAUSED, "resident", environment=killed, expect=None)
    would = town.renkei(*preview).stdout
    town.renkei(*discard)
    again = asked(town, *discard, "--dry-run")
    done = asked(town, "rebuild", PAUSED, "resident")

    assert "would discard" in would
    assert f"{len(PEOPLE)} rows" in would
    assert again == []
    assert [(d["removed"], d["added"], d["kept"]) for d in done] == [(0, 0, 0)]
    assert has_version(town, PAUSED, 3)
    assert asked(town, "parked", "list") == []


def test_what_the_ledger_does_not_know(town: Installation) -> None:
    """A change and a number that are well written, and nobody's: no empty answer, exit 64."""
    change = town.renkei("reach", "show", "019d3f00-0000-7000-8000-00000000dead", expect=64)
    number = town.renkei("provisions", "of", "131016/999999999999993", expect=64)

    assert "error: [RK-120] the ledger has no event of this change" in change.stderr
    assert "error: [RK-120] the ledger knows no event of this number" in number.stderr
    assert "9999" not in number.stderr


def said_by(page: str, command: str, words: dict[str, str]) -> list[list[str]]:
    """The commands of a page's shell blocks that begin so, with *words* in the place of others."""
    text = (HOWTO / page).read_text(encoding="utf-8")
    found = []
    for line in re.findall(rf"^ *renkei ({command} .*)$", text, re.MULTILINE):
        for word, own in words.items():
            line = line.replace(word, own)
        found.append(shlex.split(line))
    return found


def stopped(town: Installation) -> list[dict[str, Any]]:
    return [o for o in asked(town, "lanes", "show") if o["state"] == "stopped"]


def found_states(town: Installation, change: str) -> set[str]:
    found = reach(town, change)
    return {found[system]["state"] for system in (PAUSED, OTHER)}


def foreign(town: Installation) -> tuple[int, bytes]:
    """Where the first person's events are, and an event of the stream of receipts."""
    (partition,) = {
        message.partition()
        for message in town.log(TOPIC)
        if message.key().decode().endswith(subject(PEOPLE[0]))
    }
    value = town.log("linkage.receipt")[-1].value()
    return partition, value
