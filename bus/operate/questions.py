"""What the ledger and the log are asked: has it arrived, and how far is everybody?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from bus.app.configured import catalog, granted, this_day
from bus.app.outside import broker
from bus.broker.kafka import KafkaBroker
from bus.errors import Unavailable
from bus.ledger import Ledger, Reach
from bus.ledger.logtimes import logged_at
from bus.ledger.reach import EventPlace, timed
from bus.ledger.standing import Standing
from bus.ledger.standing import standings as standings_of
from bus.settings import Settings

ANSWER_WITHIN = timedelta(seconds=5)


class LogTimes:
    """When the log took a change's events: asked once for each, and not at all while it is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[EventPlace, datetime] = {}

    async def told(self, reach: Reach) -> Reach:
        """*reach*, with how long it took, where the log says when that began."""
        unknown = [place for place in reach.places if place not in self._known]
        if unknown and any(system.applied_at is not None for system in reach.systems):
            with suppress(Unavailable):
                self._known |= await self._asked(unknown)
        return timed(reach, self._known)

    async def _asked(self, places: Sequence[EventPlace]) -> dict[EventPlace, datetime]:
        streams = catalog(self._settings)
        wanted = {
            ((streams.stream(name).topic, partition), offset): (name, partition, offset)
            for name, partition, offset in places
        }
        async with broker(self._settings, patience=ANSWER_WITHIN) as cluster:
            found = await logged_at(cluster, wanted)
        return {wanted[place]: at for place, at in found.items()}


async def standings(settings: Settings, broker: KafkaBroker, ledger: Ledger) -> list[Standing]:
    """How each system stands with each stream that it is granted today."""
    now = datetime.now(UTC)
    streams = catalog(settings)
    receiving = {
        system: [streams.stream(name) for name in sorted(mine)]
        for system, mine in (await entitled(settings, ledger)).items()
        if mine
    }
    return await standings_of(broker, ledger, receiving, now=now)


async def entitled(
    settings: Settings, ledger: Ledger
) -> Mapping[str, Mapping[str, frozenset[str]]]:
    """System -> stream -> event types, of every grant in force today: by the editions that the
    ledger knows, and the files of the systems that nobody has applied anything for.

    Raises:
        ConfigurationError: There is no ledger in this database.
        StoreUnavailable: The database does not answer.
    """
    return granted(settings, this_day(), await ledger.editions())
