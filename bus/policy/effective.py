"""The subscription that holds for a system: the edition that was applied last, else its file.

If the newest edition cannot be used, nothing is granted; the file does not take its place, for
the edition may have granted less than the file does.
"""

from __future__ import annotations

from dataclasses import dataclass

from bus.catalog import Catalog
from bus.errors import BusError, NotEntitled
from bus.model import OF_THE_FILES, Edition
from bus.policy.grants import Subscription
from bus.policy.subscriptions import SubscriptionReport, read_subscription


@dataclass(frozen=True, slots=True)
class EffectiveSubscription:
    """The subscription that holds for one system, and the grants of it that are refused."""

    subscription: Subscription | None  # without the refused grants; None: none holds
    edition: int  # its number; 0: the file's
    refused: tuple[tuple[str | None, BusError], ...]  # (stream, or None for the system, why)

    @property
    def granted(self) -> frozenset[str] | None:
        """The streams that it names, refused grants included; None if there is no subscription."""
        if self.subscription is None:
            return None
        return frozenset(self.subscription.streams) | {s for s, _ in self.refused if s is not None}


def effective_subscription(
    system: str, files: SubscriptionReport, said: Edition | BusError | None, catalog: Catalog
) -> EffectiveSubscription:
    """The subscription that holds for *system* now.

    Args:
        system: The receiving system.
        files: What the installation's files grant.
        said: The newest edition, or why it cannot be used; None if there is none.
        catalog: The streams that may be granted.
    """
    if isinstance(said, BusError):
        return EffectiveSubscription(None, OF_THE_FILES, ((None, said),))
    edition, report = OF_THE_FILES, files
    if said is not None:
        edition = said.sequence
        report = read_subscription(system, said.text.encode(), catalog)
    refused: list[tuple[str | None, BusError]] = [
        (refusal.stream, refusal.error) for refusal in report.refusals if refusal.system == system
    ]
    found = report.subscriptions.get(system)
    if found is None and not any(stream is None for stream, _ in refused):
        missing = NotEntitled("there is no subscription of this system", system=system)
        refused.append((None, missing))
    return EffectiveSubscription(found, edition, tuple(refused))
