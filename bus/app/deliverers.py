"""Watch whether somebody delivers to each system that should be delivered to.

Said beside what a page says of its own process: whoever looks learns of it, and nobody is restarted
for what another process does not do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime

from bus.app.configured import granted, this_day
from bus.app.systems import connections
from bus.broker import Broker, group_of
from bus.clock import Clock
from bus.errors import BusError, Unavailable
from bus.model import Edition
from bus.policy import feed_policy
from bus.settings import Settings

LOOK_EVERY_S = 10.0


def expected_systems(settings: Settings, editions: Mapping[str, Edition | BusError]) -> list[str]:
    """The systems that some process must host: those that are granted anything, and the ledger."""
    if not settings.systems:
        return []
    return expected_of(settings, granted(settings, this_day(), editions))


def expected_of(settings: Settings, known: Mapping[str, Collection[str]]) -> list[str]:
    """As :func:`expected_systems`, where the streams that each system may have are known."""
    if not settings.systems:
        return []
    return [s for s in connections(settings) if not feed_policy(s).by_subscription or known.get(s)]


async def hosting(broker: Broker, systems: Collection[str]) -> Mapping[str, Sequence[str]]:
    """By system, the processes that deliver to it, as Kafka judges it by their group.

    Raises:
        Unavailable: Kafka does not answer.
    """
    if not systems:
        return {}
    groups = {system: group_of(system) for system in systems}
    members = await broker.members(list(groups.values()))
    return {system: members[group] for system, group in groups.items()}


class Deliverers:
    """Who of *systems*, which are asked for at each look, has nobody by Kafka's groups."""

    def __init__(
        self,
        broker: Broker,
        systems: Callable[[], Collection[str]],
        clock: Clock,
        every: float = LOOK_EVERY_S,
    ) -> None:
        self._broker = broker
        self._systems = systems
        self._clock = clock
        self._every = every
        self._alone: dict[str, datetime] = {}
        self._unseen: str | None = None

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._every)

    async def look(self) -> None:
        """Ask once; that Kafka does not answer is remembered."""
        try:
            hosts = await hosting(self._broker, self._systems())
        except Unavailable as error:
            self._unseen = error.code
            return
        now = self._clock.now()
        self._unseen = None
        self._alone = {
            system: self._alone.get(system, now) for system, members in hosts.items() if not members
        }

    def missing(self) -> Iterator[str]:
        """Who should run and does not; since when is as this process has seen it."""
        if self._unseen is not None:
            yield f"who delivers cannot be seen: {self._unseen}"
            return
        for system, since in sorted(self._alone.items()):
            yield f"nobody delivers to {system} since {since.isoformat(timespec='seconds')}"
