"""Every page of ``docs/howto`` is walked word by word, on one town whose processes run.

Walked elsewhere: ``set-one-event-aside.md`` (``test_operating.py``, with an event that nobody can
read); what the pages for core and receiving systems say in SQL, and of roles
(``tests/integration/howto/test_howto.py``).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.acceptance.installation import RELAY, ROOT, Installation
from tests.acceptance.walking import HOWTO, Said, Walk, Walker
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.xdist_group("acceptance"),
    pytest.mark.timeout(280),
]
SYSTEM = "child_allowance"
COMMAND = f"deliver --system {SYSTEM} --system ledger"
PERSON = "000000012345674"  # whom the pages speak of
ELSEWHERE = {"set-one-event-aside.md"}
ALONE = {"renkei reach show": 3, "renkei doctor": 1}  # nobody delivers to the others
NEEDS_ROOT = "makes a user, units or files of a machine of its own"


@pytest.fixture(scope="module")
def town(installation: Installation) -> Iterator[Installation]:
    """A small town; the relay and the delivery to one system and the ledger run."""
    installation.build(20, 20_260_406)
    installation.start(RELAY)
    installation.start(COMMAND)
    yield installation
    installation.stop_all()


@pytest.fixture(scope="module")
def change_id(town: Installation) -> str:
    """The change of the core systems' page, handed in as it says, and delivered."""
    made = hand_in(town, example())
    wait_until(lambda: town.versions(SYSTEM) == {PERSON: 1}, 60)
    return made


@pytest.fixture(scope="module")
def walker(town: Installation, change_id: str, tmp_path_factory: pytest.TempPathFactory) -> Walker:
    """A shell in a folder as a clone is: with its schemas, and changed copies beside them."""
    folder = tmp_path_factory.mktemp("walk")
    shutil.copytree(ROOT / "schemas", folder / "schemas")
    subscriptions = folder / "schemas" / "subscriptions"
    shutil.copytree(subscriptions, folder / "new-subscriptions")
    (folder / "new").mkdir()
    file = folder / "new" / f"{SYSTEM}.yaml"
    wanted = yaml.safe_load((subscriptions / file.name).read_text(encoding="utf-8"))
    wanted["streams"]["resident"]["fields"].remove("name.alias")
    file.write_text(yaml.safe_dump(wanted, allow_unicode=True), encoding="utf-8")
    (folder / "etc").mkdir()
    return Walker(folder, dict(town.environment), [town.programs])


def example() -> dict[str, Any]:
    """The change that the core systems' page shows."""
    text = (HOWTO / "connect-a-core-system.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    change: dict[str, Any] = json.loads(shown)
    return change


def hand_in(town: Installation, change: dict[str, Any]) -> str:
    """As the register does, in its own database; the change's id."""
    with psycopg.connect(town.town.core) as core:
        row = core.execute(
            "SELECT renkei.publish_change(%s::jsonb)", [json.dumps(change)]
        ).fetchone()
    assert row is not None
    return str(row[0])


def protect(town: Installation) -> str:
    """The person's protection begins, with a new snapshot; the day on which it did."""
    change = example()
    day = town.today.isoformat()
    resident = change["records"][0]
    resident |= {"event_type": "resident.corrected", "nature": "CHANGE", "version": 2}
    resident["body"]["protected"] = True
    change["records"] = [
        {
            "stream": "protection",
            "event_type": "protection.started",
            "nature": "RECORD",
            "subject_id": PERSON,
            "version": 1,
            "effective_date": {"date": day},
            "body": {
                "status": "ACTIVE",
                "kind": "DOMESTIC_VIOLENCE",
                "started_on": day,
                "ends_on": "2999-03-31",
                "suppresses": ["CURRENT_ADDRESS"],
                "from_other_municipality": False,
            },
        },
        resident,
    ]
    hand_in(town, change)
    wait_until(lambda: town.versions(SYSTEM) == {PERSON: 2}, 60)
    return day


def of(said: list[Said], command: str) -> Said:
    """What the one command that begins so said."""
    (found,) = [each for each in said if each.command.startswith(command)]
    return found


def test_every_page_is_walked() -> None:
    """A new page has a walk here, or is walked elsewhere."""
    text = Path(__file__).read_text(encoding="utf-8")
    walked = {*re.findall(r'page="([\w-]+\.md)"', text)}
    assert walked | ELSEWHERE == {page.name for page in HOWTO.glob("*.md")}


def test_connect_a_core_system(walker: Walker, town: Installation) -> None:
    """The outbox is there already: the command changes nothing."""
    install = town.town.install_command()
    uri, role = install[install.index("--uri") + 1], install[install.index("--core") + 1]
    words = {
        "postgresql://admin@db.example/register": f"'{uri}'",
        "register_app": role,
        "renkei_relay": role,
    }
    left = {"renkei relay run": "it runs, and sent the page's own change"}
    walk = Walk(page="connect-a-core-system.md", words=words, left=left)

    said = walker.walk(walk)

    assert "resident_registry" in of(said, "renkei relay status").out


def test_connect_a_receiving_system(walker: Walker) -> None:
    """Its files are in order, and nothing waits."""
    left = {"renkei deliver": "it runs, and delivered the page's change"}

    said = walker.walk(Walk(page="connect-a-receiving-system.md", left=left))

    assert "児童手当" in of(said, "renkei subscriptions show").out
    assert SYSTEM in of(said, "renkei status").out


def test_answer_who_was_given_what(walker: Walker) -> None:
    """On the terminal, as a page and as a file, and to one system."""
    said = walker.walk(Walk(page="answer-who-was-given-what.md"))

    assert SYSTEM in said[0].out
    assert "児童手当" in (walker.folder / "answer.html").read_text(encoding="utf-8")
    assert (walker.folder / "answer.csv").stat().st_mode & 0o777 == 0o600


def test_pause_and_resume(walker: Walker, town: Installation, change_id: str) -> None:
    """It stands and goes on, and what was published meanwhile arrives."""
    done_already = {f"renkei lanes pause {SYSTEM} resident": 65}
    words = {"CHANGE_ID": change_id}
    said = walker.walk(Walk(page="pause-and-resume.md", words=words, ends=ALONE | done_already))

    assert "applied" in of(said, "renkei reach show").out
    assert "paused" not in walker.run("renkei lanes show").out


def test_protect_a_person(walker: Walker, town: Installation, change_id: str) -> None:
    """Shown, and ended by a list."""
    day = protect(town)
    heading = re.search(
        r"The list has (.*?), as a CSV", (HOWTO / "protect-a-person.md").read_text()
    )
    assert heading is not None
    columns = re.findall(r"`(\w+)`", heading[1])
    entry = {"municipality_code": "131016", "subject_id": PERSON, "started_on": day}
    row = [(entry | {"decided_on": day})[column] for column in columns]
    file = walker.folder / "ended.csv"
    file.write_text(f"{','.join(columns)}\n{','.join(row)}\n", encoding="utf-8")

    words = {"CHANGE_ID": change_id}
    said = walker.walk(Walk(page="protect-a-person.md", words=words, ends=ALONE))

    assert PERSON in of(said, "renkei protections list").out
    wait_until(lambda: town.versions(SYSTEM) == {PERSON: 3}, 60)
    assert PERSON not in walker.run("renkei protections list --reason T-123").out


def test_change_what_a_system_receives(walker: Walker) -> None:
    """Tried, applied, filled."""
    said = walker.walk(Walk(page="change-what-a-system-receives.md"))

    assert "name_alias" in of(said, "renkei subscriptions diff").out
    assert "resident" in said[-1].out


def test_keys_for_receipts(walker: Walker) -> None:
    """A file of keys is begun."""
    words = {"/etc/renkei": str(walker.folder / "etc")}
    said = walker.walk(Walk(page="keys-for-receipts.md", words=words))
    del walker.environment["RENKEI_RECEIPT_KEYS_FILE"]  # the town has keys of its own

    assert re.search(r"\d{4}-\d\d-\d\d-[0-9a-f]{4}", said[-1].out)


def test_keys_for_individual_numbers(walker: Walker) -> None:
    """A file of keys is begun."""
    words = {"/etc/renkei": str(walker.folder / "etc")}
    said = walker.walk(Walk(page="keys-for-individual-numbers.md", words=words))
    checked = walker.run("renkei keys check")
    del walker.environment["RENKEI_SEAL_KEYS_FILE"]

    assert re.search(r"\d{4}-\d\d-\d\d-[0-9a-f]{4}", said[-1].out)
    page = (HOWTO / "keys-for-individual-numbers.md").read_text(encoding="utf-8")
    (heading,) = re.findall(r"```\n +(Stream .*)\n", page)
    assert checked.out.split()[: len(heading.split())] == heading.split()


def test_secure_the_connections(walker: Walker) -> None:
    """What looks at the lines; the brokers' own commands are for brokers with TLS."""
    left = dict.fromkeys(
        ["kafka-configs.sh", "kafka-acls.sh"], "tests/integration/credentials has brokers with TLS"
    )
    said = walker.walk(Walk(page="secure-the-connections.md", left=left, ends={"renkei doctor": 1}))

    assert "lines" in of(said, "renkei doctor").out
    assert "kafka_security" in of(said, "renkei settings show").out


def test_run_in_production(walker: Walker, town: Installation) -> None:
    """What needs a machine of its own is not run; the units are held by
    ``tests/architecture/test_units.py``."""
    left = dict.fromkeys(
        ["useradd", "git clone", "python3 -m venv", ".venv/bin/python", "install -", "systemctl"],
        NEEDS_ROOT,
    ) | dict.fromkeys(
        ["pg_dump", "pg_restore", "tar", "renkei ledger verify"],
        "test_outages.py: the restore is rehearsed there",
    )
    said_of: dict[str, Any] = {}
    for file in sorted((town.home / "run").glob("*.yaml")):  # what the stack wrote, in one file
        said_of |= yaml.safe_load(file.read_text(encoding="utf-8"))
    settings = walker.folder / "etc" / "settings.yaml"
    settings.write_text(yaml.safe_dump(said_of), encoding="utf-8")
    settings.chmod(0o600)
    words = {
        "sudo -u renkei ": "",
        "/etc/renkei": str(settings.parent),
        "/var/lib/renkei": str(town.home),
        "/opt/renkei/.venv/bin/": "",
    }
    walk = Walk(page="run-in-production.md", words=words, left=left, ends={"sudo": 1})
    said = walker.walk(walk)

    assert "registry" in said[-1].out


def test_verify_the_ledger(walker: Walker) -> None:
    """All of it holds, with an anchor of today."""
    today = datetime.now(UTC).date().isoformat()
    words = {"$(date +%F)": today, "2026-11-24": today}

    said = walker.walk(Walk(page="verify-the-ledger.md", words=words))

    assert len((walker.folder / f"anchor-{today}.txt").read_text().splitlines()) > 3
    assert all("all is as it was" in each.out for each in said if "verify" in each.command)


def test_erase_a_person(walker: Walker, town: Installation) -> None:
    """Gone where it was delivered; and known by whoever asks for the number."""
    words = {"/etc/renkei": str(walker.folder / "etc")}
    walker.walk(Walk(page="erase-a-person.md", words=words))

    wait_until(lambda: town.versions(SYSTEM) == {}, 60)
    assert "erased" in walker.run(f"renkei provisions of {PERSON}").out
