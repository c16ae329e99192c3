"""Options that several commands take: said once, and answered for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.cli.options import insist_on_an_answer, order_of
from bus.errors import ConfigurationError
from bus.operate.actor import account

COMMANDS = Path(__file__).parents[3] / "bus" / "cli"
ONCE = ('"--by"', '"--reason"', 'typer.Option("--yes", help="Do not ask.")', "Actor.of(by)")


@pytest.mark.parametrize("said", ONCE)
def test_who_acts_is_asked_in_one_place(said: str) -> None:
    """But where it means something else: whose deeds are listed."""
    found = {file.stem for file in COMMANDS.glob("*.py") if said in file.read_text("utf-8")}

    other = {'"--by"': {"deeds"}, "Actor.of(by)": {"policyapply"}}  # which needs no reason
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
