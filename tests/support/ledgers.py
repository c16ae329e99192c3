"""A ledger filled by hand, for tests: true chains of receipts, without a bus that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from bus.ledger.statements import events_table
from bus.model import Receipt, multirange
from bus.model.receipt import NO_PREVIOUS

BEGAN = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)
MUNICIPALITY = "131130"


def insert(uri: str, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write *rows*, which all have the same columns, into a table of the ledger."""
    with psycopg.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        for row in rows:
            cursor.execute(
                sql.SQL("INSERT INTO ledger.{} ({}) VALUES ({})").format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join(map(sql.Placeholder, row)),
                ),
                row,
            )


def event(
    stream: str, partition: int, offset: int, subject_id: str, version: int
) -> dict[str, Any]:
    """The ledger's row of one event; for ``events_table(stream)``."""
    return {
        "municipality_code": MUNICIPALITY,
        "subject_id": subject_id,
        "version": version,
        "event_id": f"{stream}/{partition}/{offset}",
        "event_type": f"{stream}.changed",
        "nature": "CHANGE",
        "change_id": f"{subject_id}/{version}",
        "change_size": 1,
        "change_index": 0,
        "processed_at": BEGAN,
        "source": "resident_registry",
        "cancels": None,
        "log_partition": partition,
        "log_offset": offset,
    }


def view(fingerprint: str, system: str, stream: str, **given: Any) -> dict[str, Any]:
    """The ledger's row of one recorded view; for ``event_view``."""
    return {
        "fingerprint": fingerprint,
        "system": system,
        "system_ja": f"{system}の名",
        "stream": stream,
        "stream_ja": f"{stream}の名",
        "schema_version": 1,
        "columns_name": ["event_id", "name_full", "address_town"],
        "columns_path": ["header.event_id", "name.full", "address.town"],
        "columns_ja": ["イベントID", "氏名", "住所_町字"],
        "columns_sensitivity": ["plain", "personal", "location"],
        "columns_mask": ["", "", ""],
        "event_types": [f"{stream}.changed"],
        "conditions": [],
        "suppression": "withhold",
        "mode": "auto_apply",
        "legal_basis": "○○法第1条",
        "number_use": "",
        "purpose": "資格の確認",
        "approver": "総務部長",
        "approved_on": date(2026, 4, 1),
        "expires_on": date(2029, 3, 31),
        "statement": "{}",
        "log_partition": 0,
        "log_offset": 0,
        **given,
    }


@dataclass
class Chain:
    """The receipts of one lane, one after the other, and where they lie in the receipts' log."""

    system: str
    stream: str
    partition: int
    log: list[dict[str, Any]]  # of one partition of the receipts' topic, shared by its lanes
    view: str = "v" * 64
    position: int = 0
    chain: str = NO_PREVIOUS
    at: datetime = BEGAN
    rows: list[dict[str, Any]] = field(default_factory=list)

    def give(
        self, offsets: Sequence[int], end: int | None = None, values: Sequence[bytes] = ()
    ) -> dict[str, Any]:
        """Hand over *offsets* and move to *end*; without one, out of turn. The receipt's row."""
        self.at += timedelta(milliseconds=1)
        receipt = Receipt(
            system=self.system,
            stream=self.stream,
            partition=self.partition,
            start=self.position,
            end=self.position if end is None else end,
            delivered=multirange(offsets),
            view=self.view,
            rows=len(offsets),
            digest=hashlib.sha256(b"".join(values)).hexdigest(),
            previous=self.chain,
        )
        self.position, self.chain = receipt.end, receipt.chain
        return self._append(receipt, self.at)

    def repeat(self) -> dict[str, Any]:
        """Send the last receipt again, as a lane does that opens."""
        return self._row({**self.rows[-1]})

    def _append(self, receipt: Receipt, at: datetime) -> dict[str, Any]:
        names = (
            "system", "stream", "partition", "start", "end", "delivered", "view", "rows", "digest",
            "previous", "chain",
        )  # fmt: skip
        row = {name: getattr(receipt, name) for name in names}
        row |= {
            "applied_at": at, "cluster_id": "c", "is_replay": receipt.start == receipt.end,
            "log_partition": 0, "renkei_applied_at": at,
        }  # fmt: skip
        return self._row(row)

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        row["log_offset"] = len(self.log)
        self.log.append(row)
        self.rows.append(row)
        return row


def fill_events(uri: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the events of each stream."""
    for stream, events in rows.items():
        insert(uri, events_table(stream), events)
