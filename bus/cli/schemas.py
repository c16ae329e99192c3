"""``renkei schemas``: the streams' contracts, checked, registered and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from bus.app import configured
from bus.cli import names
from bus.cli.asking import ask
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.errors import FilesRefused
from bus.operate import contracts, documents

StreamName = Annotated[
    str, typer.Argument(parser=names.stream, help="A stream, as in `renkei schemas list`.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="The streams' schemas and code lists.")
    group.command("check")(check)
    group.command("push")(push)
    group.command("list")(list_all)
    group.command("show")(show)
    app.add_typer(group, name="schemas")


def check(as_json: Json = False) -> None:
    """Read every schema, code list and example and report all faults at once.

    Names, types that every codec can do, properties, compatibility of each version with every
    other, examples that must and must not pass; read by fastavro, pyruhvro and avro-python3.
    """
    found = contracts.checked(configured.settings())
    if as_json:
        show_json(documents.schemas_checked(found))
    if found.faults:
        raise FilesRefused("the schema files have faults", found.faults, count=len(found.faults))
    if contracts.THIRD not in found.readers:
        err().print(f"{contracts.THIRD} is not installed (renkei[checks]): not read by it")
    if not as_json:
        out().print(
            f"{found.streams} streams, {found.versions} versions, "
            f"{found.codes} code lists, {found.examples} examples: no fault"
        )


def push(dry_run: DryRun = False, as_json: Json = False) -> None:
    """Register every version of every stream that the schema registry does not have yet."""
    lines = ask(lambda session: contracts.pushed(session, is_dry=dry_run))
    if as_json:
        show_json(documents.schemas_pushed(lines))
        return
    table = Table("Stream", "Version", "Id", "Outcome", box=None, pad_edge=False)
    for line in lines:
        schema_id = "–" if line.schema_id is None else str(line.schema_id)
        table.add_row(line.stream, f"v{line.version}", schema_id, line.outcome.value)
    out().print(table)
    err().print(f"{contracts.new(lines)} {'would be' if dry_run else ''} new".replace("  ", " "))


def list_all(
    with_ids: Annotated[
        bool, typer.Option("--ids", help="Also each version's id in the registry, which is asked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the streams, their versions and their topics."""
    catalog = configured.catalog(configured.settings())
    ids = ask(contracts.registered) if with_ids else None
    if as_json:
        show_json(documents.schemas(list(catalog.streams.values()), ids))
        return
    if ids is not None:
        out().print(_ids(ids))
        return
    table = Table("Stream", "", "Versions", "Items", "Topic", box=None, pad_edge=False)
    for stream in catalog.streams.values():
        table.add_row(
            stream.name,
            stream.ja,
            str(len(stream.versions)),
            str(len(stream.items)),
            stream.topic,
        )
    out().print(table)


def _ids(ids: Mapping[tuple[str, int], int | None]) -> Table:
    table = Table("Id", "Stream", "Version", box=None, pad_edge=False)
    table.columns[0].justify = "right"
    for (stream, version), schema_id in ids.items():
        table.add_row("–" if schema_id is None else str(schema_id), stream, f"v{version}")
    return table


def show(stream: StreamName, as_json: Json = False) -> None:
    """Show one stream: versions, event types, and each item with its names and its checks."""
    found = configured.catalog(configured.settings()).stream(stream)
    if as_json:
        show_json(documents.schema(found))
        return
    console = out()
    console.print(f"{found.name} ({found.ja}), topic {found.topic}", markup=False)
    for version in found.versions:
        console.print(f"  v{version.version}  {version.fingerprint}", markup=False)
    for event_type in found.event_types:
        console.print(f"  {event_type}", markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("Item", overflow="fold")
    for title in ("Name", "Sensitivity", "Checks"):
        table.add_column(title)
    for item in found.items:
        checks = ", ".join(
            f"{name.removeprefix('x-')} {content}" for name, content in item.properties.items()
        )
        table.add_row(item.path, item.ja, item.sensitivity.value, checks)
    console.print(table)
