"""How far a load is, remembered until it ends; it goes on where that cannot be kept."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import cast

import pytest

from bus.operate.deeds import Counts
from bus.operate.loading import STDIN, LoadProgress, Publish, SavedProgress
from bus.operate.session import Session
from bus.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is loaded, half of it."""
    made = tmp_path / "changes.jsonl"
    made.write_text("{}\n" * 10, encoding="utf-8")
    return made


def told(home: Path, file: str, said: list[str], *, is_dry: bool = False) -> SavedProgress:
    return SavedProgress.of(Settings(home=home), file, lambda: said.append("lost"), is_dry=is_dry)


def test_an_interrupted_load_is_gone_on_with(tmp_path: Path, file: Path) -> None:
    """Until it has ended; of stdin and of a trial nothing is kept."""
    said: list[str] = []
    assert told(tmp_path, str(file), said).resume() is None
    told(tmp_path, str(file), said).advanced(LoadProgress(offset=15, lines=5))

    found = told(tmp_path, str(file), said).resume()

    assert found is not None
    assert (found.offset, found.lines) == (15, 5)
    assert told(tmp_path, str(file), said, is_dry=True).resume() is None
    assert told(tmp_path, STDIN, said).resume() is None
    told(tmp_path, str(file), said).forget()
    assert told(tmp_path, str(file), said).resume() is None
    assert said == []


async def test_of_how_many_it_was_is_known_at_any_time() -> None:
    """Should it fail: with those of the runs before it."""
    told: list[object] = []
    action = Publish(
        file=BytesIO(),
        progress=LoadProgress(published=3),
        refused=told.append,
        advanced=told.append,
    )
    preview = await action.plan(cast("Session", None))

    assert preview.so_far() == 3
    preview.progress.published += 2
    assert preview.so_far() == 5
    assert preview.counted(preview.progress) == 5
    assert isinstance(preview, Counts)


def test_what_cannot_be_kept_is_said_once(tmp_path: Path, file: Path) -> None:
    """The load goes on: the journal only saves time."""
    said: list[str] = []
    (tmp_path / "publish").write_text("in the place of the folder", encoding="utf-8")
    remembered = told(tmp_path, str(file), said)

    for lines in (5, 6):
        remembered.advanced(LoadProgress(offset=3 * lines, lines=lines))
    remembered.forget()

    assert said == ["lost"]
