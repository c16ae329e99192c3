"""Ask the ledger what an erasure has to reach: the subject's keys, copies, and parked events."""

from __future__ import annotations

from dataclasses import dataclass

from bus.ledger.provision_queries import EVENTS_OF_A_NUMBER
from bus.ledger.store import Ledger
from bus.ledger.subjects import PersonsStreams

# The newest event of each of the subject's keys.
_KEYS = f"""
SELECT DISTINCT ON (stream, subject_id) stream, subject_id, log_partition, log_offset,
       count(*) OVER (PARTITION BY stream, subject_id)
FROM ({EVENTS_OF_A_NUMBER}) AS mine WHERE municipality_code = %(municipality)s
ORDER BY stream, subject_id, log_offset DESC"""

_WAITING = """
SELECT system, stream, count(*) FROM ledger.exception
WHERE is_open AND subject = ANY(%(keys)s::text[])
GROUP BY system, stream ORDER BY system, stream"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """One Kafka key under which the subject has events."""

    stream: str
    subject_id: str
    partition: int
    offset: int  # of its newest event
    events: int


class ErasureScope:
    """Asks a ledger about a subject that is to be erased."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def keys(
        self, municipality_code: str, subject_id: str, where: PersonsStreams
    ) -> list[KnownKey]:
        """The numbers under which the ledger has events of the subject, by stream."""
        about = {
            "municipality": municipality_code,
            "spellings": where.spellings(subject_id),
            "own": [*where.own],
            "derived": [*where.derived],
        }
        return [
            KnownKey(stream=stream, subject_id=number, partition=at, offset=offset, events=count)
            for stream, number, at, offset, count in await self._ledger.ask(_KEYS, about)
        ]

    async def set_aside(self, keys: list[str]) -> dict[tuple[str, str], int]:
        """How many events under these Kafka keys are set aside, by (system, stream)."""
        rows = await self._ledger.ask(_WAITING, {"keys": keys})
        return {(system, stream): count for system, stream, count in rows}
