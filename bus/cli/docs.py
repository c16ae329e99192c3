"""``renkei docs``: the reference, made from the schemas and the subscriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bus.app import configured
from bus.cli.output import Json, out, show_json
from bus.errors import FilesRefused
from bus.operate import contracts, documents
from bus.operate.contracts import FolderDifference

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
    made = contracts.built(configured.settings(), into, is_check=check)
    if as_json:
        show_json(documents.reference(made.folder, made.count, made.found, is_check=check))
    if check and made.faults:
        raise FilesRefused("the reference has grown old", made.faults, count=len(made.faults))
    if not as_json:
        _say(made.count, made.found, check)


def _say(count: int, found: FolderDifference, check: bool) -> None:
    written = len(found.missing) + len(found.old)
    if check:
        out().print(f"{count} pages, as they would be written")
    else:
        out().print(f"{count} pages: {written} written, {len(found.surplus)} removed")
