"""``docs/reference/`` is what ``renkei docs build`` would write: it never grows old unseen."""

from __future__ import annotations

from pathlib import Path

from bus.catalog import load
from bus.policy import load_subscriptions
from bus.reference import difference, gather, pages

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def test_the_reference_is_fresh() -> None:
    """If this fails: `make docs`, and commit what it wrote."""
    catalog = load()

    found = difference(FOLDER, pages(gather(catalog, load_subscriptions(catalog))))

    assert not found, found


def test_nothing_else_is_in_its_folder() -> None:
    """Who writes a page by hand writes it elsewhere."""
    catalog = load()
    made = pages(gather(catalog, load_subscriptions(catalog)))

    files = {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.is_file()}

    assert files == set(made)
