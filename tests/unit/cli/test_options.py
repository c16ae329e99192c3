"""Options that several commands take: said once, and answered for once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.cli.options import insist_on_an_answer, order_of
from bus.errors import ConfigurationError
from bus.operate.actor import account
from tests.support.commands import whole

COMMANDS = Path(__file__).parents[3] / "bus" / "cli"
ONCE = ('"--by"', '"--reason"', 'typer.Option("--yes", help="Do not ask.")', "Actor.of(by)")


@pytest.mark.parametrize("said", ONCE)
def test_who_acts_is_asked_in_one_place(said: str) -> None:
    """But where it means something else: whose deeds are listed."""
    found = {file.stem for file in COMMANDS.glob("*.py") if said in file.read_text("utf-8")}

    other = {'"--by"': {"deeds"}}
    assert found - other.get(said, set()) == {"options"}


def test_an_order_has_somebody() -> None:
    """By default the account; a reason only where there is one."""
    mine, theirs = order_of(None, None), order_of("clerk", "T-1")

    assert (mine.actor.name, mine.reason) == (account(), None)
    assert (theirs.actor.name, theirs.actor.account, theirs.reason) == ("clerk", account(), "T-1")
    with pytest.raises(ConfigurationError, match="--reason"):
        order_of(None, " ")


def test_where_a_document_is_wanted_nobody_is_asked() -> None:
    """Somebody must have said yes, or that it is a trial."""
    with pytest.raises(ConfigurationError, match="--yes or --dry-run"):
        insist_on_an_answer(as_json=True, dry_run=False, is_sure=False)
    insist_on_an_answer(as_json=True, dry_run=True, is_sure=False)
    insist_on_an_answer(as_json=False, dry_run=False, is_sure=False)


LOOKS_UP = {
    "parked list", "relay refused list", "protections list", "protections show", "provisions of",
    "provisions by",
}  # fmt: skip
NO_TRIAL = {"ledger anchor"}  # one that nobody recorded is found to be none


def test_deeds_are_alike() -> None:
    """By whom, why, what it would come to, and for machines."""
    found = {}
    for name, command in every(whole(), ()):
        options = {option for each in command.params for option in each.opts}
        if "--by" in options and name != "deeds list":
            found[name] = options
    assert len(found) > len(LOOKS_UP) + 14
    for name, options in found.items():
        assert {"--reason", "--json"} <= options, name
        assert ("--dry-run" in options) == (name not in LOOKS_UP | NO_TRIAL), name


def every(command: Any, above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """All commands that are no groups, by their words."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(above), command
        return
    for name, each in inner.items():
        yield from every(each, (*above, name))
