"""``renkei docs``: the reference, made from the schemas and the subscriptions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bus import app as composition
from bus.catalog import Catalog
from bus.cli.output import Json, out, show_json
from bus.errors import ConfigurationError, FilesRefused
from bus.model import Fault
from bus.policy import load_subscriptions
from bus.reference import Difference, difference, gather, pages, write

_BESIDE_SCHEMAS = Path("docs") / "reference"

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where the pages are; by default docs/reference by the schemas.",
    ),
]
Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; fail where pages are not as they would be.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="The reference of streams, systems and codes.")
    group.callback()(_group)
    group.command("build")(build)
    app.add_typer(group, name="docs")


def _group() -> None:
    """The reference of streams, systems and codes."""  # keeps `build` a word of its own


def build(check: Check = False, into: Out = None, as_json: Json = False) -> None:
    """Write the reference: a page per stream, system and code list, the matrix, and one HTML file.

    The same schemas and subscriptions give the same pages. Pages that are none any more go.
    """
    catalog = composition.catalog(composition.settings())
    folder = into or _by(catalog)
    made = pages(gather(catalog, load_subscriptions(catalog)))
    found = difference(folder, made) if check else write(folder, made)
    if as_json:
        show_json({"folder": folder, "pages": len(made), "check": check, **asdict(found)})
    if check and found:
        faults = _faults(found)
        raise FilesRefused("the reference has grown old", faults, count=len(faults))
    if not as_json:
        _say(len(made), found, check)


def _by(catalog: Catalog) -> Path:
    """Where the pages belong that are made of the schemas in this place."""
    folder = catalog.folder.parent / _BESIDE_SCHEMAS
    if not folder.parent.is_dir():
        raise ConfigurationError("there are no docs beside these schemas; say where with --out")
    return folder


def _faults(found: Difference) -> list[Fault]:
    kinds = {"missing-page": found.missing, "old-page": found.old, "surplus-page": found.surplus}
    expected = "what `renkei docs build` writes"
    return [
        Fault(code=code, expected=expected, file=path)
        for code, paths in kinds.items()
        for path in paths
    ]


def _say(count: int, found: Difference, check: bool) -> None:
    written = len(found.missing) + len(found.old)
    if check:
        out().print(f"{count} pages, as they would be written")
    else:
        out().print(f"{count} pages: {written} written, {len(found.surplus)} removed")
