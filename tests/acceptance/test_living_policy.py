"""A policy that changes while two processes deliver: what is lost is gone, what is gained is
filled by a rebuild, and neither loses anything of anybody, wherever a process is killed."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.acceptance.installation import SUBSCRIPTIONS, Installation
from tests.support.changes import body, change, record
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.xdist_group("acceptance"),
    pytest.mark.timeout(280),
]
SYSTEM, OTHER, LEDGER = "child_allowance", "public_assistance", "ledger"
COMMAND = f"deliver --system {SYSTEM} --system {OTHER} --system {LEDGER}"
PROCESSES = ("deliver-one", "deliver-two")
PEOPLE = range(1, 301)
NARROW = ["name.full", "protected"]
WIDE = ["name.full", "household_number", "address", "protected"]
KILLED_AT = (
    "lane-viewed",
    "sink-moved",
    "sink-written",
    "sink-committed",
    "lane-receipted",
    "rebuild-filled",
    "sink-merged",
)
"""Before the staging table is in place."""


@pytest.fixture(scope="module")
def town(installation: Installation) -> Iterator[Installation]:
    """Everybody's first version is in both systems; the two processes share the lanes."""
    installation.build(20, 20_260_405)
    for name in PROCESSES:
        installation.start(COMMAND, name)
    publish(installation, version=1)
    for system in (SYSTEM, OTHER):
        wait_until(lambda s=system: has_version(installation, s, 1), 90)  # type: ignore[misc]
    yield installation
    installation.stop_all()


def publish(town: Installation, *, version: int) -> None:
    """Everybody's next version, from a file."""
    lines = [
        json.dumps(
            change(
                record(
                    subject_id=f"{number:015d}",
                    version=version,
                    body=body("resident", address__town=f"town {version}"),
                ),
                change_id=f"019d3f00-0000-7000-8000-{version:06d}{number:06d}",
            ),
            ensure_ascii=False,
        )
        for number in PEOPLE
    ]
    file = town.home / "tmp" / f"living-{version}.jsonl"
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines), encoding="utf-8")
    town.renkei("publish", str(file))


def has_version(town: Installation, system: str, version: int) -> bool:
    """Whether everybody is there, in this version."""
    return set(town.versions(system).values()) == {version} and (
        len(town.versions(system)) == len(PEOPLE)
    )


def ask(town: Installation, statement: str, system: str = SYSTEM) -> list[tuple[Any, ...]]:
    """What a system's own database says."""
    with psycopg.connect(town.town.systems[system]) as connection:
        return connection.execute(statement).fetchall()


def towns(town: Installation, system: str = SYSTEM) -> int:
    """How many rows say in which part of the town somebody lives."""
    try:
        ((found,),) = ask(town, "SELECT count(address_town) FROM linkage.resident", system)
    except psycopg.errors.UndefinedColumn:
        return 0
    return int(found)


def text(town: Installation, change: Callable[[dict[str, Any]], None]) -> Path:
    """A subscription of SYSTEM in a file of its own."""
    content = yaml.safe_load((SUBSCRIPTIONS / f"{SYSTEM}.yaml").read_text(encoding="utf-8"))
    change(content["streams"])
    file = town.home / "tmp" / f"{SYSTEM}.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return file


def fields(*names: str) -> Callable[[dict[str, Any]], None]:
    """A change of the items of residents, with all masks gone."""

    def change(streams: dict[str, Any]) -> None:
        streams["resident"] |= {"fields": list(names), "masks": {}}

    return change


def asked(town: Installation, *arguments: str) -> Any:
    """What a command says as JSON."""
    return json.loads(town.renkei(*arguments, "--json").stdout)


def test_a_lost_column_is_gone_and_a_gained_one_is_filled(town: Installation) -> None:
    """Said beforehand in words and numbers; nothing happens until it is applied; others keep
    what is theirs; a rebuild fills what came back."""
    file = str(text(town, fields(*NARROW)))
    assert towns(town) == len(PEOPLE)
    (simulated, *_) = [
        each
        for each in asked(town, "subscriptions", "simulate", file)
        if each["stream"] == "resident"
    ]
    would = asked(town, "subscriptions", "apply", file, "--dry-run")
    assert towns(town) == len(PEOPLE)

    applied = asked(town, "subscriptions", "apply", file, "--yes", "--by", "officer1")
    wait_until(lambda: towns(town) == 0, 20)
    others = towns(town, OTHER)
    publish(town, version=2)
    wait_until(lambda: has_version(town, SYSTEM, 2), 60)

    assert (simulated["rows"], simulated["touched"]) == (len(PEOPLE), len(PEOPLE))
    assert simulated["columns"]["address_town"] == {"gained": 0, "lost": len(PEOPLE)}
    assert (would["is_dry"], would["applied"]) == (True, [])
    assert applied["applied"] == [{"system": SYSTEM, "edition": 1}]
    assert "address_town" in [n for each in applied["changes"] for n in each["removes"]]
    assert others == len(PEOPLE)
    assert towns(town) == 0

    file = str(text(town, fields(*WIDE)))
    applied = asked(town, "subscriptions", "apply", file, "--yes", "--by", "officer2")
    assert applied["rebuild"] == [{"system": SYSTEM, "stream": "resident"}]
    would = asked(town, "rebuild", SYSTEM, "resident", "--dry-run")
    (done,) = asked(town, "rebuild", SYSTEM, "resident")

    assert would[0]["events"] == 2 * len(PEOPLE)
    assert done["edition"] == 2
    assert (done["changed"], done["added"], done["removed"]) == (len(PEOPLE), 0, 0)
    assert towns(town) == len(PEOPLE)
    publish(town, version=3)
    wait_until(lambda: has_version(town, SYSTEM, 3), 60)
    assert towns(town) == len(PEOPLE)


def test_what_was_applied_is_on_record(town: Installation) -> None:
    """Who put what in force, and when: every edition is in the ledger."""

    def editions() -> list[tuple[Any, ...]]:
        with psycopg.connect(town.town.ledger) as connection:
            return connection.execute(
                "SELECT sequence, applied_by, text LIKE '%%name.full%%'"
                " FROM ledger.event_subscription WHERE system = %s ORDER BY 1",
                (SYSTEM,),
            ).fetchall()

    wait_until(lambda: len(editions()) >= 2, 30)
    assert editions()[:2] == [(1, "officer1", True), (2, "officer2", True)]


def test_a_rebuild_that_is_killed_is_taken_up_again(town: Installation) -> None:
    """At many moments: the table in use is never half of anything, and lanes go on."""
    sequence = apply(town, fields(*NARROW))
    wait_until(lambda: towns(town) == 0, 20)
    apply(town, fields(*WIDE))
    version = max(town.versions(SYSTEM).values())
    for at in KILLED_AT:
        killed = rebuild(town, at)
        assert killed.returncode == -signal.SIGKILL, at
        assert towns(town) == 0, at
        assert has_version(town, SYSTEM, version), at
        wait_until(lambda: nobody_rebuilds(town), 30)
    killed = rebuild(town, "rebuild-swapped")
    assert killed.returncode == -signal.SIGKILL
    assert towns(town) == len(PEOPLE)
    publish(town, version=version + 1)
    wait_until(lambda: has_version(town, SYSTEM, version + 1), 60)
    assert ask(town, "SELECT count(*) FROM linkage.renkei_view WHERE stream LIKE '%fresh'") == [
        (0,)
    ]
    assert sequence >= 1


def test_two_rebuilds_at_once(town: Installation) -> None:
    """One of them is refused, or comes when the other is done; never both together."""
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: rebuild(town, None), range(2)))

    codes = sorted(each.returncode for each in both)
    assert codes in ([0, 0], [0, 70])
    assert towns(town) == len(PEOPLE)


def test_what_cannot_be_in_force_is_not_applied(town: Installation) -> None:
    """With every fault, and nothing has changed."""

    def unknown(streams: dict[str, Any]) -> None:
        streams["resident"]["fields"].append("shoe_size")

    before = towns(town)
    refused = town.renkei("subscriptions", "apply", str(text(town, unknown)), "--yes", expect=78)
    nothing = town.renkei("rebuild", "nobody", expect=64)

    assert "RK-101" in refused.stderr
    assert "shoe_size" in refused.stderr
    assert "RK-120" in nothing.stderr
    assert "there is no such system" in nothing.stderr
    assert towns(town) == before


def test_a_stream_that_is_withdrawn_leaves_nothing(town: Installation) -> None:
    """Of it; all else stays. Granted again, it comes back by itself."""

    def rows() -> int:
        ((found,),) = ask(town, "SELECT count(*) FROM linkage.resident")
        return int(found)

    def without(streams: dict[str, Any]) -> None:
        del streams["resident"]

    version = max(town.versions(SYSTEM).values())
    apply(town, without)
    wait_until(lambda: rows() == 0, 30)
    assert len(town.versions(OTHER)) == len(PEOPLE)
    apply(town, lambda _: None)
    wait_until(lambda: has_version(town, SYSTEM, version), 60)


def apply(town: Installation, change: Callable[[dict[str, Any]], None]) -> int:
    """Put a subscription in force; which edition it is."""
    said = asked(town, "subscriptions", "apply", str(text(town, change)), "--yes")
    ((applied),) = said["applied"]
    return int(applied["edition"])


def rebuild(town: Installation, at: str | None) -> subprocess.CompletedProcess[str]:
    """Rebuild the residents, and be killed at a point."""
    environment = {} if at is None else {"RENKEI_KILL_AT": at}
    return town.renkei("rebuild", SYSTEM, "resident", expect=None, environment=environment)


def nobody_rebuilds(town: Installation) -> bool:
    """Whether the server has noticed that the process is gone."""
    found = ask(
        town,
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE locktype = 'advisory' AND d.datname = current_database()",
    )
    return found == [(0,)]
