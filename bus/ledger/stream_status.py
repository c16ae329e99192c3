"""The status of each system and stream: lag in events and time, rate, and what is set aside.

The log says how much there is, the group how far it has come, the receipts when and how fast. A
group that tells nothing has read nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bus.broker import Broker, TopicPartition, group_of
from bus.ledger.store import Ledger
from bus.log.times import appended
from bus.model import Operation, Stream

RATE_OVER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """The status of one system and one stream."""

    system: str
    stream: str
    lag_events: int  # offsets from where the group is to the end
    lag: timedelta | None  # age of the oldest event among them; None: there is none, or unknown
    rows_per_s: float  # over the last minute
    parked: int  # set aside and not closed, those that wait behind included
    last_applied_at: datetime | None
    parked_for: timedelta | None = None  # how long the oldest of these is
    operations: Sequence[Operation] = ()  # the pause in force, and lanes that have stopped


@dataclass(frozen=True, slots=True)
class _Log:
    """The end of each partition, and the position of each system's group."""

    places: Mapping[str, Sequence[TopicPartition]]  # by stream
    end: Mapping[TopicPartition, int]
    at: Mapping[str, Mapping[TopicPartition, int]]  # by system
    ages: Mapping[tuple[TopicPartition, int], timedelta]  # of the event where a group that lags is

    def lag_events(self, system: str, stream: str) -> int:
        at = self.at[system]
        return sum(max(self.end[place] - at[place], 0) for place in self.places[stream])

    def lag(self, system: str, stream: str) -> timedelta | None:
        at = self.at[system]
        ages = (self.ages.get((place, at[place])) for place in self.places[stream])
        return max((age for age in ages if age is not None), default=None)


async def standings(
    broker: Broker, ledger: Ledger, granted: Mapping[str, Sequence[Stream]], *, now: datetime
) -> list[StreamStatus]:
    """The status of every system and stream.

    Args:
        broker: Where the log is.
        ledger: Where receipts, exceptions and operations are.
        granted: System -> the streams that it receives.
        now: What ages count to.
    """
    log = await _look(broker, granted, now)
    pairs = [(system, stream.name) for system, mine in granted.items() for stream in mine]
    lanes = [(system, name, number) for system, name in pairs for _, number in log.places[name]]
    receipts = await ledger.lanes(lanes)
    rows = await ledger.rows_lately(RATE_OVER)
    applied: dict[tuple[str, str], datetime] = {}
    for (system, name, _), seen in receipts.items():
        last = applied.get((system, name), seen.last_applied_at)
        applied[system, name] = max(last, seen.last_applied_at)
    parked = await ledger.open_exceptions()
    standing: defaultdict[tuple[str, str], list[Operation]] = defaultdict(list)
    for operation in await ledger.standing():
        standing[operation.system, operation.stream].append(operation)
    return [
        StreamStatus(
            system=system,
            stream=name,
            lag_events=log.lag_events(system, name),
            lag=log.lag(system, name),
            rows_per_s=rows.get((system, name), 0) / RATE_OVER.total_seconds(),
            parked=parked[system, name].count if (system, name) in parked else 0,
            parked_for=now - parked[system, name].since if (system, name) in parked else None,
            last_applied_at=applied.get((system, name)),
            operations=tuple(standing[system, name]),
        )
        for system, name in sorted(pairs)
    ]


async def _look(broker: Broker, granted: Mapping[str, Sequence[Stream]], now: datetime) -> _Log:
    topics = {stream.name: stream.topic for mine in granted.values() for stream in mine}
    counts = await broker.partitions(list(topics.values()))
    places = {
        name: [(topic, number) for number in range(counts.get(topic, 0))]
        for name, topic in topics.items()
    }
    reader = broker.consumer(client_id="renkei-status")
    await reader.start()
    try:
        everywhere = [place for mine in places.values() for place in mine]
        begin, end = (
            await reader.beginning_offsets(everywhere),
            await reader.end_offsets(everywhere),
        )
        at = {system: {**begin, **await broker.committed(group_of(system))} for system in granted}
        behind = {
            (place, at[system][place])
            for system, mine in granted.items()
            for stream in mine
            for place in places[stream.name]
            if at[system][place] < end[place]
        }
        found = await appended(reader, behind)
        ages = {place: max(now - event.at, timedelta(0)) for place, event in found.items()}
        return _Log(places, end, at, ages)
    finally:
        await reader.close()
