"""Ask the ledger for what operators did: newest first, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import psycopg

from bus.ledger.chains import ChainFault, ChainFaultKind
from bus.ledger.store import Ledger
from bus.model.deed import CUT_OFF, ENDS, Deed
from bus.observe.moments import local_time
from bus.sealing import KeyRing, ProofKind
from bus.sealing.proofs import proves

_ROWS = """
SELECT act, at, actor, account, system, stream, subject_digest, count, reason, proof,
       log_partition, log_offset
FROM ledger.event_deed"""
_ALL = f"{_ROWS} ORDER BY log_partition, log_offset"
_QUESTION = f"""{_ROWS}
WHERE at >= %(first)s AND at < %(after)s
  AND (%(act)s::text IS NULL OR act = %(act)s)
  AND (%(actor)s::text IS NULL OR actor = %(actor)s OR account = %(actor)s)
  AND (%(system)s::text IS NULL OR system = %(system)s)
  AND (%(digest)s::text IS NULL OR subject_digest = %(digest)s)
  AND (%(below)s::bigint IS NULL OR log_offset < %(below)s)
ORDER BY log_offset DESC
LIMIT %(most)s
"""


_BEGINNING: Mapping[str, str] = {end: act for ends in (ENDS, CUT_OFF) for act, end in ends.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeedQuery:
    """Which deeds are asked for."""

    first: datetime
    after: datetime  # before this moment
    act: str | None = None
    actor: str | None = None  # by name or by account
    system: str | None = None
    subject_digest: str | None = None
    below: int | None = None  # only what lies before this offset: the next page
    most: int = 100


@dataclass(frozen=True, slots=True)
class RecordedDeed:
    """A deed, and its place in the log."""

    deed: Deed
    partition: int
    offset: int
    is_proved: bool  # by a key that is known here


async def deeds_of(ledger: Ledger, query: DeedQuery, ring: KeyRing | None) -> list[RecordedDeed]:
    """The deeds that *query* asks for, the newest first.

    Args:
        ring: The keys that prove; None: none are here, and nothing is proved.

    Raises:
        ConfigurationError: There is no ledger in this database.
        StoreUnavailable: The database does not answer.
    """
    about = {
        "first": query.first,
        "after": query.after,
        "act": query.act,
        "actor": query.actor,
        "system": query.system,
        "digest": query.subject_digest,
        "below": query.below,
        "most": query.most,
    }
    return [_recorded(row, ring) for row in await ledger.ask(_QUESTION, about)]


def _recorded(row: Sequence[object], ring: KeyRing | None) -> RecordedDeed:
    names = Deed.__dataclass_fields__
    deed = Deed(**dict(zip(names, row, strict=False)))  # type: ignore[arg-type]
    partition, offset = row[len(names)], row[len(names) + 1]
    known = ring is not None and bool(proves(ring, deed.proof, ProofKind.DEED, deed.proved))
    return RecordedDeed(deed, int(str(partition)), int(str(offset)), known)


async def all_deeds(
    connection: psycopg.AsyncConnection[tuple[Any, ...]], ring: KeyRing
) -> AsyncIterator[RecordedDeed]:
    """Every deed that a ledger has, in the journal's order, a stretch at a time.

    Raises:
        ConfigurationError: There is no ledger in this database.
        StoreUnavailable: The database does not answer.
    """
    async with connection.cursor(name="renkei_deeds") as cursor:
        await cursor.execute(_ALL)
        async for row in cursor:
            yield _recorded(row, ring)


class OpenDeeds:
    """Deeds that were begun and have no end: cut off where nobody could record it, or at work."""

    def __init__(self) -> None:
        self._begun: dict[tuple[object, ...], list[RecordedDeed]] = {}

    def take(self, recorded: RecordedDeed) -> None:
        """The next deed of the journal. An end is that of the newest beginning by the same."""
        deed = recorded.deed
        by = (deed.actor, deed.account, deed.reason, deed.system, deed.stream)
        if deed.is_begun:
            self._begun.setdefault((deed.act, *by), []).append(recorded)
        elif deed.act in _BEGINNING and (begun := self._begun.get((_BEGINNING[deed.act], *by))):
            begun.pop()

    @property
    def found(self) -> list[RecordedDeed]:
        """They, in the journal's order."""
        left = [each for begun in self._begun.values() for each in begun]
        return sorted(left, key=lambda each: (each.partition, each.offset))


def unproved(recorded: RecordedDeed, zone: tzinfo) -> ChainFault:
    """The finding that a deed has no proof: somebody else, or a process without keys, wrote it."""
    at = local_time(recorded.deed.at, zone)
    what = "it has no proof" if recorded.deed.proof is None else "its proof is not of what it says"
    return ChainFault(
        kind=ChainFaultKind.UNPROVED,
        system="",
        stream="deed",
        partition=recorded.partition,
        start=recorded.offset,
        end=recorded.offset + 1,
        place=(recorded.partition, recorded.offset),
        what=f"{recorded.deed.act} at {at}: {what}",
    )
