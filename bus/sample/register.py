"""A small core system with tables of its own: the resident register, or any other.

It knows nothing of Kafka. In the transaction that changes its tables it calls the one SQL
function ``renkei.publish_change``; that is all a core system needs to do. Its ``entry`` table
keeps every history entry (履歴), so that what was entered can be compared with what arrived.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.types.json import Jsonb

from bus.model import Change

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS register;
CREATE TABLE IF NOT EXISTS register.entry (
    stream text NOT NULL,
    subject_id text NOT NULL,
    version integer NOT NULL,
    change_id uuid,
    event_type text NOT NULL,
    record jsonb NOT NULL,
    PRIMARY KEY (stream, subject_id, version)
);
CREATE TABLE IF NOT EXISTS register.current (
    stream text NOT NULL,
    subject_id text NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (stream, subject_id)
);
"""

ENTER = """
INSERT INTO register.current AS now (stream, subject_id, version) VALUES (%s, %s, %s)
ON CONFLICT (stream, subject_id) DO UPDATE SET version = EXCLUDED.version
"""


@dataclass(frozen=True, slots=True)
class Entered:
    """A change that the clerk's transaction has committed."""

    change_id: str
    committed_at: datetime  # the database's clock, just before the commit


class Register:
    """The core system's database; every method is one transaction."""

    def __init__(self, uri: str) -> None:
        self._connection = psycopg.connect(uri, autocommit=True)

    def install(self) -> None:
        """Make the core system's own tables; ``renkei relay install`` makes the outbox."""
        self._connection.execute(SCHEMA)

    def load(self, changes: Iterable[Change]) -> int:
        """Fill the tables with an existing population, without publishing it; entries made."""
        count = 0
        with self._connection.transaction(), self._connection.cursor() as cursor:
            with cursor.copy(
                "COPY register.entry (stream, subject_id, version, change_id, event_type, record)"
                " FROM STDIN"
            ) as copy:
                for change in changes:
                    for record in change.records:
                        copy.write_row(
                            (
                                record.stream,
                                record.subject_id,
                                record.version,
                                change.change_id,
                                record.event_type,
                                Jsonb(record.body),
                            )
                        )
                        count += 1
            cursor.execute(
                "INSERT INTO register.current SELECT stream, subject_id, max(version)"
                " FROM register.entry GROUP BY 1, 2"
            )
        return count

    def enter(self, change: Change) -> Entered:
        """A clerk's transaction: the core system's own tables and the outbox, or neither."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for record in change.records:
                cursor.execute(ENTER, (record.stream, record.subject_id, record.version))
                cursor.execute(
                    "INSERT INTO register.entry VALUES (%s, %s, %s, %s, %s, %s)",
                    (
                        record.stream,
                        record.subject_id,
                        record.version,
                        change.change_id,
                        record.event_type,
                        Jsonb(record.body),
                    ),
                )
            cursor.execute(
                "SELECT renkei.publish_change(%s), clock_timestamp()",
                (Jsonb(change.model_dump(mode="json")),),
            )
            row = cursor.fetchone()
        assert row is not None  # the function returns a row or raises
        return Entered(str(row[0]), row[1])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
