"""A bad day of delivery: everything goes wrong at once, and whoever is not concerned notices
nothing.

Bytes that are no events come into a topic, while one system's password is wrong, one's
subscription has expired, one's rights are revoked, one's table loses a column, another's is
altered, and one's disk is full. One process delivers to all. Then everything is mended.
"""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import yaml
from confluent_kafka import Producer

from tests.acceptance.installation import DELIVER, ROOT, Installation
from tests.support.changes import MUNICIPALITY, body, change, record
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.xdist_group("acceptance"),
    pytest.mark.timeout(280),
]
DOCUMENT = (ROOT / "docs" / "bad-input.md").read_text(encoding="utf-8")
SECRET = "秘密野太郎"
WRONG_PASSWORD = "wrong-password-4711"

LOCKED_OUT = "national_pension"
EXPIRED = "light_vehicle_tax"
REVOKED = "child_allowance"
DROPPED = "electoral_roll"
ALTERED = "school_enrollment"
FULL = "fixed_asset_tax"
ILL = (LOCKED_OUT, EXPIRED, REVOKED, DROPPED, ALTERED, FULL)

PEOPLE = range(1, 31)
GARBLED = {21: "truncated", 22: "garbage", 23: "unknown id", 24: "empty"}
ERASED = 25
TOPIC = "linkage.resident"
RETRY_FIRST = "PT0.1S"
UNREADY_MOST = "PT2S"  # an hour otherwise

DISK_FULL = """
CREATE FUNCTION linkage.no_room() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: %', NEW USING ERRCODE = '53100'; END $$;
CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON linkage.resident
    FOR EACH ROW EXECUTE FUNCTION linkage.no_room();
"""


@dataclass(frozen=True)
class Day:
    """What was seen while everything was bad, and after it was mended."""

    log: str
    ready: list[str]
    metrics: str
    parked: list[dict[str, Any]]
    bad: Mapping[str, Mapping[str, int]]  # system -> subject -> version
    mended: Mapping[str, Mapping[str, int]]
    dismissed: Mapping[str, int]

    def said(self, event: str, system: str) -> set[tuple[str, str]]:
        """Code and reason of what the log says of a system."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return {
            (line["code"], line["reason"])
            for line in lines
            if (line["event"], line.get("system")) == (event, system)
        }


def subject(number: int) -> str:
    """A 宛名番号 of this module; its wrong check digit is a warning."""
    return f"{number:015d}"


@pytest.fixture(scope="module")
def town(installation: Installation) -> Iterator[Installation]:
    """Empty topics, and databases without tables."""
    installation.build(20, 20_260_403)
    yield installation
    installation.stop_all()


@pytest.fixture(scope="module")
def day(town: Installation) -> Day:
    """The whole day, once; the tests look at what came of it."""
    well = [system for system in town.receiving if system not in ILL]
    settings = town.home / "run" / "systems.yaml"
    right = settings.read_text(encoding="utf-8")
    settings.write_text(with_wrong_password(right), encoding="utf-8")
    process = town.start(
        DELIVER,
        RENKEI_SCHEMAS=str(expired(town)),
        RENKEI_RETRY_FIRST=RETRY_FIRST,
        RENKEI_UNREADY_MOST=UNREADY_MOST,
    )
    publish(town, version=1)
    wait_until(
        lambda: all(
            len(town.versions(s)) == len(PEOPLE) for s in town.receiving if s not in ILL[:2]
        ),
        60,
    )

    harm(town)
    garble(town)
    publish(town, version=2, without={ERASED})
    newest = {subject(n): 2 for n in PEOPLE if n not in {*GARBLED, ERASED}}
    newest |= {subject(n): 1 for n in GARBLED}
    wait_until(lambda: all(town.versions(system) == newest for system in well), 60)
    wait_until(lambda: said_of(process.log, "lane-retries", FULL), 30)
    wait_until(lambda: said_of(process.log, "lane-stopped", REVOKED), 30)
    wait_until(lambda: said_of(process.log, "lane-stopped", DROPPED), 30)
    wait_until(lambda: said_of(process.log, "lane-stopped", ALTERED), 30)
    ready, metrics = asked(town, "readyz"), asked(town, "metrics")
    bad = {system: town.versions(system) for system in town.receiving if system not in ILL[:2]}
    parked = json.loads(town.renkei("parked", "list", "--json").stdout)

    town.stop(DELIVER)
    settings.write_text(right, encoding="utf-8")
    mend(town)
    town.start(DELIVER)
    wait_until(lambda: all(town.versions(system) == newest for system in town.receiving), 60)
    mended = {system: town.versions(system) for system in town.receiving}
    town.renkei("parked", "dismiss", well[0], "--all", "--reason", "T-1")
    newest |= {subject(n): 2 for n in GARBLED}
    wait_until(lambda: town.versions(well[0]) == newest, 60)
    return Day(
        log=process.log.read_text(encoding="utf-8"),
        ready=json.loads(ready)["reasons"],
        metrics=metrics,
        parked=parked,
        bad=bad,
        mended=mended,
        dismissed=town.versions(well[0]),
    )


# -- doing harm, and mending it ----------------------------------------------------------------


def with_wrong_password(text: str) -> str:
    """The settings with another password for one system."""
    settings = yaml.safe_load(text)
    options = settings["systems"][LOCKED_OUT]["options"]
    parts = urlsplit(options["uri"])
    netloc = f"{parts.username}:{WRONG_PASSWORD}@{parts.hostname}:{parts.port}"
    options["uri"] = urlunsplit(parts._replace(netloc=netloc))
    return yaml.safe_dump(settings, allow_unicode=True)


def expired(town: Installation) -> Path:
    """The shipped schemas, one subscription of which ended yesteryear."""
    folder = town.home / "schemas"
    shutil.copytree(ROOT / "schemas", folder)
    file = folder / "subscriptions" / f"{EXPIRED}.yaml"
    text = file.read_text(encoding="utf-8")
    changed = text.replace("approved_on: 2026-04-01", "approved_on: 2020-04-01").replace(
        "expires_on: 2029-03-31", "expires_on: 2021-03-31"
    )
    assert changed != text
    file.write_text(changed, encoding="utf-8")
    return folder


def publish(town: Installation, *, version: int, without: set[int] | None = None) -> None:
    """Everybody's next version, from a file."""
    lines = [
        json.dumps(
            change(
                record(
                    subject_id=subject(number),
                    version=version,
                    body=body("resident", name__full=SECRET),
                )
            ),
            ensure_ascii=False,
        )
        for number in PEOPLE
        if number not in (without or ())
    ]
    file = town.home / f"version-{version}.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    town.renkei("publish", str(file))


def harm(town: Installation) -> None:
    """What administrators do without telling anybody."""
    execute(town, REVOKED, f"REVOKE INSERT, UPDATE ON linkage.resident FROM {REVOKED}")
    execute(town, DROPPED, "ALTER TABLE linkage.resident DROP COLUMN name_full")
    execute(town, ALTERED, "ALTER TABLE linkage.resident RENAME COLUMN name_full TO shimei")
    execute(town, FULL, DISK_FULL)


def mend(town: Installation) -> None:
    """And what they do when they are told."""
    execute(town, REVOKED, f"GRANT INSERT, UPDATE ON linkage.resident TO {REVOKED}")
    execute(town, DROPPED, "ALTER TABLE linkage.resident ADD COLUMN name_full text")
    execute(town, ALTERED, "ALTER TABLE linkage.resident RENAME COLUMN shimei TO name_full")
    execute(town, FULL, "DROP TRIGGER no_room ON linkage.resident")


def garble(town: Installation) -> None:
    """Bytes under real keys, and keys that are none; where their subjects' events are."""
    places, value = whereabouts(town)
    junk = {
        "truncated": value[:40],
        "garbage": f"{SECRET},{SECRET}".encode() * 20,
        "unknown id": b"\x00\x7f\xff\xff\xff" + value[5:],
        "empty": b"",
    }
    producer = Producer({"bootstrap.servers": town.engines.kafka})
    for number, kind in GARBLED.items():
        key = f"{MUNICIPALITY}/{subject(number)}"
        producer.produce(TOPIC, junk[kind], key, places[key])
    key = f"{MUNICIPALITY}/{subject(ERASED)}"
    producer.produce(TOPIC, None, key, places[key])
    producer.produce(TOPIC, None, SECRET, 0)
    producer.produce(TOPIC, SECRET.encode(), SECRET, 0)
    assert producer.flush(20) == 0


def whereabouts(town: Installation) -> tuple[dict[str, int], bytes]:
    """The partition of each key in the topic, and the value of a whole event."""
    log = town.log(TOPIC)
    return {message.key().decode(): message.partition() for message in log}, log[-1].value()


def execute(town: Installation, system: str, statements: str) -> None:
    """As the server's administrator, in one system's database."""
    parts = urlsplit(town.engines.database)
    uri = urlunsplit(parts._replace(path=urlsplit(town.town.systems[system]).path))
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statements.encode())


def asked(town: Installation, page: str) -> str:
    """What a page of the delivering process says, whatever its status."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{town.ports[DELIVER]}/{page}", timeout=10
        ) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def said_of(log: Path, event: str, system: str) -> bool:
    """Whether the log has such a line of a system."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return any(f'"{event}"' in line and f'"{system}"' in line for line in lines)


def shown(text: str) -> None:
    """What operators may see stands in the page for them."""
    assert text in DOCUMENT, f"docs/bad-input.md does not show: {text}"


# -- what came of it ---------------------------------------------------------------------------


def test_whoever_is_well_has_everything(day: Day) -> None:
    """Ten systems hold the newest of everybody but of those whose events are garbled."""
    newest = {subject(n): 2 for n in PEOPLE if n not in {*GARBLED, ERASED}}
    newest |= {subject(n): 1 for n in GARBLED}

    well = {system: rows for system, rows in day.bad.items() if system not in ILL}
    assert len(well) == 10
    assert all(rows == newest for rows in well.values())


@pytest.mark.parametrize(
    ("system", "event", "code", "reason"),
    [
        (LOCKED_OUT, "lane-stopped", "RK-104", "the database refuses the login"),
        (EXPIRED, "not-delivered", "RK-301", "the subscription has expired"),
        (REVOKED, "lane-stopped", "RK-410", "the role lacks a right on the table"),
        (DROPPED, "lane-stopped", "RK-100", "the table lacks a column of the view"),
        (ALTERED, "lane-stopped", "RK-100", "the table lacks a column of the view"),
        (FULL, "lane-retries", "RK-404", "the disk of the database is full: make room there"),
    ],
)
def test_who_is_ill_is_told(day: Day, system: str, event: str, code: str, reason: str) -> None:
    """By system, with a code and what to mend; its table stays as it was."""
    assert (code, reason) in day.said(event, system)
    assert set(day.bad.get(system, {}).values()) <= {1}
    shown(reason)


@pytest.mark.parametrize("system", [LOCKED_OUT, EXPIRED, REVOKED, DROPPED, ALTERED])
def test_readiness_says_who_waits_for_a_person(day: Day, system: str) -> None:
    """Those that go on by themselves do not; the metrics have them."""
    code = {EXPIRED: "RK-301", LOCKED_OUT: "RK-104", REVOKED: "RK-410"}.get(system, "RK-100")
    reasons = [reason for reason in day.ready if f" {system}/" in reason]

    assert reasons
    assert all(reason.endswith(code) for reason in reasons)
    assert not any(f" {FULL}/" in reason for reason in day.ready)


def test_metrics_say_who_retries(day: Day) -> None:
    """A full disk is waited for, without end."""
    (line,) = [
        line
        for line in day.metrics.splitlines()
        if line.startswith("renkei_")
        and f'system="{FULL}"' in line
        and 'status="retrying"' in line
        and 'stream="resident"' in line
    ]
    assert float(line.rpartition(" ")[2]) > 0


def test_bytes_that_are_no_events_are_parked(day: Day) -> None:
    """For every system that reads them, with a code each; later events of the subject wait."""
    codes = {"truncated": "RK-201", "garbage": "RK-201", "unknown id": "RK-203", "empty": "RK-201"}
    for system in ("national_health_insurance", "ledger"):
        mine = [event for event in day.parked if event["system"] == system]
        found = {(event["subject"], event["state"], event["code"]) for event in mine}
        for number, kind in GARBLED.items():
            key = f"{MUNICIPALITY}/{subject(number)}"
            assert (key, "PARKED", codes[kind]) in found
            assert (key, "WAITING", "RK-208") in found
        strange = [event for event in mine if event["subject"].startswith("sha256:")]
        assert [(event["state"], event["code"]) for event in strange] == [("PARKED", "RK-201")]


def test_a_null_value_erases(day: Day) -> None:
    """It is how Kafka says that a subject is gone, and it is taken at its word."""
    assert all(subject(ERASED) not in rows for rows in day.mended.values())


def test_when_all_is_mended_nothing_is_missing(day: Day) -> None:
    """All sixteen hold the same, each from where it stood."""
    assert len(day.mended) == 16
    assert len({tuple(sorted(rows.items())) for rows in day.mended.values()}) == 1


def test_what_is_dismissed_lets_the_next_go(day: Day) -> None:
    """The newer whole snapshot that waited behind the garbage is applied."""
    assert {day.dismissed[subject(number)] for number in GARBLED} == {2}


def test_no_value_and_no_password_is_told(day: Day) -> None:
    """In no log line, reason, metric or exception."""
    told = day.log + day.metrics + json.dumps([day.ready, day.parked], ensure_ascii=False)

    for canary in (SECRET, ascii(SECRET)[1:-1], WRONG_PASSWORD):
        assert canary not in told
