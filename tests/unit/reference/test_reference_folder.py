"""Writing pages into a folder: exactly these, beside what is somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import ConfigurationError
from bus.reference import difference, write
from bus.reference.markdown import MADE

PAGES = {"README.md": f"{MADE}\n\n# First\n", "codes/sexes.md": f"{MADE}\n\n# 性別\n"}


def test_what_is_written_is_no_difference_any_more(tmp_path: Path) -> None:
    """A second writing does nothing."""
    folder = tmp_path / "not" / "there"

    first = write(folder, PAGES)
    second = write(folder, PAGES)

    assert first.missing == ("README.md", "codes/sexes.md")
    assert not second
    assert (folder / "codes" / "sexes.md").read_bytes() == PAGES["codes/sexes.md"].encode()


def test_looking_changes_nothing(tmp_path: Path) -> None:
    """Not even the folder is made."""
    assert difference(tmp_path / "away", PAGES).missing == tuple(sorted(PAGES))
    assert list(tmp_path.iterdir()) == []


def test_an_old_page_is_written_anew_and_one_too_many_goes(tmp_path: Path) -> None:
    """A renamed stream leaves nothing behind."""
    write(tmp_path, {**PAGES, "codes/gone.md": f"{MADE}\n"})
    changed = {**PAGES, "README.md": f"{MADE}\n\n# Second\n"}

    found = write(tmp_path, changed)

    assert (found.missing, found.old, found.surplus) == ((), ("README.md",), ("codes/gone.md",))
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == changed["README.md"]
    assert not (tmp_path / "codes" / "gone.md").exists()


def test_what_was_not_made_here_is_left_alone(tmp_path: Path) -> None:
    """A page by hand beside the others stays."""
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "notes.md").write_text("# By hand\n", encoding="utf-8")

    assert write(tmp_path, PAGES).surplus == ()
    assert (tmp_path / "codes" / "notes.md").exists()


def test_a_file_of_somebody_else_is_not_written_over(tmp_path: Path) -> None:
    """`--out` into the wrong folder does no harm: nothing at all is written."""
    (tmp_path / "README.md").write_text("# Their project\n", encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        write(tmp_path, PAGES)

    assert "README.md" in str(caught.value)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# Their project\n"
    assert not (tmp_path / "codes").exists()


def test_a_file_that_is_no_text_is_somebody_elses(tmp_path: Path) -> None:
    """It is neither read as a page nor written over."""
    (tmp_path / "README.md").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigurationError):
        write(tmp_path, PAGES)
