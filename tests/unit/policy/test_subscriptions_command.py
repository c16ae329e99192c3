"""``renkei subscriptions``, as far as it speaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bus.cli import subscriptions
from bus.errors import ConfigurationError, FilesRefused


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    subscriptions.register(app)
    return app


def test_check_says_how_many_are_good(app: typer.Typer) -> None:
    """One sentence where all is well."""
    result = CliRunner().invoke(app, ["subscriptions", "check"])

    assert result.exit_code == 0
    assert result.stdout == "17 subscriptions, no fault\n"


def test_check_refuses_with_every_fault(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faults travel with the error; --json prints them too."""
    shipped = Path(subscriptions.__file__).parents[2] / "schemas"
    for part in ("streams", "types", "codes"):
        (tmp_path / part).symlink_to(shipped / part)
    (tmp_path / "subscriptions").mkdir()
    (tmp_path / "subscriptions" / "bad.yaml").write_text("system: good\n", encoding="utf-8")
    monkeypatch.setenv("RENKEI_SCHEMAS", str(tmp_path))

    result = CliRunner().invoke(app, ["subscriptions", "check", "--json"])

    assert isinstance(result.exception, FilesRefused)
    assert result.exception.exit_status == 78
    printed = json.loads(result.stdout)
    assert printed["subscriptions"] == 0
    assert len(printed["faults"]) == len(result.exception.faults) > 1
    assert printed["faults"][0].startswith("subscriptions/bad.yaml:1 system: file-name")


def test_show_says_what_is_withheld_and_what_is_not_granted(app: typer.Typer) -> None:
    """An approver reads what the system will see, in words of the field."""
    result = CliRunner().invoke(app, ["subscriptions", "show", "child_allowance", "--json"])

    shown = json.loads(result.stdout)
    resident = next(each for each in shown["streams"] if each["stream"] == "resident")
    fields = {each["field"]: each for each in resident["fields"]}
    assert fields["address.lot"]["withheld_under_protection"]
    assert fields["address.lot"]["ja"] == "住所_番地号表記"
    assert not fields["name.full"]["withheld_under_protection"]
    assert "sex" in {each["field"] for each in resident["not_granted"]}
    assert resident["is_in_force"]
    assert len(resident["view"]) == 64


def test_show_fits_eighty_columns(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off, and nothing is wider than a plain terminal."""
    monkeypatch.setenv("COLUMNS", "80")

    result = CliRunner().invoke(app, ["subscriptions", "show", "national_health_insurance"])

    assert result.exit_code == 0
    assert "…" not in result.stdout
    assert "国民健康保険" in result.stdout
    assert all(_width(line) <= 80 for line in result.stdout.splitlines())


def test_a_capable_system_shows_its_reason(app: typer.Typer) -> None:
    """Who may have a protected person's address is seen at a glance, with the reason."""
    result = CliRunner().invoke(app, ["subscriptions", "show", "public_assistance"])

    assert "capable: location and flag" in result.stdout
    assert "Reason" in result.stdout


def test_list_names_every_system(app: typer.Typer) -> None:
    """Seventeen, the register among them: it receives qualification data."""
    result = CliRunner().invoke(app, ["subscriptions", "list", "--json"])

    listed = {each["system"]: each["streams"] for each in json.loads(result.stdout)}
    assert len(listed) == 17
    assert "national_pension.qualification" in listed["resident_registry"]
    assert listed["corporate_resident_tax"] == ["resident"]


def test_an_unknown_system_is_refused(app: typer.Typer) -> None:
    """With where to look."""
    result = CliRunner().invoke(app, ["subscriptions", "show", "weather"])

    assert isinstance(result.exception, ConfigurationError)
    assert "subscriptions list" in str(result.exception)


def _width(line: str) -> int:
    return sum(2 if ord(sign) > 0x2E7F else 1 for sign in line)
