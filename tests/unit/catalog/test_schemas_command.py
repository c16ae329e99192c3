"""`renkei schemas`: what it prints, and its exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from bus.catalog.load import SHIPPED, load
from bus.catalog.registry import Pushed, PushLine
from bus.cli import schemas
from bus.errors import FilesRefused
from bus.operate import contracts
from bus.operate.session import Session

Edit = Callable[[str, Callable[[Any], None]], Path]
HOUSEHOLD = "streams/household/v1.avsc"
NAMES = [folder.name for folder in (SHIPPED / "streams").iterdir()]
STREAMS = len(NAMES)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's own, and no engines that happen to run."""
    for name in ("RENKEI_SETTINGS", "RENKEI_SCHEMAS", "RENKEI_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RENKEI_HOME", str(tmp_path / "home"))


@pytest.fixture
def shown() -> Collection[str]:
    """All of them: ``check`` judges what it finds, and what it does not find."""
    return NAMES


def run(*arguments: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    schemas.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["schemas", *arguments], env={"COLUMNS": "80"})


@pytest.mark.slow
def test_check_says_what_it_read() -> None:
    """The shipped files, all of them, without a fault."""
    result = run("check")

    assert result.exit_code == 0, result.output
    assert f"{STREAMS} streams, " in result.stdout
    assert result.stdout.rstrip().endswith("no fault")


@pytest.mark.slow
def test_check_as_json() -> None:
    """The same for programs, with the readers that took part."""
    report = json.loads(run("check", "--json").stdout)

    assert report["faults"] == []
    assert report["streams"] == STREAMS
    assert report["readers"] == ["fastavro", "pyruhvro", "avro-python3"]


def test_check_refuses_with_every_fault(
    folder: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two spoilt files are two faults, in one run, with exit status 78."""
    edit(HOUSEHOLD, lambda value: value["fields"][-1].pop("x-ja"))
    (folder / "codes/sexes.yaml").write_bytes("ja: 性別".encode("cp932"))
    monkeypatch.setenv("RENKEI_SCHEMAS", str(folder))

    result = run("check", "--json")

    assert isinstance(result.exception, FilesRefused)
    assert result.exception.exit_status == 78
    places = {(fault["file"], fault["code"]) for fault in json.loads(result.stdout)["faults"]}
    assert (HOUSEHOLD, "property") in places
    assert ("codes/sexes.yaml", "encoding") in places
    assert all(fault["line"] for fault in json.loads(result.stdout)["faults"])


@pytest.mark.slow
def test_check_judges_examples(folder: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example that should fail but passes is a fault of the files."""
    name = "streams/resident/examples/invalid/sex_in_no_code_list.json"
    edit(name, lambda value: value["with"].update({"sex": "1"}))
    monkeypatch.setenv("RENKEI_SCHEMAS", str(folder))

    result = run("check")

    assert isinstance(result.exception, FilesRefused)
    assert [fault.code for fault in result.exception.faults] == ["example-passes"]


@pytest.mark.slow
def test_check_without_the_third_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where avro-python3 is not installed, it says so and checks the rest."""
    monkeypatch.setitem(sys.modules, "bus.catalog.third_reader", None)

    result = run("check")

    assert result.exit_code == 0
    assert "avro-python3 is not installed" in result.stderr


def test_list_and_show() -> None:
    """Streams with their topics; items with both names and their checks, at 80 columns."""
    listed, shown = run("list"), run("show", "resident")

    assert "linkage.protection" in listed.stdout
    assert "birth_date.unknown" in shown.stdout
    assert "生年月日_不詳フラグ" in shown.stdout
    assert "resident.moved_in" in shown.stdout
    assert json.loads(run("list", "--json").stdout)[0]["stream"] == min(NAMES)
    items = json.loads(run("show", "resident", "--json").stdout)["items"]
    assert next(item for item in items if item["path"] == "sex")["codes"] == "sexes"


def test_show_of_no_stream() -> None:
    """A wrong name is an error of the contract, not a traceback of ours."""
    assert type(run("show", "parcel").exception).__name__ == "UnknownName"


def test_push_without_a_registry() -> None:
    """A missing setting names its variable."""
    result = run("push")

    assert "RENKEI_REGISTRY" in str(result.exception)


def test_ids_are_those_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each version; none where it is not registered. Without the option nobody is asked."""

    async def pushed(_: Session, *, is_dry: bool) -> list[PushLine]:
        assert is_dry
        return [
            PushLine(stream.name, version.version, stream.schema_subject, Pushed.PRESENT, known)
            for stream in load(SHIPPED).streams.values()
            for version in stream.versions
            for known in [None if (stream.name, version.version) == ("household", 1) else 4711]
        ]

    monkeypatch.setattr(contracts, "pushed", pushed)
    text = run("list", "--ids").stdout
    said = {each["stream"]: each for each in json.loads(run("list", "--ids", "--json").stdout)}
    without = json.loads(run("list", "--json").stdout)

    assert "4711  resident" in text
    assert "–  household" in text
    assert said["household"]["versions"][0]["id"] is None
    assert said["resident"]["versions"][-1]["id"] == 4711
    assert all("id" not in version for each in without for version in each["versions"])
