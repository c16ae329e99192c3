"""``renkei``: the command line. One module per command group; each registers itself by name."""

from __future__ import annotations

import errno
import gc
import importlib
import logging
import os
import resource
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated

import typer

from bus import failpoints
from bus.cli.asking import asking
from bus.cli.output import err, show_error
from bus.errors import BusError, ConfigurationError
from bus.observe import logs

MODULES = (
    "demo",
    "publish",
    "deliver",
    "relay",
    "reach",
    "provisions",
    "protections",
    "ledger",
    "deeds",
    "erase",
    "status",
    "throughput",
    "monitor",
    "lanes",
    "parked",
    "rebuild",
    "schemas",
    "streams",
    "keys",
    "systems",
    "subscriptions",
    "topics",
    "local",
    "doctor",
    "bench",
    "docs",
    "settings",
)

INTERRUPTED = 130  # exit status, as a shell says it of SIGINT
COLLECT_AFTER = (100_000, 20, 20)
"""When garbage in cycles is looked for (:func:`gc.set_threshold`).

A fetch makes some ten thousand objects that live until it is handed over. By Python's own measure
(700) each would start collections that walk through everything the process holds and find nothing:
a third of a load's time with seventeen systems. See docs/decisions/0026.
"""


def build() -> typer.Typer:
    """The whole command, every group registered."""
    app = typer.Typer(
        name="renkei",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_whole)
    for name in MODULES:
        importlib.import_module(f"bus.cli.{name}").register(app)
    return app


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"renkei {version('renkei')}")
        raise typer.Exit


def _whole(
    context: typer.Context,
    asks_version: Annotated[  # noqa: ARG001 - its callback answers
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Say the version and end."
        ),
    ] = False,
) -> None:
    """Renkei (連携): a change entered once reaches every municipal business system."""
    context.with_resource(asking())


def keep_to_ourselves() -> None:
    """What this process and what it starts write is for its user alone, and no memory is dumped
    into a file when one of them dies: keys and personal data are in it."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Run the command; a deliberate error becomes one line on stderr and its exit status."""
    gc.set_threshold(*COLLECT_AFTER)
    keep_to_ourselves()
    failpoints.arm(os.environ)
    logs.configure("text", libraries=logging.CRITICAL)  # what runs on configures its own
    try:
        build()()
    except BusError as error:
        show_error(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        err().print("interrupted")
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        full = ConfigurationError("the disk is full", file=error.filename)
        show_error(full)
        with suppress(OSError):  # what is left for stdout would be tried again at the very end
            sys.stdout.close()
        sys.exit(full.exit_status)
