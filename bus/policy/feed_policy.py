"""How each system is fed, apart from what it may see; callers ask this, not which system it is.

Whom a subscription names is fed by it. The bus feeds systems of its own as well: the ledger, with
every stream in whole, by no subscription.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bus.policy.views import LEDGER


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPolicy:
    """How one system is fed."""

    by_subscription: bool = True
    """A subscription says what it may have; otherwise it has every stream, in whole."""
    sends_receipts: bool = True
    """What it is given is said in receipts. Of what takes receipts down nothing is."""
    gathers: bool = False
    """It lets events come together for a moment: one batch instead of hundreds a second."""
    withdraws: bool = True
    """What it may no longer have is taken from its store; otherwise that stays a record."""
    not_rebuilt: str | None = None
    """Why its tables are not filled anew; None: they are."""


BY_SUBSCRIPTION = FeedPolicy()
OWN_FEEDS: Mapping[str, FeedPolicy] = {
    LEDGER: FeedPolicy(
        by_subscription=False,
        sends_receipts=False,
        gathers=True,
        withdraws=False,
        not_rebuilt="the ledger is a history; it is not rebuilt",
    )
}
"""The systems that the bus feeds for itself."""


def feed_policy(system: str) -> FeedPolicy:
    """The feed policy of *system*: the ledger's own, or that of every other system."""
    return OWN_FEEDS.get(system, BY_SUBSCRIPTION)
