"""Views, positions and checkpoints: values that go from policy to connectors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa

from bus.model.mask import Condition, Mask, Mode
from bus.model.protection import FLAG, HOUSEHOLD, PROTECTION
from bus.model.receipt import Receipt
from bus.model.stream import Sensitivity


class Suppression(StrEnum):
    """How a system treats a protected person's location (``suppression`` in a subscription)."""

    WITHHOLD = "withhold"  # the fact of the change, without the location
    CAPABLE = "capable"  # location and flag: the system itself suppresses what it shows


class Keeping(StrEnum):
    """Whether a store keeps a view's newest state or every event."""

    STATE = "state"  # one row per subject, the newest version wins
    HISTORY = "history"  # one row per event, by (partition, offset)


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """One column of a view: its flat name, where it comes from, and its type once masked."""

    name: str
    path: str  # dotted path in the stream's record; "" for a column the bus itself adds
    type: pa.DataType
    sensitivity: Sensitivity
    ja: str = ""
    is_nullable: bool = True
    mask: Mask | None = None
    is_sealed: bool = False  # in the log; opened for a view that has the column, after projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """On what ground something is given (根拠), as a later reader of receipts will ask."""

    legal_basis: str
    number_use: str = ""  # 番号利用事務 and its ordinance; empty where there is no 個人番号
    purpose: str
    approver: str
    approved_on: date
    expires_on: date


@dataclass(frozen=True, slots=True)
class View:
    """What results from subscription x stream: a flat schema, a row filter, masks (ビュー)."""

    system: str
    stream: str
    keeping: Keeping
    columns: tuple[ViewColumn, ...]
    event_types: frozenset[str]
    suppression: Suppression
    fingerprint: str  # SHA-256 in hex of all that a system sees, and the schema version it reads
    conditions: tuple[Condition, ...] = ()  # all must hold; who leaves them leaves the store
    mode: Mode = Mode.AUTO_APPLY
    may_have_restricted: bool = False  # a 番号利用事務 with its ordinance
    edition: int = 0  # which edition of the subscription it is of; decides nothing of what is seen
    located: tuple[str, ...] = ("header.subject_id",)
    """Paths, in the stream's record, to the ids of all persons whose location it may say."""
    statement: str = ""  # the text that ``fingerprint`` is the digest of
    ground: Ground | None = None  # None: the bus's own
    schema_version: int = 0
    system_ja: str = ""
    stream_ja: str = ""

    @property
    def locations(self) -> tuple[str, ...]:
        """Names of the columns that say where somebody is."""
        return tuple(c.name for c in self.columns if c.sensitivity is Sensitivity.LOCATION)

    @property
    def is_fenced(self) -> bool:
        """Whether its rows carry the flag *protected* in a store that keeps state.

        Such rows follow every protection, without a new event of their own.
        """
        return self.keeping is Keeping.STATE and self.flag_column is not None

    @property
    def protects(self) -> bool:
        """Whether it is the protection stream's, for a store that keeps state: applying it empties
        other tables."""
        return self.keeping is Keeping.STATE and self.stream == PROTECTION

    @property
    def withheld(self) -> tuple[str, ...]:
        """Names of the columns that are empty in the rows of protected persons."""
        return () if self.suppression is Suppression.CAPABLE else self.locations

    @property
    def located_columns(self) -> tuple[str, ...]:
        """Names of the columns that say whose location a row holds."""
        return tuple(column.name for column in self.columns if column.path in self.located)

    @property
    def flag_column(self) -> str | None:
        """The column that says that a subject is under protection."""
        return next((column.name for column in self.columns if column.path == FLAG), None)

    @property
    def household_column(self) -> str | None:
        """The column with the household's number; by it a store finds its members' rows."""
        return next((column.name for column in self.columns if column.path == HOUSEHOLD), None)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row in the store."""
        if self.keeping is Keeping.STATE:
            return ("municipality_code", "subject_id")
        return ("log_partition", "log_offset")

    @property
    def is_restricted(self) -> bool:
        """Whether it shows what is restricted (個人番号を含む): its deliveries are recorded so."""
        return any(
            column.sensitivity is Sensitivity.RESTRICTED and column.mask is None
            for column in self.columns
        )

    @property
    def schema(self) -> pa.Schema:
        """Exactly the columns, in order, of every batch of this view."""
        return pa.schema(
            [pa.field(column.name, column.type, column.is_nullable) for column in self.columns]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a lane is in its log: ``offset`` is the next one to read.

    ``last_event_id`` is the id of the last event before ``offset``: if that event is still in
    the log under another id, this is another log.
    """

    cluster_id: str
    topic: str
    partition: int
    offset: int
    last_event_id: str | None = None


class Mark(NamedTuple):
    """A lane's place in short form: no two batches leave the same."""

    offset: int
    applied_at: datetime | None  # by the store's clock; None: it has nothing of the lane


AT_THE_BEGINNING = Mark(0, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a store holds of one lane: its position, the receipt of the last batch, and when.

    Whoever owns the store can write there what they like; ``proof`` is what makes it believed.
    """

    position: Position
    receipt: Receipt
    applied_at: datetime  # aware; the store's own clock
    is_to_come: bool = False  # by that clock it is more than a day ahead
    proof: str | None = None  # as the batch had it; absent from what was stored without one


@dataclass(frozen=True, slots=True)
class Applied:
    """A sink's answer to a delivery that is now durable."""

    rows: int  # rows that changed the store; fewer than delivered where a newer version was there
    applied_at: datetime  # aware; the store's own clock if it has one
