"""``renkei topics``: the log's topics, made from the catalogue and shown."""

from __future__ import annotations

import typer
from rich.table import Table

from bus.cli.asking import ask
from bus.cli.output import DryRun, Json, out, show_json
from bus.operate import documents, topics
from bus.operate.topics import TopicState, action


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="The topics that carry the streams.")
    group.command("apply")(apply_all)
    group.command("list")(list_all)
    app.add_typer(group, name="topics")


def apply_all(dry_run: DryRun = False, as_json: Json = False) -> None:
    """Make what is missing and change what differs from the catalogue and the settings.

    Never changes a number of partitions: a subject's order hangs on it.
    """
    found = ask(topics.topics if dry_run else topics.applied)
    if as_json:
        show_json(documents.topics_applied(found))
        return
    table = Table("Topic", "Partitions", "Action", box=None, pad_edge=False)
    for state in found:
        table.add_row(state.spec.name, str(state.spec.partitions), action(state))
    out().print(table)


def list_all(as_json: Json = False) -> None:
    """Show each topic: its partitions, its size in events, and settings that drifted."""
    found = ask(topics.topics)
    if as_json:
        show_json(documents.listed(found))
        return
    table = Table("Topic", "Partitions", "Events", "Drift", box=None, pad_edge=False)
    table.columns[1].justify = table.columns[2].justify = "right"
    for state in found:
        if state.partitions is None:
            table.add_row(state.spec.name, "–", "–", "does not exist")
        else:
            drift = _drift(state)
            table.add_row(state.spec.name, str(state.partitions), f"{state.events:,}", drift)
    out().print(table)


def _drift(state: TopicState) -> str:
    drift = [f"{name}={has}, should be {should}" for name, (has, should) in state.drift.items()]
    if state.is_refused:
        drift.insert(0, f"partitions should be {state.spec.partitions}")
    return "; ".join(drift)
