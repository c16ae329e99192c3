"""All commands at once, for who reads through them."""

from __future__ import annotations

import typer.main
from typer.core import TyperGroup

from bus.cli.main import build, chosen


def whole() -> TyperGroup:
    """The command with the module of each of its commands imported."""
    command = typer.main.get_command(build())
    assert isinstance(command, TyperGroup)
    command.commands = {name: chosen(name) for name in command.commands}
    return command
