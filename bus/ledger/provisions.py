"""Provisions (提供) as values: what was given to whom, when, on what ground, and which items.

Values and pure functions. A provision is one event handed to one system: an offset that lies in
the delivered ranges of a receipt, under the view that the receipt names. Whatever a view left
out, compaction took, or was set aside, is in no range and so was not provided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from bus.model import Sensitivity, Suppression, in_header


@dataclass(frozen=True, slots=True)
class GivenItem:
    """One item of a view."""

    name: str
    path: str
    ja: str
    sensitivity: str
    mask: str  # empty: as it is

    @property
    def is_header(self) -> bool:
        """Whether it is an item of the header."""
        return in_header(self.path)

    @property
    def is_location(self) -> bool:
        """Whether it says where a person is."""
        return self.sensitivity == Sensitivity.LOCATION


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedView:
    """A view as it was recorded when something was first given under it."""

    fingerprint: str
    system: str
    system_ja: str
    stream: str
    stream_ja: str
    schema_version: int
    items: tuple[GivenItem, ...]
    event_types: tuple[str, ...]
    conditions: tuple[str, ...]
    suppression: str
    mode: str
    legal_basis: str
    number_use: str  # empty: no 個人番号
    purpose: str
    approver: str
    approved_on: date
    expires_on: date
    statement: str

    @property
    def body_items(self) -> int:
        """How many items it shows, those of the header apart."""
        return sum(not item.is_header for item in self.items)

    @property
    def may_withhold(self) -> bool:
        """Whether a protected person's location is taken out of it.

        A receipt does not say of which rows it was: whether the person was under protection when
        a row was masked is the protection stream's answer, not the receipt's.
        """
        is_withholding = self.suppression == Suppression.WITHHOLD
        return is_withholding and any(item.is_location for item in self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """One event that one system was given, once."""

    given_at: datetime  # the receiving store's clock
    system: str
    stream: str
    subject_id: str
    version: int
    event_type: str
    event_id: str
    change_id: str
    processed_at: datetime
    partition: int
    offset: int
    view: str
    is_replay: bool  # handed over at a later try
    receipt: str  # chain value of the receipt that says so


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureRecord:
    """The record that a subject was erased, without its number."""

    at: datetime
    is_done: bool
    streams: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisions:
    """Provisions of one subject: all, or a page of them."""

    municipality_code: str
    subject_id: str
    provisions: Sequence[Provision]  # by time
    views: Mapping[str, RecordedView]  # by fingerprint; absent: given before views were recorded
    has_protection: bool  # whether the ledger holds a protection event of the subject
    naming: tuple[str, ...]  # streams whose records may name the subject under another number
    erasure: ErasureRecord | None = None

    @property
    def systems(self) -> list[str]:
        """The systems that were given something."""
        return sorted({provision.system for provision in self.provisions})


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfProvisions:
    """What one system was given of one stream under one view on one day."""

    day: date  # in Japan
    stream: str
    view: str
    deliveries: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemProvisions:
    """All provisions to one system in a period."""

    system: str
    days: Sequence[DayOfProvisions]  # by day, stream and view
    views: Mapping[str, RecordedView]

    @property
    def events(self) -> int:
        """The number of events."""
        return sum(day.events for day in self.days)
