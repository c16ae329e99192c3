"""Every error has a code of its own, a reaction, an exit status and a line in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.errors import classes

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def test_codes_are_unique() -> None:
    """A code leads to one error."""
    codes = [error.code for error in classes()]

    assert len(codes) == len(set(codes))


def test_every_error_is_documented_as_it_is() -> None:
    """The page lists code, name, reaction and exit status of every class, and no other."""
    rows = re.findall(r"^\| (RK-\d+) \| (\w+) \| (\w+) \| (\d+) \|", PAGE.read_text(), re.M)

    assert sorted(rows) == sorted(
        (error.code, error.__name__, error.reaction.value, str(error.exit_status))
        for error in classes()
    )
