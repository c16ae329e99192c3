"""Receipts and exceptions: the bus's own records of its deliveries.

A receipt says that a lane applied the offsets of ``delivered`` under a view. Receipts of one
lane form a chain: each names the digest of the one before. ``applied_at`` is outside the chain,
because a receipt that a crash kept from being sent is sent again with the store's own time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from bus.errors import NotEntitled

NO_PREVIOUS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Lane L applied the offsets ``delivered`` between ``start`` and ``end`` (適用記録).

    ``end`` is exclusive. ``delivered`` is PostgreSQL's text of an ``int8multirange``
    (``{[0,5),[7,9)}``): filtered, compacted and parked offsets are holes. ``digest`` is of the
    delivered events' Kafka values, concatenated in offset order: ``hmac-sha256:<key id>:<hex>``, so
    that without the key nobody can try out what they may have said. Receipts of before say their
    SHA-256 in hex.
    One of a delivery out of turn (a retry) has ``start == end``.
    """

    system: str
    stream: str
    partition: int
    start: int
    end: int
    delivered: str
    view: str  # fingerprint
    rows: int
    digest: str
    previous: str = NO_PREVIOUS  # chain value of the lane's receipt before this one

    @property
    def chain(self) -> str:
        """SHA-256 in hex over the previous chain value and everything this receipt states."""
        said = (
            self.previous, self.system, self.stream, str(self.partition), str(self.start),
            str(self.end), self.delivered, self.view, str(self.rows), self.digest,
        )  # fmt: skip
        return hashlib.sha256("\x1f".join(said).encode()).hexdigest()


def proved_of(chain: str, applied_at: datetime, cluster_id: str) -> tuple[str, str, str]:
    """The text that a receipt's proof in the log is made of: its chain value, time and cluster."""
    return chain, applied_at.astimezone(UTC).isoformat(timespec="microseconds"), cluster_id


class ExceptionState(StrEnum):
    """Where an event that was set aside stands."""

    PARKED = "PARKED"  # cannot be applied; its reason is the code
    WAITING = "WAITING"  # behind a parked event of the same subject in the same system
    RETRY = "RETRY"  # an operator asked for another try
    APPLIED = "APPLIED"  # a later try succeeded
    SUPERSEDED = "SUPERSEDED"  # a newer whole snapshot of the subject was applied instead
    DISMISSED = "DISMISSED"  # an operator closed it, with a reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEvent:
    """An event set aside in one lane, by reference: no copy of its content (保留)."""

    system: str
    stream: str
    partition: int
    offset: int
    subject: str  # the Kafka key, <municipality_code>/<subject_id>, or a digest if it is no such
    event_id: str | None  # None where the event cannot be read
    state: ExceptionState
    code: str  # error code, RK-…
    attempts: int
    at: datetime
    note: str | None = None  # why an operator dismissed it: a ticket's number, never personal data
    since: datetime | None = None  # when it was set aside; absent from what version 1 said
    operator: str | None = None  # who spoke of it last, of those who give commands

    @property
    def set_aside_at(self) -> datetime:
        """When it was first set aside, as far as known; later tries do not count."""
        return self.since or self.at

    @property
    def is_open(self) -> bool:
        """Whether the event is still parked or waiting."""
        return self.state in (ExceptionState.PARKED, ExceptionState.WAITING, ExceptionState.RETRY)

    @property
    def is_passed_by(self) -> bool:
        """Whether readers of the log pass over the event: it is set aside, or was dismissed or
        superseded."""
        if self.is_open or self.state is ExceptionState.SUPERSEDED:
            return True
        return self.state is ExceptionState.DISMISSED and self.code != NotEntitled.code


def multirange(offsets: Iterable[int]) -> str:
    """PostgreSQL's ``int8multirange`` text of ascending, distinct offsets; ``{}`` if none."""
    ranges: list[str] = []
    first = last = None
    for offset in offsets:
        if last is not None and offset == last + 1:
            last = offset
            continue
        if first is not None and last is not None:
            ranges.append(f"[{first},{last + 1})")
        first = last = offset
    if first is not None and last is not None:
        ranges.append(f"[{first},{last + 1})")
    return "{" + ",".join(ranges) + "}"
