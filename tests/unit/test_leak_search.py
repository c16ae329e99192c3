"""The leak scan's own search: it finds what is there, also while files move under it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.acceptance import leaks


@pytest.fixture
def planted() -> leaks.Canary:
    return leaks.canary("planted for the search itself")


def test_content_and_names_are_searched(tmp_path: Path, planted: leaks.Canary) -> None:
    (tmp_path / planted.text).mkdir()
    (tmp_path / planted.text / "a.log").write_text(planted.text, encoding="utf-8")
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "b.log").write_text(planted.text, encoding="utf-8")

    found = leaks.in_files(tmp_path, [planted], without=[tmp_path / "engines"])

    assert {sighting.place for sighting in found} == {
        f"the name of {tmp_path / planted.text}",
        f"the name of {tmp_path / planted.text / 'a.log'}",
        str(tmp_path / planted.text / "a.log"),
    }


def test_only_files_so_named_are_read(tmp_path: Path, planted: leaks.Canary) -> None:
    for name in ("a.log", "a.index"):
        (tmp_path / name).write_text(planted.text, encoding="utf-8")
    found = leaks.in_files(tmp_path, [planted], named="*.log")
    assert [sighting.place for sighting in found] == [str(tmp_path / "a.log")]


def test_what_is_renamed_under_the_search_is_found(
    tmp_path: Path, planted: leaks.Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka renames a topic's folder when it is deleted; the search of before ended at that."""
    (tmp_path / "topic-0").mkdir()
    (tmp_path / "topic-0" / "0.log").write_text(planted.text, encoding="utf-8")
    seen, moves = leaks.seen, iter([True])

    def seen_while_it_moves(place: str, *rest: object) -> object:
        if place.endswith("topic-0") and next(moves, False):
            shutil.move(tmp_path / "topic-0", tmp_path / "topic-0.f9417fc6-delete")
        return seen(place, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(leaks, "seen", seen_while_it_moves)
    found = leaks.in_files(tmp_path, [planted])
    assert [sighting.place for sighting in found] == [
        str(tmp_path / "topic-0.f9417fc6-delete" / "0.log")
    ]


def test_a_folder_in_which_something_always_moves_is_no_clean_one(
    tmp_path: Path, planted: leaks.Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()

    def gone(*_: object) -> object:
        raise AssertionError("unreachable")

    def moves(folder: Path, onerror: object) -> object:
        onerror(FileNotFoundError(folder))  # type: ignore[operator]
        return iter(())

    monkeypatch.setattr(os, "walk", moves)
    monkeypatch.setattr(leaks, "seen", gone)
    with pytest.raises(AssertionError, match="moved at each"):
        leaks.in_files(tmp_path, [planted])
