"""What each receiving system may be given while a process delivers to it, at every moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bus.app.configured import this_day
from bus.app.systems import feeds, refuse, store
from bus.catalog import Catalog
from bus.catalog.decoding import BatchReader
from bus.connect import Sink
from bus.deliver.process import ProcessContext
from bus.errors import BusError, ConfigurationError, PolicyError
from bus.hosting.feeds import Feed, Withdraw
from bus.hosting.system_delivery import SystemDelivery
from bus.model import MaskKey
from bus.policy import (
    EffectiveSubscription,
    SubscriptionReport,
    effective_subscription,
    feed_policy,
)
from bus.settings import SystemConnection


class Entitlements:
    """Gives each system of a process its feeds, and new ones when its subscription changes.

    What is refused is said aloud, and stands among what is not delivered; the rest goes on.
    """

    def __init__(
        self,
        catalog: Catalog,
        files: SubscriptionReport,
        connections: Mapping[str, SystemConnection],
        readers: Mapping[str, BatchReader],
        process: ProcessContext,
        keys: Mapping[str, MaskKey],
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._connections = connections
        self._readers = readers
        self._process = process
        self._keys = keys
        self.refusals: list[BusError] = []

    def of(self, system: str) -> tuple[list[Feed], Withdraw | None]:
        """The system's feeds now, and what withdraws the rest from its store."""
        undelivered = self._process.lanes.undelivered
        for known in [key for key in undelivered if key[0] == system]:
            del undelivered[known]
        found = effective_subscription(
            system, self._files, self._process.control.editions.newest.get(system), self._catalog
        )
        if feed_policy(system).by_subscription:
            for stream, error in found.refused:
                self._refuse(error, system, stream)
        subscriptions = {} if found.subscription is None else {system: found.subscription}
        try:
            fed = feeds(
                system,
                self._connections[system],
                self._catalog,
                subscriptions,
                self._readers,
                this_day(),
                self._refuse,
                self._keys,
            )
        except (PolicyError, ConfigurationError) as error:
            if not any(key[0] == system for key in undelivered):  # else it was said for each
                self._refuse(error, system)
            self.refusals.append(error)
            fed = []
        under = [replace(f, view=replace(f.view, edition=found.edition)) for f in fed]
        return under, self._withdrawal(system, found)

    def follow(self, delivery: SystemDelivery) -> None:
        """Have *delivery* switch whenever its system's subscription changes."""

        def switch() -> None:
            delivery.switch(*self.of(delivery.system))

        self._process.control.editions.listen(delivery.system, switch)

    def _withdrawal(self, system: str, found: EffectiveSubscription) -> Withdraw | None:
        granted = found.granted
        if not feed_policy(system).withdraws or granted is None:
            return None
        try:
            made = store(system, self._connections[system])()
        except ConfigurationError:
            return None  # which was said: nothing can be fed either
        if made.capabilities.reshapes is None:
            return None
        return partial(withdrawn, made, granted, found.edition)

    def _refuse(self, error: BusError, system: str, stream: str | None = None) -> None:
        self._process.lanes.undelivered[system, stream] = error.code
        refuse(error, system, stream)


async def withdrawn(sink: Sink, granted: Collection[str], edition: int) -> Sequence[str]:
    """Withdraw from the store what is not granted, and close the sink."""
    reshapes = sink.capabilities.reshapes
    assert reshapes is not None
    try:
        return await reshapes.withdraw(granted, edition)
    finally:
        await sink.close()
