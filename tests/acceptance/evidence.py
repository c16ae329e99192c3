"""What a run left behind, read with plain clients: the material that :mod:`checker` judges.

Shares no code with the product: psycopg for the databases, confluent_kafka for the log, fastavro
with the registry's own schemas for the wire, the subscription files as YAML. An audit trigger
(:func:`watch_table_steps`) records how versions move in each store, since the last state alone
cannot show that one went down in between.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import fastavro
import httpx
import psycopg
import yaml
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from psycopg import sql
from psycopg.rows import dict_row

StreamPartition = tuple[str, int]  # stream, partition
Lane = tuple[str, str, int]  # system, stream, partition
CLUSTER_WITHIN_S = 20.0
READ_WITHIN_S = 60.0

_AUDIT = """
CREATE SCHEMA IF NOT EXISTS audit;
CREATE TABLE IF NOT EXISTS audit.step (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL, subject text NOT NULL, operation text NOT NULL,
    before integer, after integer
);
CREATE OR REPLACE FUNCTION audit.note() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO audit.step (stream, subject, operation, before, after)
    VALUES (TG_TABLE_NAME, coalesce(NEW.subject_id, OLD.subject_id), TG_OP,
            OLD.version, NEW.version);
    RETURN NULL;
END $$;
"""
_TRIGGER = """
CREATE OR REPLACE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON linkage.{table}
FOR EACH ROW EXECUTE FUNCTION audit.note()
"""


@dataclass(frozen=True, slots=True)
class Where:
    """Where everything is."""

    core: str  # URI of the core system's database
    ledger: str  # URI of the database that holds the ledger
    systems: Mapping[str, str]  # receiving system -> URI
    kafka: str
    registry: str
    subscriptions: Path
    receipt_keys: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """A history entry of the core system, as it committed it."""

    stream: str
    subject: str
    version: int
    change_id: str
    event_type: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Logged:
    """One record of the log."""

    stream: str
    partition: int
    offset: int
    key: str
    value: bytes
    event: Mapping[str, Any]

    @property
    def header(self) -> Mapping[str, Any]:
        """Who, what, which version."""
        found: Mapping[str, Any] = self.event["header"]
        return found


@dataclass(frozen=True, slots=True)
class Grant:
    """What one system may have of one stream."""

    event_types: frozenset[str]
    fields: tuple[str, ...]
    is_capable: bool  # it gets a protected person's location and suppresses it by itself
    masks: Mapping[str, str] = field(default_factory=dict)  # item, or record -> what is left


@dataclass(frozen=True, slots=True)
class Step:
    """How one write changed a subject's version in a store."""

    stream: str
    subject: str
    operation: str
    before: int | None
    after: int | None


@dataclass(slots=True)
class Evidence:
    """Everything that the checker looks at."""

    entries: list[Entry] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)  # changes that the outbox says were sent
    pending: int = 0
    log: list[Logged] = field(default_factory=list)
    ends: dict[StreamPartition, int] = field(default_factory=dict)
    grants: dict[str, dict[str, Grant]] = field(default_factory=dict)
    rows: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    ledger_chains: set[str] = field(default_factory=set)
    ledger_events: list[tuple[str, int, int, str]] = field(default_factory=list)
    keys: dict[str, bytes] = field(default_factory=dict)  # id -> what receipts are proved with


def gather(where: Where, today: date) -> Evidence:
    """Read all of it; the run should be quiet."""
    grants = read_grants(where.subscriptions, today)
    streams = sorted({stream for granted in grants.values() for stream in granted})
    evidence = Evidence(grants=grants, keys=read_keys(where.receipt_keys))
    _read_core(where.core, evidence)
    topics = read_topics(where.kafka, [f"linkage.{name}" for name in (*streams, "receipt")])
    for stream in streams:
        found = topics[f"linkage.{stream}"]
        for partition, end in found.ends.items():
            evidence.ends[stream, partition] = end
        for partition, offset, key, value in found.records:
            event = decode(where.registry, value)
            evidence.log.append(Logged(stream, partition, offset, key, value, event))
    receipts = topics["linkage.receipt"].records
    evidence.receipts = [decode(where.registry, value) for *_, value in receipts]
    for system, granted in grants.items():
        evidence.rows[system], evidence.steps[system] = _read_store(where.systems[system], granted)
    _read_ledger(where.ledger, streams, evidence)
    return evidence


def read_keys(file: Path) -> dict[str, bytes]:
    """Id -> secret, of a file of keys."""
    lines = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
    return {words[0]: base64.b64decode(words[1]) for words in lines if words}


def read_grants(folder: Path, today: date) -> dict[str, dict[str, Grant]]:
    """System -> stream -> what the subscription files grant on *today*, if they grant anything."""
    found: dict[str, dict[str, Grant]] = {}
    for file in sorted(folder.glob("*.yaml")):
        content = _yaml(file.read_text(encoding="utf-8"))
        granted = {
            stream: Grant(
                frozenset(grant["event_types"]),
                tuple(grant["fields"]),
                grant["suppression"] == "capable",
                grant.get("masks", {}),
            )
            for stream, grant in content["streams"].items()
            if grant["approved_on"] <= today <= grant["expires_on"]
        }
        if granted:
            found[content["system"]] = granted
    return found


@cache
def _yaml(text: str) -> Any:
    """What a file says, read once in a run: asking whether it is quiet asks this each time."""
    return yaml.safe_load(text)


# -- the log -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's whole content: (partition, offset, key, value), and where each partition ends."""

    ends: Mapping[int, int]
    records: Sequence[tuple[int, int, str, bytes]]


def read_topic(kafka: str, name: str) -> Topic:
    """Every record that is in the log, in the order of each partition."""
    return read_topics(kafka, [name])[name]


def read_topics(kafka: str, names: Sequence[str]) -> dict[str, Topic]:
    """The same of several topics, by one client."""
    starts = _offsets_of(kafka, names, OffsetSpec.earliest())
    ends = _offsets_of(kafka, names, OffsetSpec.latest())
    left = {place for place, start in starts.items() if start < ends[place]}
    records: dict[str, list[tuple[int, int, str, bytes]]] = {name: [] for name in names}
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "checker",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
        }
    )
    try:
        consumer.assign([TopicPartition(*place, starts[place]) for place in sorted(left)])
        until = time.monotonic() + READ_WITHIN_S
        while left:
            if time.monotonic() > until:
                raise TimeoutError(f"the log does not answer: {sorted(left)}")
            message: Any  # whose fields are there, where it has no error
            for message in consumer.consume(1_000, 0.1):
                if message.error():
                    raise RuntimeError(str(message.error()))
                name, partition, offset = message.topic(), message.partition(), message.offset()
                if offset < ends[name, partition]:
                    key = (message.key() or b"").decode()
                    records[name].append((partition, offset, key, message.value()))
                if offset + 1 >= ends[name, partition]:
                    left.discard((name, partition))
    finally:
        consumer.close()
    return {
        name: Topic(
            {partition: end for (topic, partition), end in ends.items() if topic == name},
            sorted(records[name]),
        )
        for name in names
    }


def ends_of(kafka: str, names: Sequence[str]) -> dict[StreamPartition, int]:
    """Where each partition of these topics ends."""
    return {
        (name.removeprefix("linkage."), partition): end
        for (name, partition), end in _offsets_of(kafka, names, OffsetSpec.latest()).items()
    }


def _offsets_of(kafka: str, names: Sequence[str], spec: OffsetSpec) -> dict[tuple[str, int], int]:
    """Topic and partition -> what the broker says of it."""
    topics = _admin(kafka).list_topics(timeout=CLUSTER_WITHIN_S).topics
    asked = {
        TopicPartition(name, number): spec for name in names for number in topics[name].partitions
    }
    said = _admin(kafka).list_offsets(asked, request_timeout=CLUSTER_WITHIN_S)
    return {(place.topic, place.partition): found.result().offset for place, found in said.items()}


@cache
def _admin(kafka: str) -> AdminClient:
    """One client for all that is asked of a cluster: asking whether it is quiet asks often."""
    return AdminClient(
        {"bootstrap.servers": kafka, "reconnect.backoff.max.ms": 200, "log_level": 0}
    )


def decode(registry: str, value: bytes) -> dict[str, Any]:
    """A framed value, by the schema that the registry has under its id."""
    magic, schema_id = struct.unpack(">bI", value[:5])
    if magic != 0:
        raise ValueError("not the Confluent wire format")
    found: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), _schema(registry, schema_id))
    return dict(found)


@cache
def _schema(registry: str, schema_id: int) -> Any:
    answer = httpx.get(f"{registry}/schemas/ids/{schema_id}", timeout=CLUSTER_WITHIN_S)
    answer.raise_for_status()
    return fastavro.parse_schema(json.loads(answer.json()["schema"]))


# -- the databases -------------------------------------------------------------------------


def watch_table_steps(superuser_uri: str, store_uri: str) -> None:
    """Record every write to every stream table of a store, from now on."""
    name = urlsplit(store_uri).path.lstrip("/")
    uri = urlunsplit(urlsplit(superuser_uri)._replace(path=f"/{name}"))
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(_AUDIT)
        connection.execute(
            sql.SQL("GRANT USAGE ON SCHEMA audit TO {}; GRANT SELECT ON audit.step TO {}").format(
                *[sql.Identifier(urlsplit(store_uri).username or "")] * 2
            )
        )
        for table in stream_tables(connection):
            connection.execute(sql.SQL(_TRIGGER).format(table=sql.Identifier(table)))


def stream_tables(connection: psycopg.Connection[Any]) -> list[str]:
    """The tables of a store that hold streams."""
    found = connection.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'linkage' AND table_name NOT LIKE 'renkei%' ORDER BY 1"
    )
    return [name for (name,) in found.fetchall()]


def _read_core(uri: str, evidence: Evidence) -> None:
    with psycopg.connect(uri) as connection:
        evidence.entries = [
            Entry(*row)
            for row in connection.execute(
                "SELECT stream, subject_id, version, change_id::text, event_type, record"
                " FROM register.entry ORDER BY stream, subject_id, version"
            )
        ]
        outbox = connection.execute(
            "SELECT change_id::text, sent_at IS NOT NULL FROM renkei.outbox"
        ).fetchall()
    evidence.sent = {change_id for change_id, is_sent in outbox if is_sent}
    evidence.pending = len(outbox) - len(evidence.sent)


def _read_store(
    uri: str, streams: Mapping[str, Grant]
) -> tuple[dict[str, list[dict[str, Any]]], list[Step]]:
    with psycopg.connect(uri, row_factory=dict_row) as connection:
        rows = {
            stream: connection.execute(
                sql.SQL("SELECT * FROM linkage.{}").format(sql.Identifier(table_of(stream)))
            ).fetchall()
            for stream in streams
        }
        steps = connection.execute(
            "SELECT stream, subject, operation, before, after FROM audit.step ORDER BY id"
        ).fetchall()
    names = {table_of(stream): stream for stream in streams}
    return rows, [Step(**{**step, "stream": names[step["stream"]]}) for step in steps]


def table_of(stream: str) -> str:
    """What a stream's table is called."""
    return stream.replace(".", "_")


def _read_ledger(uri: str, streams: Sequence[str], evidence: Evidence) -> None:
    with psycopg.connect(uri) as connection:
        chains = connection.execute("SELECT chain FROM ledger.event_receipt")
        evidence.ledger_chains = {chain for (chain,) in chains}
        for stream in streams:
            statement = sql.SQL("SELECT log_partition, log_offset, event_id FROM ledger.{}")
            found = connection.execute(
                statement.format(sql.Identifier(f"event_{table_of(stream)}"))
            )
            evidence.ledger_events += [(stream, *row) for row in found]


# -- is it quiet? --------------------------------------------------------------------------


def unquiet(where: Where, today: date) -> Iterator[str]:
    """What is still under way; nothing where everything committed has arrived everywhere."""
    with psycopg.connect(where.core) as connection:
        found = connection.execute("SELECT count(*) FROM renkei.outbox WHERE sent_at IS NULL")
        (waiting,) = found.fetchone() or (0,)
    if waiting:
        yield f"{waiting} changes in the outbox"
        return
    grants = read_grants(where.subscriptions, today)
    streams = {stream for granted in grants.values() for stream in granted}
    own = ("receipt", "exception", "operation", "view", "erasure")
    topics = [f"linkage.{stream}" for stream in (*sorted(streams), *own)]
    owed = set()
    ends = ends_of(where.kafka, topics)
    for system, granted in grants.items():
        at, receipts = _positions(where.systems[system], "linkage.renkei_position")
        owed |= receipts
        for (stream, partition), end in ends.items():
            if stream in granted and at.get((stream, partition), 0) < end:
                yield f"{system}/{stream}/{partition}"
                return
    at, _ = _positions(where.ledger, "ledger.event_renkei_position")
    with psycopg.connect(where.ledger) as connection:
        told = set(
            connection.execute(
                'SELECT system, stream, partition, "end", previous, digest'
                " FROM ledger.event_receipt"
            )
        )
    if owed - told:
        yield f"{len(owed - told)} receipts"
    for place, end in ends_of(where.kafka, topics).items():
        if at.get(place, 0) < end:
            yield f"the ledger's {place}"


def _positions(uri: str, table: str) -> tuple[dict[StreamPartition, int], set[tuple[Any, ...]]]:
    with psycopg.connect(uri, row_factory=dict_row) as connection:
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()
    names = ("system", "stream", "partition", "end", "previous", "digest")
    return (
        {(row["stream"], row["partition"]): row["offset"] for row in rows},
        {tuple(row["receipt"][name] for name in names) for row in rows},
    )
