"""The demo's pictures: readable at 80 columns, without colour, and piped."""

from __future__ import annotations

import json
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from bus.catalog import load
from bus.demo import picture, run, screen
from bus.demo.result import (
    Arrival,
    ChangeShown,
    Compared,
    DemoResult,
    FirstLoad,
    ProviderShown,
    ReceiverShown,
    SideBySide,
)
from bus.demo.sight import LEFT
from bus.demo.story import scenes
from bus.policy import load_subscriptions
from bus.sample.municipality import Municipality
from bus.sample.neighbours import NEIGHBOURS

COMPARED = SideBySide(
    "child_allowance",
    "public_assistance",
    [Compared("address", "住所", None, "筑土八幡町 ８０１番地 第二筑土八幡町７０４号室")],
)
RECORD = Path(__file__).parents[3] / "docs" / "demo.json"


def change(*, applied: int = 16, ledger: int = 16) -> ChangeShown:
    """A change as the demo may have shown it."""
    arrivals = [
        Arrival(f"individual_resident_tax_{n}"[:24], "個人住民税", n < applied, 83.4 + n)
        for n in range(16)
    ]
    return ChangeShown(
        change_id="01a20cb4-5b56-7efe-acb3-800c47160460",
        kind="protected_person_moves",
        ja="転居（支援措置）",
        source="resident_registry",
        events=3,
        expected=16,
        arrivals=arrivals,
        ledger_applied=ledger,
        compared=COMPARED,
    )


def result(*changes: ChangeShown, rows: int = 900, elsewhere: int = 4) -> DemoResult:
    """A run: whole, unless a system has no rows or nothing of it arrived elsewhere."""
    steps = {"has a change arrived?": "renkei reach show 01a20cb4-5b56-7efe-acb3-800c47160460"}
    return DemoResult(
        10_000,
        FirstLoad(15_000, 210_000, 17, 9.5),
        changes,
        [ReceiverShown("child_allowance", "児童手当", False, 7, rows)],
        [
            ProviderShown("child_allowance", False, 1, elsewhere, 3),
            ProviderShown("calendar", True, 2, 4, 3),
        ],
        steps,
    )


def printed(what: RenderableType) -> str:
    """What a pipe gets."""
    out = StringIO()
    Console(file=out, width=80, no_color=True).print(what)
    return out.getvalue()


@pytest.mark.parametrize(
    "what",
    [
        screen.lights(change().arrivals),
        screen.side_by_side(COMPARED),
        screen.change_end(change()),
        screen.change_title(
            28,
            28,
            "定置場（支援措置）",
            "the vehicle follows, and tells nobody where",
            "national_health_insurance",
            2,
        ),
        screen.summary(result(change())),
    ],
)
def test_everything_fits_eighty_columns(what: RenderableType) -> None:
    """Nothing is wider than a terminal, wide characters counted twice."""
    text = printed(what)

    assert "\x1b" not in text
    assert max(cell_len(line) for line in text.splitlines()) <= 80


def test_a_light_does_not_hang_on_colour() -> None:
    """What has arrived and what has not are different characters."""
    text = printed(screen.lights(change(applied=15).arrivals))

    assert text.count("●") == 15
    assert text.count("○") == 1


def test_a_withheld_address_says_so_and_shows_nothing() -> None:
    """The left system has no address; the right one has."""
    row = printed(screen.side_by_side(COMPARED))

    assert "— withheld" in row
    assert row.count("８０１番地") == 1


def test_a_run_is_whole_only_if_stores_and_ledger_agree() -> None:
    """Fifteen of sixteen, or a ledger that says otherwise, is not whole."""
    assert result(change()).is_whole
    assert not result(change(applied=15)).is_whole
    assert not result(change(ledger=15)).is_whole


def test_a_run_is_whole_only_if_everybody_took_part() -> None:
    """A system without rows, or one whose change arrived nowhere, has not shown anything."""
    assert not result(change(), rows=0).is_whole
    assert not result(change(), elsewhere=0).is_whole
    assert "1 systems and 0 neighbours received" in printed(screen.both_ways(result(change())))


def test_neighbours_stand_apart_in_the_document() -> None:
    """``provided`` and ``received`` are of the seventeen."""
    said = result(change()).document()

    assert [each["system"] for each in said["provided"]] == ["child_allowance"]
    assert [each["system"] for each in said["neighbours"]["provided"]] == ["calendar"]
    assert said["changes"][0]["source"] == "resident_registry"


def test_the_record_gives_the_result_back(tmp_path: Path) -> None:
    """A saved run is drawn again from its record alone."""
    run = result(change())
    picture.save(run, tmp_path / "demo.svg")

    again = picture.load(tmp_path / "demo.json")

    assert again.document() == run.document()
    assert picture.draw(again) == (tmp_path / "demo.svg").read_text(encoding="utf-8")


def test_the_readmes_picture_is_what_the_demo_draws_now() -> None:
    """The picture is the record of a real run, drawn by today's code, of today's story."""
    kinds = [scene.kind for scene in scenes(Municipality(1, 1_500))]
    record = picture.load(RECORD)

    assert [shown.kind for shown in record.changes] == kinds
    assert record.is_whole
    assert picture.draw(record) == RECORD.with_suffix(".svg").read_text(encoding="utf-8"), (
        "draw it anew with: renkei demo --svg docs/demo.svg"
    )


def test_the_record_is_what_the_demo_writes_today() -> None:
    """No key more or less, at any depth; the systems of today, and what is said to look at next."""
    record = picture.load(RECORD)
    said = RECORD.read_text(encoding="utf-8")
    subscriptions = {
        name: len(each.streams) for name, each in load_subscriptions(load()).items() if each.streams
    }
    environment = SimpleNamespace(
        settings=SimpleNamespace(home=Path.home()),
        town=SimpleNamespace(systems={LEFT: "postgresql://one@127.0.0.1:1/one"}),
        ports={"deliver": 1},
    )

    assert json.loads(json.dumps(asdict(record), ensure_ascii=False)) == json.loads(said)
    assert {
        each.system: each.streams for each in record.received if not each.is_neighbour
    } == subscriptions
    assert {each.system for each in record.received if each.is_neighbour} == {*NEIGHBOURS}
    assert {*record.next_steps} == {
        *run._next_steps(cast("run.DemoEnvironment", environment), record.changes)
    }


def test_the_readmes_transcript_is_real_output() -> None:
    """What the README shows as text is the same record, word for word."""
    readme = (RECORD.parents[1] / "README.md").read_text(encoding="utf-8")

    assert f"```text\n{picture.transcript(picture.load(RECORD))}```" in readme
