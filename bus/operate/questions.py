"""Questions to the ledger and the log together: has a change arrived, and how far is everybody?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bus.app.configured import granted, this_day
from bus.app.deliverers import expected_systems
from bus.errors import Unavailable
from bus.hosting.overdue import overdue_after
from bus.ledger import Ledger, Reach
from bus.ledger.reach import EventPlace, timed
from bus.ledger.stream_status import StreamStatus
from bus.ledger.stream_status import standings as standings_of
from bus.log.times import logged_at
from bus.operate.running import DELIVER, Duty, duties
from bus.operate.session import Session
from bus.settings import Settings

__all__ = ["StreamStatus"]  # one system and one stream


class LogTimes:
    """Asks the log when it took a change's events: once for each, and not while it is away."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[EventPlace, datetime] = {}

    async def with_times(self, reach: Reach) -> Reach:
        """*reach* with how long it took, if the log says when it began."""
        unknown = [place for place in reach.places if place not in self._known]
        if unknown and any(system.applied_at is not None for system in reach.systems):
            with suppress(Unavailable):
                self._known |= await self._asked(unknown)
        return timed(reach, self._known)

    async def _asked(self, places: Sequence[EventPlace]) -> dict[EventPlace, datetime]:
        streams = self._session.catalog
        wanted = {
            ((streams.stream(name).topic, partition), offset): (name, partition, offset)
            for name, partition, offset in places
        }
        found = await logged_at(await self._session.broker(), wanted)
        return {wanted[place]: at for place, at in found.items()}


@dataclass(frozen=True, slots=True)
class Overview:
    """The status of each system and stream granted today, and which processes are missing."""

    standings: Sequence[StreamStatus]
    duties: Sequence[Duty]
    limit: timedelta  # how long an event may be set aside

    def is_hosted(self, one: StreamStatus) -> bool:
        """Whether a process delivers to the system."""
        unhosted = {d.system for d in self.duties if d.command == DELIVER and not d.is_done}
        return one.system not in unhosted

    def is_overdue(self, one: StreamStatus) -> bool:
        """Whether an event of it has been set aside for too long."""
        return is_overdue(one, self.limit)

    @property
    def undone(self) -> list[Duty]:
        """What nobody does, or of which nobody can say."""
        return [duty for duty in self.duties if not duty.is_done]


def is_overdue(one: StreamStatus, limit: timedelta) -> bool:
    """Whether an event of it has been set aside for *limit* or longer."""
    return one.parked_for is not None and one.parked_for >= limit


def is_well(one: StreamStatus) -> bool:
    """Whether nothing is on its way, set aside, or stands."""
    return not one.lag_events and not one.parked and not one.operations


async def status(session: Session) -> Overview:
    """The status of every system and stream.

    Raises:
        ConfigurationError: There is no ledger in this database.
        Unavailable: Log or ledger does not answer.
    """
    now = datetime.now(UTC)
    ledger, broker = await session.ledger(), await session.broker()
    receiving = {
        system: [session.catalog.stream(name) for name in sorted(mine)]
        for system, mine in (await entitled(session.settings, ledger)).items()
        if mine
    }
    found = await standings_of(broker, ledger, receiving, now=now)
    systems = expected_systems(session.settings, await ledger.editions())
    running = await duties(session, systems)
    return Overview(found, running, overdue_after(session.settings))


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
