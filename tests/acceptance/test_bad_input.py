"""Bad input, as it comes in a municipality: told clearly, kept from doing harm, nothing lost.

The commands run as operators run them, against the real engines; what they print is what
``docs/bad-input.md`` shows. The list of everything that was thought of, and where each is tested,
is in ``tests/architecture/test_bad_input.py``.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.acceptance.installation import RELAY, ROOT, Installation
from tests.support.changes import body, change, record
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.xdist_group("acceptance"),
    pytest.mark.timeout(240),
]
DOCUMENT = (ROOT / "docs" / "bad-input.md").read_text(encoding="utf-8")
SECRET = "秘密野太郎"  # stands wherever a bad line has a value; it may be told nowhere
FAULTLESS = 3  # good lines before, between and after the bad ones
LARGE = [{"subject_id": f"{number:015d}"} for number in range(60_000)]


@pytest.fixture(scope="module")
def town(installation: Installation) -> Iterator[Installation]:
    """Empty topics, and databases without tables."""
    installation.build(20, 20_260_402)
    yield installation
    installation.stop_all()


def subject(number: int) -> str:
    """A 宛名番号 of this module; its wrong check digit is a warning."""
    return f"{number:015d}"


def resident(number: int, version: int = 1, **items: Any) -> dict[str, Any]:
    """A record of somebody whose name is a secret."""
    items.setdefault("name__full", SECRET)
    return record(subject_id=subject(number), version=version, body=body("resident", **items))


def line(value: dict[str, Any]) -> bytes:
    """A line of a file, without its end."""
    return json.dumps(value, ensure_ascii=False).encode()


def shown(text: str) -> None:
    """What operators may see stands in the page for them."""
    assert text in DOCUMENT, f"docs/bad-input.md does not show: {text}"


# -- a file ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A bad line, and what is said of it."""

    name: str
    data: bytes
    said: str


NOW = datetime.now(UTC)
GOOD = [line(change(resident(number))) for number in range(1, FAULTLESS + 1)]
HEADLESS = {name: value for name, value in change(resident(115)).items() if name != "source"}
BODILESS = {name: value for name, value in record("household").items() if name != "body"}
CASES = [
    Case("no-json", f"氏名,{SECRET}".encode(), "not-json: expected one JSON object"),
    Case(
        "byte-order-mark",
        b"\xef\xbb\xbf" + line(change(resident(101))),
        "byte-order-mark: expected UTF-8 without a byte-order mark",
    ),
    Case(
        "wrong-encoding",
        line(change(resident(102, name__family=None))).decode().encode("cp932"),
        "encoding: expected UTF-8",
    ),
    Case(
        "nul",
        line(change(resident(103))).replace("花子".encode(), b"\x00"),
        "nul: expected text without NUL",
    ),
    Case(
        "nul-escaped",
        line(change(resident(104, name__given="花\x00子"))),
        "record 0 name.given (名_日本人): control-character:"
        " expected text without control characters",
    ),
    Case(
        "name-of-a-megabyte",
        line(change(resident(105, name__full=SECRET[:1] * 1_000_000))),
        "record 0 name.full (氏名): too-long: expected at most 100 characters",
    ),
    Case(
        "unknown-stream",
        line(change(resident(106) | {"stream": "residents"})),
        "record 0 stream (ストリーム): unknown-stream: expected a stream of the catalogue",
    ),
    Case(
        "unknown-field",
        line(change(resident(107), operator=SECRET)),
        "operator: unknown-field: expected only the fields of a change",
    ),
    Case(
        "unknown-item",
        line(change(resident(108, nickname=SECRET))),
        "record 0 nickname: unknown-field: expected only fields of the stream's newest schema",
    ),
    Case(
        "wrong-check-digit",
        line(change(resident(109, address__municipality_code="131017"))),
        "record 0 address.municipality_code (住所_市区町村コード): check-digit:"
        " expected a 全国地方公共団体コード",
    ),
    Case(
        "version-gap",
        line(change(resident(110, version=3))),
        "record 0 header.version (履歴番号): version-gap: expected the subject's next version",
    ),
    Case(
        "version-repeat",
        line(change(resident(1, sex="1"))),
        "record 0 header.version (履歴番号): version-repeat:"
        " expected a version that no other event of the subject has",
    ),
    Case("without-a-source", line(HEADLESS), "source (発生元システム): missing: expected a value"),
    Case(
        "without-a-body",
        line(change(resident(111), BODILESS)),
        "record 1 body (内容): missing: expected a value",
    ),
    Case(
        "source-that-does-not-publish",
        line(change(resident(116), source="child_allowance")),
        "record 0 header.source (発生元システム): provider:"
        " expected a system that publishes resident: resident_registry",
    ),
    Case(
        "in-no-code-list",
        line(change(resident(112, sex="9"))),
        "record 0 sex (性別): code-list: expected a code of the list 性別 (sexes)",
    ),
    Case(
        "impossible-day-of-notice",
        line(change(resident(113), notified_on="2026-02-30")),
        "notified_on (届出日): type: expected a valid date in the format YYYY-MM-DD,"
        " day value is outside expected range",
    ),
    Case(
        "event-above-the-limit",
        line(
            change(
                record(
                    "household",
                    body=body(
                        "household",
                        members=LARGE,
                        member_count=len(LARGE),
                        head_subject_id=None,
                    ),
                )
            )
        ),
        "record 0: too-large: expected an event below the broker's limit for one",
    ),
    Case(
        "clock-two-days-ahead",
        line(change(resident(114), processed_at=(NOW + timedelta(days=2)).isoformat())),
        "record 0 header.processed_at (処理日時): processed-at:"
        " expected a time that is not in the future",
    ),
    Case(
        "half-a-line",
        line(change(resident(FAULTLESS + 1)))[:-40],
        "half-line: expected a whole line; the file may be cut off",
    ),
]
WARNED = [
    change(resident(201, birth_date__date="2023-02-29")),
    change(resident(202), processed_at=(NOW + timedelta(hours=1)).isoformat()),
    change(resident(203), processed_at=(NOW - timedelta(hours=1)).isoformat()),
]
WARNINGS = [
    "warning: no-calendar-date at birth_date.date: 1",
    "warning: clock-ahead at header.processed_at: 1",
    "warning: check-digit at header.subject_id: ",
]


@dataclass(frozen=True)
class Published:
    """A run of the command over all cases."""

    done: subprocess.CompletedProcess[str]
    report: list[dict[str, Any]]
    residents: list[tuple[str, bytes]]  # key and value of what is in the topic


@pytest.fixture(scope="module")
def published(town: Installation) -> Published:
    """Every bad line in one file, between good ones; the last one is cut off."""
    bad = [case.data for case in CASES]
    whole = [GOOD[0], *bad[:5], GOOD[1], *bad[5:-1], *map(line, WARNED), GOOD[2], bad[-1]]
    file, report = town.home / "bad.jsonl", town.home / "report.jsonl"
    file.write_bytes(b"\n".join(whole))
    done = town.renkei("publish", str(file), "--report", str(report), expect=None)
    lines = [json.loads(text) for text in report.read_text(encoding="utf-8").splitlines()]
    return Published(done, lines, logged(town, "linkage.resident"))


def logged(town: Installation, topic: str) -> list[tuple[str, bytes]]:
    """Key and value of everything in a topic."""
    return [((m.key() or b"").decode(), m.value()) for m in town.log(topic)]


def line_number(case: Case) -> int:
    """Where a case stands in the file."""
    index = CASES.index(case)
    if case is CASES[-1]:
        return len(CASES) + len(WARNED) + FAULTLESS
    return index + 2 if index < 5 else index + 3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_line_is_told(case: Case, published: Published) -> None:
    """By its number, the item's Japanese name, a code and what was expected."""
    number = line_number(case)

    assert f"line {number}: {case.said}" in published.done.stderr.splitlines()
    (reported,) = [entry for entry in published.report if entry["line"] == number]
    (fault,) = reported["faults"]
    assert f"{fault['code']}: expected {fault['expected']}" in case.said
    shown(case.said)


def test_a_bad_line_takes_nobody_along(published: Published) -> None:
    """What is good is published, the rest is not, and the exit status says so."""
    keys = [key.partition("/")[2] for key, _ in published.residents]

    assert published.done.returncode == 65
    good = [*range(1, FAULTLESS + 1), 201, 202, 203]
    assert sorted(keys) == [subject(number) for number in good]
    summary = f"{len(good)} of {len(good) + len(CASES)} changes published: {len(good)} events"
    assert summary in published.done.stdout
    assert f"{len(CASES)} lines refused" in published.done.stderr


@pytest.mark.parametrize("warning", WARNINGS)
def test_a_doubtful_line_is_published(warning: str, published: Published) -> None:
    """An impossible date of birth, a clock an hour ahead, an old check digit: told and carried."""
    assert warning in published.done.stdout
    shown(warning)


def test_no_value_of_a_bad_line_is_told(published: Published) -> None:
    """Neither on the screen nor in the report."""
    said = published.done.stdout + published.done.stderr + json.dumps(published.report)

    assert SECRET[:2] not in said
    assert ascii(SECRET[:2])[1:-1] not in said
    assert "131017" not in said


def test_a_mended_file_adds_what_was_missing(town: Installation, published: Published) -> None:
    """Publishing again, whole, doubles nothing."""
    file = town.home / "mended.jsonl"
    file.write_bytes(b"\n".join([*GOOD, *map(line, WARNED), line(change(resident(4)))]) + b"\n")

    done = town.renkei("publish", str(file), "--json")

    summary = json.loads(done.stdout)
    assert (summary["published"], summary["already_there"]) == (7, 6)
    assert len(logged(town, "linkage.resident")) == len(published.residents) + 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("compressed", gzip.compress(b"\n".join(GOOD))),
        ("two-byte-text", b"\n".join(GOOD).decode().encode("utf-16-le")),
        ("over-many-lines", json.dumps(json.loads(GOOD[0]), indent=2).encode()),
    ],
)
def test_a_file_that_is_no_json_lines(town: Installation, name: str, content: bytes) -> None:
    """Every line is refused, the first ones are shown, and the rest is in the report."""
    file, report = town.home / name, town.home / f"{name}.report"
    file.write_bytes(content)

    done = town.renkei("publish", str(file), "--report", str(report), "--dry-run", expect=65)

    count = len(report.read_text(encoding="utf-8").splitlines())
    assert f"{count:,} lines refused" in done.stderr
    assert done.stdout.startswith(f"0 of {count:,} changes would be published")
    assert "Traceback" not in done.stderr


# -- a clerk's transaction ---------------------------------------------------------------------

ENTERED = [
    (line(change(resident(301, sex="9"))), "record 0 sex (性別): code-list: expected a code of"),
    (line(change(resident(302, version=5))), "version-gap: expected the subject's next version"),
    (CASES[-3].data, "record 0: too-large: expected an event below the broker's limit for one"),
    (line(HEADLESS), "source (発生元システム): missing: expected a value"),
    (line(change(resident(303, nickname=SECRET))), "record 0 nickname: unknown-field: expected"),
]


def test_a_bad_change_in_an_outbox_is_set_aside(town: Installation, published: Published) -> None:
    """Clerks are not stopped, the others are sent, and the change is kept with its faults."""
    assert CASES[-3].name == "event-above-the-limit"
    assert published.done.returncode == 65  # the topic is learnt from it
    with psycopg.connect(town.town.core, autocommit=True) as session:

        def enter(data: bytes) -> None:
            session.execute("SELECT renkei.publish_change(%s)", [data.decode()])

        def pending() -> int:
            row = session.execute("SELECT count(*) FROM renkei.outbox WHERE sent_at IS NULL")
            return int(row.fetchone()[0])  # type: ignore[index]

        enter(line(change(resident(311))))
        for data, _ in ENTERED:
            enter(data)
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="a change is a JSON object"):
            enter(line([SECRET]))  # type: ignore[arg-type]  # a programmer's fault, at once
        enter(line(change(resident(312))))
        town.ensure(RELAY)
        wait_until(lambda: pending() == 0, 60)
    town.stop(RELAY)

    listed = town.renkei("relay", "refused", "list", "resident_registry").stdout
    keys = {key.partition("/")[2] for key, _ in logged(town, "linkage.resident")}
    assert {subject(311), subject(312)} <= keys
    assert keys.isdisjoint({subject(301), subject(302)})
    standing = json.loads(town.renkei("relay", "status", "--json").stdout)
    assert [(outbox["pending"], outbox["refused"]) for outbox in standing] == [(0, len(ENTERED))]
    for _, said in ENTERED:
        assert said in listed
    assert SECRET[:2] not in listed + (town.logs / "relay-run.log").read_text()


# -- words that nobody knows, doors that do not open -----------------------------------------


COMMANDS = [
    (["publish", "nowhere.jsonl"], "[RK-100] cannot read the file (file=nowhere.jsonl)"),
    (
        ["deliver", "--system", "nosuch"],
        "[RK-120] there is no such system in the settings",
    ),
    (
        ["relay", "run", "--system", "nosuch"],
        "[RK-120] there is no such system in the settings",
    ),
    (["parked", "retry", "nosuch", "--all"], "[RK-120] there is no such system"),
    (["parked", "retry", "ledger", "--all"], "[RK-121] nothing was changed: nothing is parked"),
    (["subscriptions", "show", "nosuch"], "[RK-120] there is no such system"),
    (["ledger", "verify", "--system", "nosuch"], "[RK-120] there is no such system"),
    (["provisions", "by", "nosuch"], "[RK-120] there is no such system"),
    (["reach", "show", "xyz"], "[RK-120] a change's id is a UUID"),
    (["schemas", "show", "nosuch"], "[RK-120] there is no such stream"),
]


@pytest.mark.parametrize(("arguments", "said"), COMMANDS, ids=lambda each: str(each[0]))
def test_an_unknown_name_is_told(town: Installation, arguments: list[str], said: str) -> None:
    """A slip of the pen is an error, not an empty answer."""
    done = town.renkei(*arguments, expect=None)

    assert done.returncode in (64, 65, 78)
    assert done.returncode == 78 or "RK-12" in said
    assert f"error: {said}" in done.stderr
    shown(said)


@pytest.mark.parametrize("command", [["publish", "-"], ["deliver"]], ids=lambda each: each[0])
def test_a_setting_that_nobody_knows_is_told(town: Installation, command: list[str]) -> None:
    """A misspelt variable would silently leave the default in force."""
    done = town.renkei(*command, expect=78, environment={"RENKEI_PARTITONS": "8"})

    said = "RENKEI_PARTITONS: unknown: expected a name that there is; RENKEI_PARTITIONS is near"
    assert done.stderr.split("\n") == [
        "error: [RK-102] these settings cannot be used (count=1)", f"  {said}", ""
    ]  # fmt: skip
    shown(said)


def with_password(uri: str, password: str) -> str:
    """The same login with another password."""
    parts = urlsplit(uri)
    netloc = f"{parts.username}:{password}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=netloc))


@pytest.mark.parametrize(
    ("command", "variable", "said"),
    [
        (
            "relay run",
            "RENKEI_OUTBOXES",
            "the outbox's database refuses the login",
        ),
        (
            "relay status",
            "RENKEI_OUTBOXES",
            "the outbox's database refuses the login",
        ),
        ("status", "RENKEI_DATABASE", "the ledger's database refuses the login"),
        (
            "deliver --once --system national_pension",
            "RENKEI_SYSTEMS",
            "the database refuses the login",
        ),
    ],
)
def test_a_wrong_password_is_told(
    town: Installation, command: str, variable: str, said: str
) -> None:
    """Trying again does not help, so the command ends; the password is not repeated."""
    wrong = "wrong-password-4711"
    value = {
        "RENKEI_OUTBOXES": f"resident_registry: {with_password(town.town.core, wrong)}",
        "RENKEI_DATABASE": with_password(town.town.ledger, wrong),
        "RENKEI_SYSTEMS": json.dumps(
            {
                "national_pension": {
                    "options": {"uri": with_password(town.town.systems["national_pension"], wrong)}
                }
            }
        ),
    }[variable]

    done = town.renkei(*command.split(), expect=None, environment={variable: value})

    assert done.returncode in (70, 78)
    assert "RK-104" in done.stderr
    assert said in done.stderr
    shown(said)
    assert wrong not in done.stderr + done.stdout


def test_a_port_that_is_taken_is_told(town: Installation) -> None:
    """Before anything is delivered."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        done = town.renkei("deliver", expect=78, environment={"RENKEI_HTTP_PORT": str(port)})

    said = "[RK-100] cannot listen here; the port may be taken (host=127.0.0.1, port="
    assert f"error: {said}{port})" in done.stderr
    shown(said)


@pytest.mark.parametrize("arguments", [["--report", "/dev/full"], ["--json"]], ids=lambda a: a[0])
def test_a_full_disk_is_told(town: Installation, arguments: list[str]) -> None:
    """For the report, and for what the command prints: what was published stays published."""
    file = town.home / "full.jsonl"
    file.write_bytes(b"\n".join([*GOOD, b"{"]))
    with Path("/dev/full" if "--json" in arguments else "/dev/null").open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "bus.cli", "publish", str(file), *arguments],
            env=town_environment(town),
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    said = "error: [RK-100] the disk is full"
    assert done.returncode == 78
    assert said in done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    shown(said)


def test_a_log_on_a_full_disk_stops_no_delivery(town: Installation, published: Published) -> None:
    """Lines are lost, and nothing else."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bus.cli", "deliver", "--once", "--system", "child_allowance"],
            env=town_environment(town),
            stdout=full,
            stderr=full,
            check=False,
            timeout=60,
        )

    assert done.returncode == 0
    with psycopg.connect(town.town.systems["child_allowance"]) as connection:
        rows = connection.execute("SELECT subject_id FROM linkage.resident").fetchall()
    assert {key.partition("/")[2] for key, _ in published.residents} <= {row[0] for row in rows}


def test_a_load_that_cannot_remember_goes_on(town: Installation) -> None:
    """How far it came only saves time; that it is not kept is said."""
    home = town.home / "elsewhere"
    shutil.copytree(town.home / "run", home / "run")
    (home / "publish").write_text("no folder")
    file = town.home / "remembered.jsonl"
    file.write_bytes(b"\n".join(GOOD))

    done = town.renkei("publish", str(file), environment={"RENKEI_HOME": str(home)})

    assert "3 of 3 changes published" in done.stdout
    said = "cannot remember how far the load is"
    assert said in done.stderr
    shown(said)


def town_environment(town: Installation) -> dict[str, str]:
    """The environment of a command that is started without the installation's own means."""
    inherited = {name: at for name, at in os.environ.items() if not name.startswith("RENKEI_")}
    return {**inherited, **town.environment}
