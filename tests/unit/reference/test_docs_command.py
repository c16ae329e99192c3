"""``renkei docs build``: writes, and notices when something it was made from has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bus.cli import docs
from bus.errors import ConfigurationError, FilesRefused


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    docs.register(app)
    return app


@pytest.fixture
def built(app: typer.Typer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pages of the copied schemas, where the command puts them by itself."""
    monkeypatch.setenv("RENKEI_SCHEMAS", str(folder))
    (tmp_path / "docs").mkdir()
    result = CliRunner().invoke(app, ["docs", "build"])
    assert result.exit_code == 0, result.exception
    return tmp_path / "docs" / "reference"


def replaced(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_the_pages_are_beside_the_schemas(app: typer.Typer, built: Path) -> None:
    """And a second run finds nothing to do."""
    assert (built / "streams" / "resident.md").is_file()

    again = CliRunner().invoke(app, ["docs", "build", "--json"])
    checked = CliRunner().invoke(app, ["docs", "build", "--check"])

    said = json.loads(again.stdout)
    assert (said["missing"], said["old"], said["surplus"]) == ([], [], [])
    assert said["pages"] == len([file for file in built.rglob("*") if file.is_file()])
    assert checked.exit_code == 0
    assert "as they would be written" in checked.stdout


EDITS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a name in a schema": (
        lambda f: replaced(f / "streams/household/v1.avsc", "世帯員数", "世帯員の数"),
        "streams/household.md",
    ),
    "a check in a shared type": (
        lambda f: replaced(
            f / "types/person_name.avsc", '"x-max-length": 50', '"x-max-length": 49'
        ),
        "streams/resident.md",
    ),
    "an English name": (
        lambda f: replaced(
            f / "streams/household/v1.avsc",
            '"x-romaji": "setaiinsu"',
            '"x-romaji": "setaiinsu", "x-en": "Number of members"',
        ),
        "streams/household.md",
    ),
    "the purpose of a grant": (
        lambda f: replaced(f / "subscriptions/electoral_roll.yaml", "purpose: ", "purpose: 別の"),
        "systems/electoral_roll.md",
    ),
    "a name in a code list": (
        lambda f: replaced(f / "codes/sexes.yaml", "en: male", "en: a man"),
        "codes/sexes.md",
    ),
    "a name in the list of systems": (
        lambda f: replaced(f / "systems.yaml", "en: calendar", "en: almanac"),
        "systems/calendar.md",
    ),
    "an example": (
        lambda f: replaced(
            f / "streams/household/examples/valid/child_born.json",
            "123456789012340",
            "123456789012341",
        ),
        "streams/household.md",
    ),
}


FIRST, *OTHERS = EDITS


@pytest.mark.parametrize(
    "edit", [FIRST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_a_change_of_any_source_is_noticed(
    edit: str, app: typer.Typer, folder: Path, built: Path
) -> None:
    """The check fails and names the page, writes nothing; building anew makes it pass."""
    change, page = EDITS[edit]
    before = (built / page).read_bytes()
    change(folder)

    found = CliRunner().invoke(app, ["docs", "build", "--check", "--json"])

    assert isinstance(found.exception, FilesRefused)
    assert found.exception.exit_status == 78
    assert page in json.loads(found.stdout)["old"]
    assert page in {fault.file for fault in found.exception.faults}
    assert (built / page).read_bytes() == before
    assert CliRunner().invoke(app, ["docs", "build"]).exit_code == 0
    assert CliRunner().invoke(app, ["docs", "build", "--check"]).exit_code == 0
    assert (built / page).read_bytes() != before


def test_a_page_by_hand_in_the_place_of_one_is_noticed(app: typer.Typer, built: Path) -> None:
    """What somebody changed in a page is as old as what somebody changed in a schema."""
    replaced(built / "README.md", "Reference", "References")
    (built / "systems" / "calendar.md").unlink()

    found = CliRunner().invoke(app, ["docs", "build", "--check"])

    assert isinstance(found.exception, FilesRefused)
    assert [(fault.code, fault.file) for fault in found.exception.faults] == [
        ("missing-page", "systems/calendar.md"),
        ("old-page", "README.md"),
    ]


def test_it_writes_where_it_is_told(app: typer.Typer, tmp_path: Path) -> None:
    """Of the shipped schemas, anywhere."""
    result = CliRunner().invoke(app, ["docs", "build", "--out", str(tmp_path / "there")])

    assert result.exit_code == 0
    assert (tmp_path / "there" / "index.html").is_file()


def test_schemas_without_docs_beside_them_need_a_place(
    app: typer.Typer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is put somewhere by a guess."""
    monkeypatch.setenv("RENKEI_SCHEMAS", str(folder))

    result = CliRunner().invoke(app, ["docs", "build"])

    assert isinstance(result.exception, ConfigurationError)
    assert "--out" in str(result.exception)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["schemas"]
