"""``renkei settings``: the settings as resolved, and where each value came from."""

from __future__ import annotations

import typer
from rich.table import Table

from bus import app as composition
from bus.cli.output import Json, out, show_json
from bus.operate.settings_shown import shown


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="The settings of this installation.")
    group.callback()(_group)
    group.command()(show)
    app.add_typer(group, name="settings")


def _group() -> None:
    """Keeps ``show`` a command of its own although it is the only one."""


def show(as_json: Json = False) -> None:
    """Print every setting and where it comes from; secrets as stars."""
    settings, origins = composition.configured.settings_and_origins()
    values = shown(settings)
    if as_json:
        show_json({name: {"value": value, "from": origins[name]} for name, value in values.items()})
        return
    table = Table(box=None, pad_edge=False)
    for title in ("setting", "value", "from"):
        table.add_column(title, overflow="fold")
    for name, value in values.items():
        table.add_row(name, "-" if value is None else str(value), origins[name])
    out().print(table)
