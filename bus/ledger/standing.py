"""How each system stands with each stream: lag in events and in time, rate, what is set aside.

The log says how much there is, the group how far it has come, the receipts when and how fast. A
group that tells nothing has read nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bus.broker import Broker, Consumer, Place
from bus.ledger.store import Ledger
from bus.model import Stream

RATE_OVER = timedelta(seconds=60)
_READ_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One system and one stream."""

    system: str
    stream: str
    lag_events: int  # offsets from where the group is to the end
    lag: timedelta | None  # age of the oldest event among them; None: there is none, or unknown
    rows_per_s: float  # over the last minute
    parked: int  # set aside and not closed, those that wait behind included
    last_applied_at: datetime | None


async def standings(
    broker: Broker,
    ledger: Ledger,
    granted: Mapping[str, Sequence[Stream]],
    *,
    now: datetime,
    group_of: str = "renkei.{}",
) -> list[Standing]:
    """All of them, by system and stream.

    Args:
        granted: System -> the streams that it receives.
        group_of: The consumer group of a system.
    """
    streams = {stream.name: stream for streams in granted.values() for stream in streams}
    counts = await broker.partitions([stream.topic for stream in streams.values()])
    places = {
        name: [(stream.topic, p) for p in range(counts.get(stream.topic, 0))]
        for name, stream in streams.items()
    }
    reader = broker.consumer(client_id="renkei-status")
    await reader.start()
    try:
        everywhere = [place for mine in places.values() for place in mine]
        begin = await reader.beginning_offsets(everywhere)
        end = await reader.end_offsets(everywhere)
        at = {
            system: {**begin, **await broker.committed(group_of.format(system))}
            for system in granted
        }
        ages = await _ages(
            reader,
            {
                (place, at[system][place])
                for system, mine in granted.items()
                for stream in mine
                for place in places[stream.name]
                if at[system][place] < end[place]
            },
            now,
        )
    finally:
        await reader.close()

    lanes = [
        (system, stream.name, partition)
        for system, mine in granted.items()
        for stream in mine
        for _, partition in places[stream.name]
    ]
    receipts = await ledger.lanes(lanes)
    rows = await ledger.rows_lately(RATE_OVER)
    parked: dict[tuple[str, str], int] = {}
    for (system, name, _), count in (await ledger.open_exceptions()).items():
        parked[system, name] = parked.get((system, name), 0) + count

    found = []
    for system, mine in sorted(granted.items()):
        for stream in sorted(mine, key=lambda one: one.name):
            own = places[stream.name]
            told = [receipts.get((system, stream.name, partition)) for _, partition in own]
            behind = [ages.get((place, at[system][place])) for place in own]
            found.append(
                Standing(
                    system=system,
                    stream=stream.name,
                    lag_events=sum(max(end[place] - at[system][place], 0) for place in own),
                    lag=max((age for age in behind if age is not None), default=None),
                    rows_per_s=rows.get((system, stream.name), 0) / RATE_OVER.total_seconds(),
                    parked=parked.get((system, stream.name), 0),
                    last_applied_at=max((t.last_applied_at for t in told if t), default=None),
                )
            )
    return found


async def _ages(
    reader: Consumer, wanted: set[tuple[Place, int]], now: datetime
) -> dict[tuple[Place, int], timedelta]:
    """How old the event at, or next after, each of these places in the log is."""
    ages: dict[tuple[Place, int], timedelta] = {}
    for place, offset in sorted(wanted):
        await reader.assign([place])
        reader.seek(place, offset)
        for piece in await reader.fetch(1, _READ_WITHIN):
            appended = datetime.fromtimestamp(piece.timestamps_ms[0] / 1000, UTC)
            ages[place, offset] = max(now - appended, timedelta(0))
    return ages
