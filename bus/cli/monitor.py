"""``renkei monitor``: throughput and changes under way, as Prometheus metrics."""

from __future__ import annotations

import asyncio

import typer

from bus import app as composition
from bus.cli.output import err
from bus.observe import logs


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Watch receipts: throughput, open changes.")
    group.callback()(_group)
    group.command("run")(run)
    app.add_typer(group, name="monitor")


def _group() -> None:
    """Watch receipts: throughput, open changes. It only watches; deliveries do not need it."""


def run() -> None:
    """Watch until told to stop (SIGTERM, Ctrl-C); metrics are at RENKEI_MONITOR_PORT."""
    settings = composition.configured.settings()
    logs.configure(settings.log_format)
    if settings.monitor_port is None:
        err().print("RENKEI_MONITOR_PORT is not set: nothing will be served", style="yellow")
    asyncio.run(composition.monitoring.run_monitor(settings))
