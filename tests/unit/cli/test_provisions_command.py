"""What is handed out of the ledger: on the terminal, as a page, as a table, as JSON."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from contextlib import closing
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bus.cli import provisions as command
from bus.cli.main import build
from bus.errors import ConfigurationError
from bus.ledger import handout
from bus.ledger.provisions import (
    DayOfProvisions,
    GivenItem,
    Provision,
    Provisions,
    RecordedView,
    SystemProvisions,
)
from bus.operate import provisions
from bus.operate.provisions import ProvisionsShown

JAPAN = ZoneInfo("Asia/Tokyo")
AT = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)  # the 25th in Japan


def view(**given: object) -> RecordedView:
    values = {
        "fingerprint": "v1",
        "system": "school_enrollment",
        "system_ja": "就学",
        "stream": "resident",
        "stream_ja": "住民",
        "schema_version": 2,
        "items": (
            GivenItem("event_id", "header.event_id", "イベントID", "plain", ""),
            GivenItem("name_full", "name.full", "氏名", "personal", ""),
            GivenItem("birth_date", "birth_date", "生年月日", "personal", "birth_year"),
            GivenItem("address_town", "address.town", "住所_町字", "location", ""),
        ),
        "event_types": ("resident.moved_in",),
        "conditions": (),
        "suppression": "withhold",
        "mode": "auto_apply",
        "legal_basis": "学校教育法施行令第1条 [注]<b>",
        "number_use": "",
        "purpose": "学齢簿の編製",
        "approver": "総務部長",
        "approved_on": date(2026, 4, 1),
        "expires_on": date(2029, 3, 31),
        "statement": "{}",
    }
    return RecordedView(**{**values, **given})  # type: ignore[arg-type]


def provision(offset: int, **given: object) -> Provision:
    values = {
        "given_at": AT,
        "system": "school_enrollment",
        "stream": "resident",
        "subject_id": "000000012345674",
        "version": offset,
        "event_type": "resident.moved_in",
        "event_id": "e",
        "change_id": "c",
        "processed_at": AT,
        "partition": 0,
        "offset": offset,
        "view": "v1",
        "is_replay": False,
        "receipt": "r",
    }
    return Provision(**{**values, **given})  # type: ignore[arg-type]


def answer(**given: object) -> Provisions:
    values = {
        "municipality_code": "131016",
        "subject_id": "000000012345674",
        "provisions": [provision(1), provision(2, view="gone")],
        "views": {"v1": view()},
        "has_protection": False,
        "naming": ("household",),
    }
    return Provisions(**{**values, **given})  # type: ignore[arg-type]


def filled(sheet: handout.HtmlSheet | handout.CsvSheet, *pages: Provisions) -> str:
    with closing(sheet):
        for page in pages:
            sheet.take(page)
        return "".join(sheet.text())


def drawn(what: object) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_terminal_has_each_provision_and_its_ground() -> None:
    """Brackets of a law's name are no markup; days are those of Japan."""
    text = drawn(command.draw(ProvisionsShown(answer(), JAPAN)))

    assert "2 provisions to 1 systems" in text
    assert "2026-11-25 08:30" in text
    assert "[注]<b>" in text.replace("\n", "")
    assert "3 items" in text  # the envelope is none
    assert "nothing was given" in drawn(command.draw(ProvisionsShown(answer(provisions=[]), JAPAN)))


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_says_all_in_both_languages() -> None:
    """Items with their masks, where a location may be withheld, and what is not known."""
    page = _Text()
    sheet = handout.HtmlSheet(JAPAN, made_at=AT, period="2026-04-01 –")
    page.feed(filled(sheet, answer()))
    text = " ".join(page.text)

    for said in ("提供記録", "Record of provisions", "就学", "学齢簿の編製", "総務部長", "131016"):
        assert said in text
    assert "氏名、生年月日（birth_year）、住所_町字※" in text
    assert "イベントID" not in text
    assert "学校教育法施行令第1条 [注]<b>" in text  # escaped: it is text, not a tag
    assert "b" not in page.tags
    assert "does not say" in text.replace("\n", " ")
    assert "記録なし" in text
    assert page.tags.count("tr") == 3
    assert "household" in text


def test_the_note_on_protection_is_there_only_where_it_matters() -> None:
    """A capable system is given the location; one without a location withholds none."""
    capable = view(suppression="capable")
    bare = view(items=(GivenItem("name_full", "name.full", "氏名", "personal", ""),))

    assert handout.suppression_of(capable).startswith("抑止せず")
    assert handout.suppression_of(bare).startswith("所在に関する項目なし")
    for each in (capable, bare):
        notes = handout.notes(
            answer(provisions=[provision(1)], views={"v1": each}, naming=()), JAPAN
        )
        assert len(notes) == 1


def test_the_table_has_the_ground_in_every_row() -> None:
    """A spreadsheet reads it back as it is."""
    text = filled(handout.CsvSheet(JAPAN), answer()).removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(text)))

    assert len(rows) == 3
    assert rows[1][8:] == [
        "学校教育法施行令第1条 [注]<b>", "学齢簿の編製", "総務部長",
        "氏名、生年月日（birth_year）、住所_町字※",
    ]  # fmt: skip
    assert rows[2][8:] == ["", "", "", ""]


def pages() -> list[Provisions]:
    """The answer in two pages, of which the second has another ground too."""
    first = answer(provisions=[provision(1), provision(2, view="gone")])
    other = view(fingerprint="v2", legal_basis="別の法律")
    both = {"v2": other, "v1": view()}
    return [first, answer(provisions=[provision(3, view="v2"), provision(4)], views=both)]


def test_pages_are_one_sheet() -> None:
    """Numbers go on, and each ground has one mark: as if all had come at once."""
    one, two = pages()
    given = [*one.provisions, *two.provisions]
    whole = answer(provisions=given, views={**one.views, **two.views})
    for make in (
        lambda: handout.HtmlSheet(JAPAN, made_at=AT, period="–"),
        lambda: handout.CsvSheet(JAPAN),
    ):
        assert filled(make(), one, two) == filled(make(), whole)
    text = filled(handout.CsvSheet(JAPAN), one, two).removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(text)))
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4"]
    assert [row[7][:3] for row in rows[1:]] == ["[1]", "記録な", "[2]", "[1]"]


def test_a_sheet_holds_no_row_in_memory() -> None:
    """However many pages it takes: a person may have very many."""
    with closing(handout.CsvSheet(JAPAN)) as sheet:
        tracemalloc.start()
        for _ in range(20):
            sheet.take(answer(provisions=[provision(n) for n in range(1_000)]))
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert sheet.count == 20_000
        assert sum(map(len, sheet.text())) > 2_000_000
    assert size < 500_000


def paged(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Two pages, as the ledger gives them; what each was asked after."""
    asked: list[str | None] = []

    async def found(*_: object, after: str | None = None, **__: object) -> ProvisionsShown:
        asked.append(after)
        one, two = pages()
        if after is None:
            return ProvisionsShown(one, JAPAN, "a/place", is_whole=False)
        return ProvisionsShown(two, JAPAN, is_whole=False)

    monkeypatch.setattr(provisions, "provisions_of", found)
    return asked


def test_a_page_ends_with_where_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """For people and for machines; the last one says no such thing."""
    asked = paged(monkeypatch)

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(build(), ["provisions", "of", "1", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "2 provisions to 1 systems on this page" in said()
    assert said().rstrip().endswith("more: --after a/place")
    assert "more:" not in said("--after", "a/place")
    assert json.loads(said("--json"))["after"] == "a/place"
    assert json.loads(said("--json", "--after", "a/place"))["after"] is None
    assert asked == [None, None, "a/place", None, "a/place"]


def test_a_file_has_all_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not written of one."""
    asked = paged(monkeypatch)
    table = tmp_path / "a.csv"
    of = ["provisions", "of", "1", "--csv", str(table)]

    refused = CliRunner().invoke(build(), [*of, "--limit", "5"])
    assert isinstance(refused.exception, ConfigurationError)
    assert asked == []
    done = CliRunner().invoke(build(), of)

    assert "4 provisions written" in done.stdout
    assert asked == [None, "a/place"]
    assert len(table.read_text(encoding="utf-8").splitlines()) == 5


def test_files_are_for_their_owner_and_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever may be asked about is under protection is told of it, not in the file's name."""

    async def found(*_: object, **__: object) -> ProvisionsShown:
        return ProvisionsShown(answer(has_protection=True), JAPAN)

    monkeypatch.setattr(provisions, "provisions_of", found)
    html, table = tmp_path / "a.html", tmp_path / "a.csv"
    arguments = ["provisions", "of", "1", "--html", str(html), "--csv", str(table)]

    done = CliRunner().invoke(build(), arguments)
    again = CliRunner().invoke(build(), arguments)

    assert done.exit_code == 0, done.output
    assert "支援措置" in done.stderr
    assert "2 provisions written" in done.stdout
    assert {file.stat().st_mode & 0o777 for file in (html, table)} == {0o600}
    assert table.read_bytes().startswith(b"\xef\xbb\xbf")
    assert isinstance(again.exception, ConfigurationError)


def test_machines_get_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every provision, every ground, every note."""

    async def found(*_: object, **__: object) -> ProvisionsShown:
        return ProvisionsShown(answer(), JAPAN)

    monkeypatch.setattr(provisions, "provisions_of", found)
    done = CliRunner().invoke(build(), ["provisions", "of", "1", "--json"])
    told = json.loads(done.stdout)

    assert [p["offset"] for p in told["provisions"]] == [1, 2]
    assert told["views"]["v1"]["legal_basis"] == view().legal_basis
    assert told["views"]["v1"]["items"][2]["mask"] == "birth_year"
    assert told["may_be_named_in"] == ["household"]
    assert told["erasure"] is None
    assert {"ja", "en"} == set(told["notes"][0])


def test_a_system_by_day() -> None:
    """Sums, and grounds; one that nobody recorded is said."""
    days = [
        DayOfProvisions(day=date(2026, 11, 24), stream="resident", view=v, deliveries=2, events=3)
        for v in ("v1", "gone")
    ]
    text = drawn(
        command.draw_days(
            SystemProvisions(system="school_enrollment", days=days, views={"v1": view()})
        )
    )

    assert "school_enrollment: 6 events" in text
    assert "not recorded" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["by", "child_allowance", "--after", "y"], "--after goes on with"),
        (["of", "1", "--after", "y"], "--after is what"),
        (["by", "child_allowance", "--details", "resident", "--after", "y"], "--after is what"),
        (
            ["by", "child_allowance", "--from", "2026-02-02", "--to", "2026-02-01"],
            "--from is no later",
        ),
    ],
)
def test_a_slip_of_the_pen_is_said(arguments: list[str], said: str) -> None:
    """Before anything is asked."""
    done = CliRunner().invoke(build(), ["provisions", *arguments])

    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)


def test_erasing_for_machines_says_that_it_is_meant() -> None:
    """Nobody can be asked."""
    done = CliRunner().invoke(build(), ["erase", "1", "--reason", "T-1", "--json"])

    assert isinstance(done.exception, ConfigurationError)
    assert "--yes or --dry-run" in str(done.exception)


def test_erasing_needs_a_reason() -> None:
    """A command without one is no command."""
    assert CliRunner().invoke(build(), ["erase", "1"]).exit_code == 2
    blank = CliRunner().invoke(build(), ["erase", "1", "--reason", " "])
    assert isinstance(blank.exception, ConfigurationError)
