"""The record that a subject was erased, without the subject's number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ErasureState(StrEnum):
    """How far an erasure has come."""

    BEGUN = "BEGUN"  # said before the first null value, so that one cut off is known
    ERASED = "ERASED"  # every null value is acknowledged


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The newest record of one subject's erasure (消去).

    ``subject_digest`` answers whether a number in hand was erased, to whoever has the key, and
    gives no number away. Partitions and offsets are where the null values lie.
    """

    subject_digest: str
    municipality_code: str
    state: ErasureState
    streams: tuple[str, ...]
    partitions: tuple[int, ...] = ()
    offsets: tuple[int, ...] = ()
    at: datetime
    operator: str
    reason: str  # a ticket's number, never personal data
