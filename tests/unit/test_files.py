"""Files for their owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.files import create_private, write_private


@pytest.fixture(autouse=True)
def anybody() -> Iterator[None]:
    """The process would let others read what it writes."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_what_is_made_is_its_owners(tmp_path: Path) -> None:
    """Whatever the process lets others do."""
    with create_private(tmp_path / "report") as file:
        file.write("x")
    write_private(tmp_path / "key", "y")

    assert mode(tmp_path / "report") == 0o600
    assert mode(tmp_path / "key") == 0o600


def test_what_is_written_over_becomes_its_owners(tmp_path: Path) -> None:
    """A report of before that others may read is not one any longer; nothing of it is left."""
    there = tmp_path / "report"
    there.write_text("of before, and longer")
    there.chmod(0o644)

    with create_private(there) as file:
        file.write("x")

    assert (mode(there), there.read_text()) == (0o600, "x")


def test_what_was_to_be_new_is_left_alone(tmp_path: Path) -> None:
    """It is somebody's."""
    there = tmp_path / "report"
    there.write_text("of before")

    with pytest.raises(FileExistsError):
        create_private(there, is_new=True)

    assert there.read_text() == "of before"
