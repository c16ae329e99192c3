"""How a system is fed is declared, and nobody asks which system it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bus.policy import LEDGER, OWN_FEEDS, FeedPolicy, feed_policy
from bus.policy.subscriptions import RESERVED

ROOT = Path(__file__).parents[3]


def test_whoever_is_not_fed_by_the_bus_for_itself_is_fed_by_subscription() -> None:
    """With receipts, at once; what it loses goes, and it can be filled anew."""
    assert feed_policy("child_allowance") == FeedPolicy()
    assert FeedPolicy() == FeedPolicy(
        by_subscription=True, sends_receipts=True, gathers=False, withdraws=True, not_rebuilt=None
    )


def test_the_ledger_is_fed_everything_and_keeps_it() -> None:
    """A receipt of a receipt would be one more, without end."""
    policy = feed_policy(LEDGER)

    assert (policy.by_subscription, policy.sends_receipts, policy.withdraws) == (False,) * 3
    assert policy.gathers
    assert policy.not_rebuilt is not None


def test_nobody_can_subscribe_under_a_name_of_these() -> None:
    """What is fed in whole is the bus's own."""
    assert OWN_FEEDS.keys() <= RESERVED
    assert all(not policy.by_subscription for policy in OWN_FEEDS.values())


@pytest.mark.parametrize("package", ["app", "operate", "hosting", "deliver", "rebuild"])
def test_the_ledger_is_no_special_case(package: str) -> None:
    """Its name stands where its feed is composed, and nowhere else in what feeds."""
    named = {
        file.name
        for file in (ROOT / "bus" / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id == "LEDGER"
    }

    assert named == ({"systems.py"} if package == "app" else set())
