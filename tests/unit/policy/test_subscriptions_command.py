"""``renkei subscriptions``, as far as it speaks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
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
    for part in ("streams", "types", "codes", "systems.yaml"):
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


def test_show_says_masks_rows_and_ordinances(app: typer.Typer) -> None:
    """All that a grant says is seen, not only what it opens."""
    result = CliRunner().invoke(app, ["subscriptions", "show", "light_vehicle_tax", "--json"])
    streams = {each["stream"]: each for each in json.loads(result.stdout)["streams"]}
    masks = {each["field"]: each["mask"] for each in streams["nonresident"]["fields"]}
    number = CliRunner().invoke(app, ["subscriptions", "show", "child_allowance"]).stdout

    assert masks["birth_date.date"] == "birth_year"
    assert masks["birth_date.text"] == "withhold"
    assert masks["name.full"] is None
    assert streams["nonresident"]["where"] == ["not_for_other_businesses equals false"]
    assert streams["nonresident"]["mode"] == "auto_apply"
    assert json.loads(result.stdout)["zone_ja"] == "マイナンバー利用事務系"
    assert "番号利用事務" in number
    assert "番号法第9条第2項" in number


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A schemas folder like the shipped one, with the text of one subscription replaced."""
    shipped = Path(subscriptions.__file__).parents[2] / "schemas"
    for part in ("streams", "types", "codes", "systems.yaml"):
        (tmp_path / part).symlink_to(shipped / part)
    shutil.copytree(shipped / "subscriptions", tmp_path / "subscriptions")
    monkeypatch.setenv("RENKEI_SCHEMAS", str(tmp_path))

    def change(system: str, old: str, new: str) -> Path:
        file = tmp_path / "subscriptions" / f"{system}.yaml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")
        return tmp_path

    return change


def test_a_bad_grant_is_told_and_the_others_are_shown(
    app: typer.Typer, changed: Callable[..., Path]
) -> None:
    """On stderr, with its file and line; the check still refuses all."""
    changed("corporate_resident_tax", "name.full", "name.fool")

    listed = CliRunner().invoke(app, ["subscriptions", "list", "--json"])
    shown = CliRunner().invoke(app, ["subscriptions", "show", "electoral_roll"])
    checked = CliRunner().invoke(app, ["subscriptions", "check"])

    found = {each["system"]: each for each in json.loads(listed.stdout)}
    assert len(found) == 17
    assert found["corporate_resident_tax"]["refused"] == ["resident"]
    assert "not granted" in listed.stderr
    assert "corporate_resident_tax" in listed.stderr
    assert shown.exit_code == 0
    assert shown.stderr == ""
    assert isinstance(checked.exception, FilesRefused)


def test_a_mask_without_its_key_is_told(app: typer.Typer, changed: Callable[..., Path]) -> None:
    """The page says what is not delivered, and why."""
    changed(
        "light_vehicle_tax", "certificates.number: last_four", "certificates.number: keyed_hash"
    )

    result = CliRunner().invoke(app, ["subscriptions", "show", "light_vehicle_tax", "--json"])

    streams = {each["stream"]: each for each in json.loads(result.stdout)["streams"]}
    assert "RK-302" in streams["disability_welfare.certificate"]["not_delivered"]
    assert streams["resident"]["not_delivered"] is None


def test_diff_says_it_in_words(app: typer.Typer, changed: Callable[..., Path]) -> None:
    """Who gains or loses which items, in both languages, on which ground, and what follows."""
    shipped = str(Path(subscriptions.__file__).parents[2] / "schemas")
    new = changed("light_vehicle_tax", "birth_date: birth_year", "birth_date: age_band")
    (new / "subscriptions" / "electoral_roll.yaml").unlink()

    result = CliRunner().invoke(app, ["subscriptions", "diff", shipped, str(new)])
    as_json = CliRunner().invoke(app, ["subscriptions", "diff", shipped, str(new), "--json"])

    assert result.exit_code == 0
    assert "electoral_roll (選挙人名簿管理) loses the stream resident (住民)" in result.stdout
    assert "mask     birth_date.date (生年月日): birth_year -> age_band" in result.stdout
    assert "needs a rebuild" in result.stdout
    found = {(each["system"], each["stream"]): each for each in json.loads(as_json.stdout)}
    assert set(found) == {
        ("electoral_roll", "calendar.milestone"), ("electoral_roll", "protection"),
        ("electoral_roll", "resident"), ("light_vehicle_tax", "nonresident"),
    }  # fmt: skip
    assert found["light_vehicle_tax", "nonresident"]["removes"] == ["birth_date"]
    assert found["electoral_roll", "resident"]["kind"] == "lost"


def test_diff_of_the_same_is_nothing(app: typer.Typer) -> None:
    """Folders and single files alike."""
    shipped = Path(subscriptions.__file__).parents[2] / "schemas" / "subscriptions"
    file = str(shipped / "child_allowance.yaml")

    for one in (str(shipped), file):
        result = CliRunner().invoke(app, ["subscriptions", "diff", one, one])
        assert result.stdout == "nothing changes\n"


@pytest.mark.parametrize("is_reversed", [False, True])
def test_diff_of_one_file_is_of_one_system(
    app: typer.Typer, changed: Callable[..., Path], is_reversed: bool
) -> None:
    """Whoever changes one system copies one file: of all others it says nothing."""
    shipped = str(Path(subscriptions.__file__).parents[2] / "schemas")
    new = changed("light_vehicle_tax", "birth_date: birth_year", "birth_date: age_band")
    both = [shipped, str(new / "subscriptions" / "light_vehicle_tax.yaml")]
    both = both[::-1] if is_reversed else both
    result = CliRunner().invoke(app, ["subscriptions", "diff", *both, "--json"])

    found = {(each["system"], each["stream"]) for each in json.loads(result.stdout)}
    assert found == {("light_vehicle_tax", "nonresident")}


def test_diff_wants_files_without_faults(app: typer.Typer, tmp_path: Path) -> None:
    """A comparison with half a policy would be read as the whole."""
    (tmp_path / "bad.yaml").write_text("system: bad\n", encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()

    spoilt = CliRunner().invoke(app, ["subscriptions", "diff", str(tmp_path), str(tmp_path)])
    nothing = CliRunner().invoke(app, ["subscriptions", "diff", str(empty), str(empty)])

    assert isinstance(spoilt.exception, FilesRefused)
    assert isinstance(nothing.exception, ConfigurationError)


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
