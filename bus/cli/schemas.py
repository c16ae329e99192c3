"""``renkei schemas``: the streams' contracts, checked, registered and shown."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from bus import app as composition
from bus.catalog import Catalog
from bus.catalog import check as check_files
from bus.catalog.examples import read_examples
from bus.catalog.plain import from_json
from bus.catalog.readers import OneReader, disagreements, older
from bus.catalog.registry import Pushed, PushLine
from bus.cli import names
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.errors import FilesRefused
from bus.model import Fault, Item, Stream

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
    settings = composition.settings()
    faults = check_files(settings.schemas)
    third = _third_reader()
    report: dict[str, Any] = {"streams": 0, "versions": 0, "codes": 0, "examples": 0}
    if not faults:
        catalog = composition.catalog(settings)
        faults = composition.example_faults(catalog)
        examples, _ = read_examples(catalog)
        faults = faults or _reader_faults(catalog, third)
        report = {
            "streams": len(catalog.streams),
            "versions": sum(len(stream.versions) for stream in catalog.streams.values()),
            "codes": len(catalog.codes),
            "examples": len(examples),
        }
    if as_json:
        report["readers"] = ["fastavro", "pyruhvro", *(["avro-python3"] if third else [])]
        report["faults"] = [asdict(fault) for fault in faults]
        show_json(report)
    if faults:
        raise FilesRefused("the schema files have faults", faults, count=len(faults))
    if third is None:
        err().print("avro-python3 is not installed (renkei[checks]): not read by it")
    if not as_json:
        out().print(
            f"{report['streams']} streams, {report['versions']} versions, "
            f"{report['codes']} code lists, {report['examples']} examples: no fault"
        )


def push(dry_run: DryRun = False, as_json: Json = False) -> None:
    """Register every version of every stream that the schema registry does not have yet."""
    lines = asyncio.run(_push(dry_run))
    if as_json:
        show_json([asdict(line) for line in lines])
        return
    table = Table("Stream", "Version", "Id", "Outcome", box=None, pad_edge=False)
    for line in lines:
        schema_id = "–" if line.schema_id is None else str(line.schema_id)
        table.add_row(line.stream, f"v{line.version}", schema_id, line.outcome.value)
    out().print(table)
    new = sum(line.outcome is not Pushed.PRESENT for line in lines)
    err().print(f"{new} {'would be' if dry_run else ''} new".replace("  ", " "))


def list_all(as_json: Json = False) -> None:
    """List the streams, their versions and their topics."""
    catalog = composition.catalog(composition.settings())
    if as_json:
        show_json([_summary(stream) for stream in catalog.streams.values()])
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


def show(stream: StreamName, as_json: Json = False) -> None:
    """Show one stream: versions, event types, and each item with its names and its checks."""
    found = composition.catalog(composition.settings()).stream(stream)
    if as_json:
        show_json({**_summary(found), "items": [_item(item) for item in found.items]})
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


async def _push(dry_run: bool) -> list[PushLine]:
    settings = composition.settings()
    catalog = composition.catalog(settings)
    async with composition.registry(settings) as registry:
        return await registry.push(catalog, dry_run=dry_run)


def _third_reader() -> OneReader | None:
    try:
        from bus.catalog.third_reader import read_one
    except ImportError:
        return None
    return read_one


def _reader_faults(catalog: Catalog, third: OneReader | None) -> list[Fault]:
    """What the readers do not agree on, over every valid example in every version."""
    faults: list[Fault] = []
    examples, _ = read_examples(catalog)
    for stream in catalog.streams.values():
        values = [
            from_json(stream.latest, example.value)[0]
            for example in examples
            if example.stream is stream and not example.expected
        ]
        for version in stream.versions:
            for why in disagreements(version, [older(version, value) for value in values], third):
                file = f"streams/{stream.name}/v{version.version}.avsc"
                expected = f"every reader to agree, but {why}"
                faults.append(Fault(code="readers-disagree", expected=expected, file=file))
    return faults


def _summary(stream: Stream) -> dict[str, Any]:
    return {
        "stream": stream.name,
        "ja": stream.ja,
        "topic": stream.topic,
        "subject": stream.schema_subject,
        "internal": stream.is_internal,
        "versions": [
            {"version": version.version, "fingerprint": version.fingerprint}
            for version in stream.versions
        ],
        "event_types": list(stream.event_types),
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "path": item.path,
        "ja": item.ja,
        "romaji": item.romaji,
        "item_id": item.item_id,
        "sensitivity": item.sensitivity.value,
        **{name.removeprefix("x-"): content for name, content in item.properties.items()},
    }
