"""``renkei deliver``: from the log into the receiving systems' stores."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import timedelta
from typing import Annotated

import structlog
import typer
from rich.status import Status

from bus.app import configured
from bus.cli import names
from bus.cli.output import err
from bus.observe import logs
from bus.operate import delivering
from bus.operate.delivering import DeliveryProcess

LAST_WORD = timedelta(seconds=2)  # for threads that a dead store still holds
_PROGRESS_EVERY_S = 10.0
_LIVE_EVERY_S = 0.5
_log = structlog.get_logger("renkei.deliver")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(deliver)


def deliver(
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            parser=names.connected,
            metavar="SYSTEM",
            help="Only this receiving system; may be given several times.",
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Deliver what is in the log now, then end.")
    ] = False,
) -> None:
    """Deliver to every system of the settings, and to the ledger, until told to stop.

    SIGTERM and Ctrl-C finish the batches in hand. Several processes may run: they share the
    work, and take over from each other.
    """
    settings = configured.settings()
    logs.configure(settings.log_format)
    asyncio.run(
        delivering.deliver(
            settings,
            system or [],
            once=once,
            watch=show_progress,
            told_to_stop=lambda: _leave_within(settings.stop_within),
        )
    )
    _leave_within(LAST_WORD)


async def show_progress(running: DeliveryProcess) -> None:
    """A line on a terminal, or one in the log now and then while something is delivered."""
    console = err()
    if not console.is_terminal:
        async for now in running.every(_PROGRESS_EVERY_S):
            if now.moved:
                _log.info("progress", rows=now.rows, lanes=now.lanes, seconds=_PROGRESS_EVERY_S)
        return
    with Status("starting", console=console) as status:
        async for now in running.every(_LIVE_EVERY_S):
            doing = f"{now.running} of {now.lanes} lanes"
            status.update(f"{now.rows:,} rows, {now.rate:,.0f}/s, {doing}")


def _leave_within(limit: timedelta) -> None:
    """End the process after so long, even if a broker or a store's thread does not answer.

    Nothing is lost by it. What is in hand was given up by then, and whoever opens its lane asks
    the store what became of it.
    """
    timer = threading.Timer(limit.total_seconds(), os._exit, [0])
    timer.daemon = True
    timer.start()
