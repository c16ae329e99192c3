"""``renkei protections`` on the real engines: a list of ends is shown, asked about, and sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from bus.broker import Message
from bus.cli import protections as command
from bus.model import Change
from bus.observe import logs
from bus.operate.actor import account
from bus.publish.case_ends import COLUMNS
from tests.integration.publish.conftest import at_home, over_cluster
from tests.support.changes import body, by_cases, case, change, record
from tests.support.lanes import CATALOG

pytestmark = pytest.mark.service

TWO_CASES, ONE_CASE = "000000012345674", "000000000000019"
SPRING, SUMMER = "2025-05-01", "2025-06-10"
Run = Callable[..., Result]


def started(subject: str, version: int, named: str, *cases: dict[str, Any]) -> Change:
    """A protection with the snapshot beside it."""
    items = by_cases(named, *cases)
    protection = record("protection", subject_id=subject, version=version, body=items)
    flagged = body("resident", protected=True)
    beside = record(subject_id=subject, version=version, body=flagged)
    return Change.model_validate_json(json.dumps(change(beside, protection)), strict=True)


@pytest.fixture
def run(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command against the test's own topics, in which two persons are protected."""
    at_home(monkeypatch, tmp_path, erases=True)
    logs.configure("text")  # to stderr, as the installed command does
    over_cluster(monkeypatch, cluster)

    async def begin() -> None:
        async with cluster.publisher() as publisher:
            outcomes = await publisher.publish(
                [
                    started(TWO_CASES, 1, SPRING, case(SPRING)),
                    started(TWO_CASES, 2, SUMMER, case(SPRING), case(SUMMER)),
                    started(ONE_CASE, 1, SPRING, case(SPRING)),
                ]
            )
            assert all(outcome.is_published for outcome in outcomes)

    asyncio.run(begin())
    app = typer.Typer()
    command.register(app)

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        words = ["protections", *arguments, "--reason", "T-1", "--by", "somebody"]
        return CliRunner().invoke(app, words, input=stdin, catch_exceptions=False)

    return invoke


LIST = f"""\
municipality_code,subject_id,started_on,decided_on
131016,12345674,{SPRING},2025-06-01
131016,{TWO_CASES},{SUMMER},2025-06-01
131016,{ONE_CASE},{SPRING},2025-06-01
131016,{ONE_CASE},{SUMMER},2025-12-01
131017,{ONE_CASE},{SUMMER},2025-12-01
"""


def test_a_list_of_ends(run: Run, cluster: Any, tmp_path: Path) -> None:
    """It says how many stay by another case, asks, and lifts what it names; no second time."""
    file = tmp_path / "ended.csv"
    file.write_text(LIST, encoding="utf-8")

    dry = run("end", str(file), "--dry-run")
    assert "2 cases of 2 persons would end" in dry.stderr
    assert "1 persons stay under protection by another case" in dry.stderr
    assert "3 entries are refused" in dry.stderr
    assert "line 3 decided_on (支援措置終了決定日): date-order" in dry.stderr
    assert "line 5 started_on (支援措置開始日): case-unknown" in dry.stderr
    assert "line 6 municipality_code: check-digit" in dry.stderr
    refused = run("end", str(file), stdin="n\n")
    assert "nothing was ended" in refused.stdout
    assert len(asyncio.run(cluster.events("protection"))) == 3

    done = run("end", str(file), "--yes", "--json")
    assert done.exit_code == 65  # of the refused entries
    said = json.loads(done.stdout)
    assert (said["ended"], said["stay_by_another_case"]) == (2, [f"131016/{TWO_CASES}"])
    newest = {e["header"]["subject_id"]: e for e in asyncio.run(cluster.events("protection"))}
    assert newest[TWO_CASES]["status"] == "ACTIVE"
    assert newest[ONE_CASE]["status"] == "ENDED"
    rows = {e["header"]["subject_id"]: e for e in asyncio.run(cluster.events("resident"))}
    assert {number: row["protected"] for number, row in rows.items()} == {
        TWO_CASES: True, ONE_CASE: False,
    }  # fmt: skip

    again = run("end", str(file), "--yes", "--json")
    assert json.loads(again.stdout)["ended"] == 0
    codes = {each["code"] for each in json.loads(again.stdout)["refused"]}
    assert codes == {
        "case-ended", "case-decided", "case-unknown", "date-order", "check-digit",
    }  # fmt: skip


def test_what_is_shown_is_what_happens(run: Run, cluster: Any) -> None:
    """Also where only a publisher knows: an end that is decided tomorrow is none. What stands
    behind it in the list is judged without it."""
    tomorrow = str(datetime.now(UTC).date() + timedelta(days=2))
    listed = "".join(
        json.dumps(dict(zip(COLUMNS, ("131016", subject, began, decided), strict=True))) + "\n"
        for subject, began, decided in (
            (TWO_CASES, SPRING, tomorrow),
            (TWO_CASES, SUMMER, "2025-12-01"),
            (ONE_CASE, SPRING, tomorrow),
        )
    )

    dry = run("end", "-", "--dry-run", stdin=listed)
    done = run("end", "-", "--yes", "--json", stdin=listed)

    assert dry.exit_code == done.exit_code == 65
    assert "1 cases of 1 persons would end" in dry.stderr
    assert "1 persons stay under protection by another case" in dry.stderr
    assert "2 entries are refused" in dry.stderr
    assert "line 1 decided_on (支援措置終了決定日): date-order" in dry.stderr
    said = json.loads(done.stdout)
    assert (said["ended"], said["stay_by_another_case"]) == (1, [f"131016/{TWO_CASES}"])
    assert len(asyncio.run(cluster.events("protection"))) == 4


def test_lines_and_what_is_shown(run: Run, cluster: Any) -> None:
    """JSON lines from stdin are the same list; everybody's cases are listed and shown."""
    line = {
        "municipality_code": "131016", "subject_id": TWO_CASES,
        "started_on": SUMMER, "decided_on": "2025-12-01",
    }  # fmt: skip
    listed = json.loads(run("list", "--json").stdout)
    assert [(each["subject"], each["open"]) for each in listed] == [
        (f"131016/{ONE_CASE}", 1), (f"131016/{TWO_CASES}", 2),
    ]  # fmt: skip

    done = run("end", "-", "--yes", "--json", stdin=json.dumps(line) + "\n")
    assert done.exit_code == 0
    shown = json.loads(run("show", "131016/12345674", "--json").stdout)
    assert [case["status"] for case in shown["cases"]] == ["ACTIVE", "ENDED"]
    assert shown["covers"][f"131016/{TWO_CASES}"][0]["relation"] == "case"
    assert not set(shown["same_address_not_covered"]) & set(shown["covers"])
    assert "1 open of 2 cases" in run("show", f"131016/{TWO_CASES}").stdout
    assert ONE_CASE in run("list").stdout


def test_what_a_household_that_cannot_be_read_would_cover_is_not_known(
    run: Run, cluster: Any
) -> None:
    """Shown is no all-clear: the place of the record is named."""

    async def spoil() -> None:
        async with cluster.open() as (topics, _):
            producer = topics.producer()
            await producer.start()
            topic = CATALOG.stream("household").topic
            await producer.send([Message(topic, 0, b"131016/000000000000077", b"\x00no event")])
            await producer.close()

    before = json.loads(run("show", f"131016/{ONE_CASE}", "--json").stdout)
    asyncio.run(spoil())
    shown = json.loads(run("show", f"131016/{ONE_CASE}", "--json").stdout)
    said = run("show", f"131016/{ONE_CASE}").stdout

    assert before["unread"] == []
    assert [place["partition"] for place in shown["unread"]] == [0]
    assert "not known: whom" in said
    assert "RK-412" in said


def test_who_looks_is_recorded(run: Run, cluster: Any, tmp_path: Path) -> None:
    """Durably, before the answer is given: by whom, why, and of how many; numbers are not said."""
    file = tmp_path / "ended.csv"
    file.write_text(LIST, encoding="utf-8")
    run("list")
    run("show", f"131016/{TWO_CASES}")
    run("end", str(file), "--dry-run")
    run("end", str(file), "--yes")

    said = asyncio.run(cluster.events("deed"))
    assert [(deed["act"], deed["count"]) for deed in said] == [
        ("protections-list", 2),
        ("protection-of", 1),
        ("protections-list", 4),
        ("protections-end", 2),
    ]
    assert {(deed["actor"], deed["account"], deed["reason"]) for deed in said} == {
        ("somebody", account(), "T-1")
    }
    assert TWO_CASES not in str(said)
