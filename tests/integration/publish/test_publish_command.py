"""``renkei publish`` on the real engines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from bus.app import loading
from bus.cli import publish as command
from bus.errors import BrokerUnavailable, ConfigurationError
from bus.publish.publisher import Publisher
from bus.publish.runner import BULK
from tests.integration.publish.conftest import at_home, over_cluster
from tests.support.changes import body, change, record

pytestmark = pytest.mark.service

Run = Callable[..., Result]


@pytest.fixture
def run(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command against the test's own topics."""
    at_home(monkeypatch, tmp_path)
    over_cluster(monkeypatch, cluster)
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)

    def invoke(*arguments: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, ["publish", *arguments], input=stdin, catch_exceptions=False)

    return invoke


def residents(count: int) -> list[str]:
    """Lines of so many different residents."""
    return [
        json.dumps(change(record(subject_id=f"{number:015d}")), ensure_ascii=False)
        for number in range(1, count + 1)
    ]


def written(path: Path, lines: list[str]) -> str:
    """A file of lines; its path."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def count(cluster: Any) -> int:
    """How many residents are in the topic."""
    return len(asyncio.run(cluster.events("resident")))


def test_a_file_is_published(run: Run, cluster: Any, tmp_path: Path) -> None:
    """All of it, once, however often; nothing stays behind at home."""
    file = written(tmp_path / "load.jsonl", residents(5))

    first, again = run(file), run(file, "--json")

    assert first.exit_code == 0
    assert "5 of 5 changes published" in first.stdout
    summary = json.loads(again.stdout)
    assert again.exit_code == 0
    assert (summary["published"], summary["already_there"], summary["refused"]) == (5, 5, 0)
    assert summary["warnings"] == [
        {"code": "check-digit", "field": "header.subject_id", "count": 5}
    ]
    assert count(cluster) == 5
    assert list((tmp_path / "home" / "publish").iterdir()) == []


def test_refused_lines_are_reported(run: Run, cluster: Any, tmp_path: Path) -> None:
    """By number, with codes and Japanese names, and no values; the exit status says so."""
    secret = json.dumps(
        change(record(body=body("resident", name__full="秘密\n太郎", sex="9"))), ensure_ascii=False
    )
    file = written(tmp_path / "load.jsonl", [*residents(2), secret, "{"])
    report = tmp_path / "report.jsonl"
    report.touch(mode=0o644)  # also one that was there

    result = run(file, "--json", "--report", str(report))

    assert result.exit_code == 65
    summary = json.loads(result.stdout)
    assert (summary["published"], summary["refused"]) == (2, 2)
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    assert summary["refused_lines"] == lines
    assert [line["line"] for line in lines] == [3, 4]
    assert [(f["code"], f["field"], f["item"]) for f in lines[0]["faults"]] == [
        ("control-character", "name.full", "氏名"),
        ("code-list", "sex", "性別"),
    ]
    assert "line 3: record 0 name.full (氏名): control-character" in result.stderr
    assert report.stat().st_mode & 0o777 == 0o600
    assert "秘密" not in result.output + report.read_text(encoding="utf-8")
    assert count(cluster) == 2


def test_stdin_and_a_dry_run(run: Run, cluster: Any) -> None:
    """A pipe is a file; a dry run judges all of it and sends nothing."""
    data = "\n".join([*residents(3), json.dumps(change(record(version=2)))]).encode()

    result = run("-", "--dry-run", "--json", stdin=data)

    assert result.exit_code == 65
    summary = json.loads(result.stdout)
    assert (summary["dry_run"], summary["published"], summary["refused"]) == (True, 3, 1)
    assert count(cluster) == 0
    assert run("-", stdin=data).exit_code == 65
    assert count(cluster) == 3


def test_an_interrupted_load_is_resumed(
    run: Run, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the batch that was not done, by the journal at home."""
    monkeypatch.setattr(loading, "BULK", replace(BULK, batch_changes=10))
    file = written(tmp_path / "load.jsonl", residents(35))
    real, calls = Publisher.publish, []

    async def failing(self: Publisher, changes: Any) -> Any:
        calls.append(len(changes))
        if len(calls) == 3:
            raise BrokerUnavailable("the broker does not answer")
        return await real(self, changes)

    monkeypatch.setattr(Publisher, "publish", failing)
    with pytest.raises(BrokerUnavailable):
        run(file)
    assert count(cluster) == 20

    result = run(file, "--resume", "--json")

    assert result.exit_code == 0
    assert "resuming after line 20" in result.stderr
    assert calls == [10, 10, 10, 10, 5]
    summary = json.loads(result.stdout)
    assert (summary["lines"], summary["published"], summary["already_there"]) == (35, 35, 0)
    assert count(cluster) == 35


def test_what_cannot_be_done_is_said(run: Run, tmp_path: Path) -> None:
    """A file that is not there, and a pipe that cannot be wound back."""
    with pytest.raises(ConfigurationError, match="cannot read the file"):
        run(str(tmp_path / "nowhere.jsonl"))
    with pytest.raises(ConfigurationError, match="stdin"):
        run("-", "--resume", stdin=b"")
    with pytest.raises(ConfigurationError, match="report"):
        run("-", "--report", str(tmp_path / "no" / "folder"), stdin=b"")
