"""``renkei``: the command line. One module per command group; each registers itself by name."""

from __future__ import annotations

import errno
import gc
import importlib
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from bus import failpoints
from bus.cli.asking import EndedBySignal, asking, leave
from bus.errors import BusError, ConfigurationError

COMMANDS = {
    "demo": "Enter changes into seventeen systems and watch each arrive wherever it must.",
    "publish": (
        "Check the changes in FILE and publish them; a refused line does not stop the others."
    ),
    "deliver": "Deliver to every system of the settings, and to the ledger, until told to stop.",
    "erase": (
        "Erase SUBJECT: a null value in every stream of persons; each system's lane takes "
        "its row out."
    ),
    "status": (
        "Show systems x streams: lag in events and time, rate, what is set aside, last applied."
    ),
    "throughput": (
        "Show rows applied per minute, per system and stream, and the changes under way."
    ),
    "rebuild": (
        "Fill a system's table anew from the log, beside the one in use, and put it in its place."
    ),
    "doctor": (
        "Look at versions, files, ports, disk, Kafka, registry, databases, lines, keys, "
        "clock, and who runs."
    ),
    "bench": "Measure speed on the real engines, each figure with its ceiling.",
    "relay": "Send what core systems put into outboxes.",
    "reach": "Where a change has arrived.",
    "provisions": "What was given to whom, on what ground.",
    "protections": "Who is under protection, case by case.",
    "ledger": "The record of what was given: proved and kept.",
    "deeds": "What operators did, and whom they looked up.",
    "owed": "What has to be taken out of stores by hand, until it is done.",
    "monitor": "Watch receipts: throughput, open changes.",
    "lanes": "Have delivery to a system stand, and go on.",
    "parked": "Events that could not be applied.",
    "schemas": "The streams' schemas and code lists.",
    "streams": "What is published, and who receives it.",
    "keys": "The keys that seal 個人番号, and those that prove receipts.",
    "systems": "Who receives what, and who provides it.",
    "subscriptions": "What each system may receive, and why.",
    "topics": "The topics that carry the streams.",
    "local": "Kafka, PostgreSQL and the registry on this machine.",
    "docs": "The reference of streams, systems and codes.",
    "settings": "The settings of this installation.",
}
"""Each command, which is the module of its name, and the line that says what it is for."""

COLLECT_AFTER = (100_000, 20, 20)
"""When garbage in cycles is looked for (:func:`gc.set_threshold`).

A fetch makes some ten thousand objects that live until it is handed over. By Python's own measure
(700) each would start collections that walk through everything the process holds and find nothing:
a third of a load's time with seventeen systems. See docs/decisions/0026.
"""


class Commands(TyperGroup):
    """All commands, by name and line; the module of one is imported when it is chosen."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, line in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line, rich_markup_mode=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Which command the words choose, imported."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else chosen(name), rest

    def invoke(self, ctx: Any) -> Any:
        """What was chosen, done; Ctrl-C is no silence."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise EndedBySignal(signal.SIGINT) from None


def chosen(name: str) -> Any:
    """The command or group that the module with this name registers."""
    app = typer.Typer(rich_markup_mode=None)
    importlib.import_module(f"bus.cli.{name}").register(app)
    return get_group(app).commands[name]


def build() -> typer.Typer:
    """The whole command."""
    app = typer.Typer(
        name="renkei",
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_whole)
    return app


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

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
    if context.obj is not None:
        context.obj()
    context.with_resource(asking())


def _log_as_text() -> None:
    """Log as text, for commands that end; long-running ones configure their own logs."""
    from bus.observe import logs

    logs.configure("text", libraries=logging.CRITICAL)


def keep_to_ourselves() -> None:
    """Have all files be for this user alone, and no process dump its memory when it dies.

    This holds for the processes that it starts, too: keys and personal data are in their memory.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Run the command; a deliberate error becomes one line on stderr and its exit status."""
    gc.set_threshold(*COLLECT_AFTER)
    keep_to_ourselves()
    failpoints.arm(os.environ)
    try:
        build()(obj=_log_as_text)
    except BusError as error:
        _show(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        _end(EndedBySignal(signal.SIGINT))
    except EndedBySignal as ended:
        _end(ended)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        full = ConfigurationError("the disk is full", file=error.filename)
        _show(full)
        with suppress(OSError):  # what is left for stdout would be tried again at the very end
            sys.stdout.close()
        sys.exit(full.exit_status)


def _end(ended: EndedBySignal) -> None:
    sys.stderr.write(f"{ended.word}\n")
    leave(ended.exit_status)


def _show(error: BusError) -> None:
    from bus.cli.output import show_error

    show_error(error)
