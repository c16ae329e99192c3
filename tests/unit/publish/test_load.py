"""Loading a file: every good line once, every bad line reported, from wherever it stopped."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bus.connect.source import Limits, Refusal
from bus.errors import BrokerUnavailable
from bus.model import Change
from bus.publish.runner import BULK
from bus.sealing import Seals
from connectors.jsonlines import source as jsonlines
from connectors.jsonlines.journal import LoadJournal
from connectors.jsonlines.source import Line, LinesSource, LoadProgress, RefusedLine, lines
from tests.support.changes import body, change, record
from tests.support.keys import Pocket
from tests.support.loads import load
from tests.support.sealed import STREAM

KEY = b"k" * 32


def line(**fields: Any) -> bytes:
    """One line: a resident under *fields*."""
    return json.dumps(change(record(**fields)), ensure_ascii=False).encode() + b"\n"


def residents(count: int, first: int = 1) -> bytes:
    """So many lines of different residents."""
    return b"".join(line(subject_id=f"{number:015d}") for number in range(first, first + count))


async def loaded(
    publisher: Any, data: bytes, **options: Any
) -> tuple[LoadProgress, list[RefusedLine]]:
    """A load of *data*, and the lines that it refused."""
    refused: list[RefusedLine] = []
    given: dict[str, Any] = {"key": KEY, **options}
    progress = await load(
        io.BytesIO(data), publisher, sealed=[STREAM], refused=refused.append, **given
    )
    return progress, refused


async def test_every_line_is_published(house: Any) -> None:
    """Lines become events; empty lines are passed over; the last newline may be missing."""
    publisher = await house.publisher()
    data = b"\n" + residents(3) + b"  \r\n" + line(subject_id="000000000000004").rstrip(b"\n")

    progress, refused = await loaded(publisher, data)

    assert refused == []
    assert (progress.changes, progress.published, progress.events) == (4, 4, 4)
    assert (progress.lines, progress.offset) == (6, len(data))
    assert sorted(house.versions()) == [(f"{number:015d}", 1) for number in range(1, 5)]


async def test_loading_again_adds_nothing(house: Any) -> None:
    """A line without an id has the same id each time, and so its events."""
    publisher = await house.publisher()
    data = residents(3) + line(subject_id="000000000000001", version=2)
    await loaded(publisher, data)

    progress, refused = await loaded(await house.publisher(), data)

    assert (progress.published, progress.resent, refused) == (4, 4, [])
    assert len(house.events("resident")) == 4


async def test_an_id_is_found_by_no_guess(house: Any) -> None:
    """It stands in the ledger: who knows all of a line but a name could try every name there is."""
    publisher = await house.publisher()
    names = ["山田 太郎", "山田 次郎", "山田 花子"]
    tried = [json.dumps(change(record(body=body("resident", name__full=n)))) for n in names]
    _, refused = await loaded(publisher, f"{tried[1]}\n".encode())
    ((event,), at) = house.events("resident"), Change.model_validate_json(tried[0]).processed_at

    guesses = [hashlib.sha256(text.encode()).digest()[6:16] for text in tried]
    made = bytes.fromhex(event["header"]["change_id"].replace("-", ""))

    assert refused == []
    assert at == event["header"]["processed_at"]
    assert not any(made[9:] == guess[3:] for guess in guesses)


async def test_without_a_key_a_line_brings_its_own_id(house: Any) -> None:
    """Nothing is made of its content then."""
    data = residents(1)

    progress, (refused,) = await loaded(await house.publisher(), data, key=None)

    assert (progress.published, progress.refused) == (0, 1)
    assert [(fault.code, fault.field) for fault in refused.faults] == [("missing", "change_id")]


async def test_a_sealed_item_is_in_no_id(house: Any) -> None:
    """An id from the line's bytes could be tried against every number there is: give one."""
    publisher = await house.publisher(seals=Seals(Pocket("k1")))
    without = change(
        record(STREAM, subject_id="000000000000001"), record(subject_id="000000000000001")
    )
    given = without | {"change_id": "019d4be0-0000-7abc-8def-000000000001"}
    data = b"".join(json.dumps(each).encode() + b"\n" for each in (without, given))

    progress, refused = await loaded(publisher, data)

    assert (progress.published, progress.refused) == (1, 1)
    ((fault,),) = [each.faults for each in refused]
    assert (fault.code, fault.field) == ("missing", "change_id")
    (event,) = house.events(STREAM)
    assert event["header"]["change_id"] == given["change_id"]


async def test_a_bad_line_does_not_stop_the_others(house: Any) -> None:
    """Each is reported by number, with all its faults and the items' names."""
    publisher = await house.publisher()
    spoilt = body("resident", sex="9", address__postal_code="x")
    sjis = line(subject_id="000000000000008").decode().replace("\U000e0100", "").encode("shift_jis")
    data = b"".join(
        [
            line(subject_id="000000000000001"),
            b"not json\n",
            line(subject_id="000000000000002", body=spoilt),
            sjis,
            line(subject_id="000000000000003", version=5),
            line(subject_id="000000000000004", body=body("resident", name__full="山" * 1_000_000)),
            line(subject_id="000000000000005"),
            b'{"municipality_code": "131016", "rec',
        ]
    )

    progress, refused = await loaded(publisher, data)

    assert {found.number: [fault.code for fault in found.faults] for found in refused} == {
        2: ["not-json"],
        3: ["code-list", "digits"],
        4: ["encoding"],
        5: ["version-gap"],
        6: ["too-long"],
        8: ["half-line"],
    }
    assert [fault.item for fault in refused[1].faults] == ["性別", "住所_郵便番号"]
    assert (progress.published, progress.refused) == (2, 6)
    assert sorted(house.versions()) == [("000000000000001", 1), ("000000000000005", 1)]
    assert "山山" not in json.dumps([found.as_json for found in refused], ensure_ascii=False)


async def test_the_same_subject_again_within_a_batch(house: Any) -> None:
    """Versions of one subject follow each other in the file's order."""
    data = b"".join(line(version=version) for version in range(1, 6))

    progress, refused = await loaded(await house.publisher(), data)

    assert (progress.published, refused) == (5, [])
    assert [version for _, version in house.versions()] == [1, 2, 3, 4, 5]


async def test_warnings_are_counted(house: Any) -> None:
    """They do not refuse, and are not listed line by line."""
    progress, refused = await loaded(await house.publisher(), residents(3))

    assert refused == []
    assert progress.warnings == {("check-digit", "header.subject_id"): 3}


class Failing:
    """A publisher whose broker goes away at a call."""

    def __init__(self, inner: Any, at: int) -> None:
        self._inner = inner
        self._left = at

    async def start(self) -> None:
        """It was started."""

    async def close(self) -> None:
        """It is used again."""

    async def publish(self, changes: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            raise BrokerUnavailable("away")
        return await self._inner.publish(changes)


async def test_a_load_goes_on_where_it_stopped(house: Any, tmp_path: Path) -> None:
    """After the broker was away, nothing is read twice and nothing is left out."""
    by_three = replace(BULK, batch_changes=3)
    file = tmp_path / "load.jsonl"
    file.write_bytes(residents(4) + b"oops\n" + residents(5, first=5))
    publisher = await house.publisher()
    journal = LoadJournal(tmp_path / "home", file)
    failing = Failing(publisher, at=3)
    with pytest.raises(BrokerUnavailable), file.open("rb") as content:
        await load(content, failing, sealed=[], key=KEY, pace=by_three, advanced=journal.write)

    progress = LoadJournal(tmp_path / "home", file).resume()

    assert progress is not None
    assert (progress.lines, progress.published, progress.refused) == (6, 5, 1)
    with file.open("rb") as content:
        content.seek(progress.offset)
        done = await load(content, publisher, sealed=[], key=KEY, pace=by_three, progress=progress)
    assert (done.lines, done.published, done.refused, done.resent) == (10, 9, 1, 0)
    assert len(house.events("resident")) == 9


def test_a_journal_of_another_file_is_not_believed(tmp_path: Path) -> None:
    """A file that changed before the mark is loaded from its beginning; one that grew is not."""
    file = tmp_path / "load.jsonl"
    file.write_bytes(b"one\ntwo\nthree\n")
    LoadJournal(tmp_path, file).write(LoadProgress(lines=2, offset=8))

    file.write_bytes(b"one\ntwo\nthree\nfour\n")
    assert LoadJournal(tmp_path, file).resume() == LoadProgress(lines=2, offset=8)
    file.write_bytes(b"one\nTwo\nthree\n")
    assert LoadJournal(tmp_path, file).resume() is None
    file.write_bytes(b"one\n")
    assert LoadJournal(tmp_path, file).resume() is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"digest": "x"}', '{"digest": 1, "warnings": [1]}']
)
def test_a_broken_journal_is_no_journal(tmp_path: Path, text: str) -> None:
    """It only saves time, so it may be lost."""
    file = tmp_path / "load.jsonl"
    file.write_bytes(b"one\n")
    journal = LoadJournal(tmp_path, file)
    journal.write(LoadProgress(lines=1, offset=4))
    (kept,) = tmp_path.glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_text(text)

    assert LoadJournal(tmp_path, file).resume() is None


def test_a_journal_holds_no_content(tmp_path: Path) -> None:
    """Numbers and a digest, and it goes when the load is done."""
    file = tmp_path / "load.jsonl"
    file.write_bytes(residents(2))
    journal = LoadJournal(tmp_path / "home", file)
    journal.write(LoadProgress(lines=2, offset=file.stat().st_size))
    (kept,) = (tmp_path / "home").glob("*.json")

    assert "花子" not in kept.read_text()
    journal.forget()
    assert list((tmp_path / "home").iterdir()) == []
    journal.forget()


def test_an_endless_line_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the bound is passed over in pieces, and what follows is read."""
    monkeypatch.setattr(jsonlines, "_CHUNK", 4)

    found = list(lines(io.BytesIO(b"a" * 35 + b"\n" + b"b" * 10 + b"\n" + b"c" * 11), most=10))

    assert found == [
        Line(1, None, 36, True),
        Line(2, b"b" * 10 + b"\n", 47, True),
        Line(3, None, 58, False),
    ]


async def test_a_line_that_is_too_long_is_refused(house: Any) -> None:
    """And the next one is published."""
    data = b'"' + b"x" * 6_000 + b'"\n' + line()

    pace = replace(BULK, change_bytes=5_000)

    progress, refused = await loaded(await house.publisher(), data, pace=pace)

    assert [fault.code for fault in refused[0].faults] == ["too-large"]
    assert progress.published == 1


async def test_batches_are_bounded_by_lines_and_bytes() -> None:
    """Neither many short lines nor a few long ones fill the memory."""

    async def sizes(data: bytes) -> list[int]:
        source, found = LinesSource(io.BytesIO(data)), []
        while taken := await source.take(Limits(changes=3, bytes=10, change_bytes=1_000)):
            found.append(len(taken))
            await source.settle([], [Refusal(each.place, []) for each in taken])
        return found

    assert await sizes(b"a\n" * 7) == [3, 3, 1]
    assert await sizes(b"aaaaaaaa\n" * 4) == [2, 2]
    assert await sizes(b"") == []
