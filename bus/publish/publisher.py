"""Publish changes: check each as a whole, encode, append, and wait for all in-sync replicas.

**A change is all or nothing.** Every record is checked before the first is sent, the size of the
encoded event included; a change with one fault sends none of its records. A refused change does
not stop others, not even one that a check breaks at (:mod:`~bus.publish.fault_search`); a later
change of the same subject is then refused by its version, so that order per subject holds. Only
the broker going away in the middle can leave a change half sent. That is an exception and not an
outcome: whoever called calls again with the same changes, what is in the log already is
recognised by its event id and passed over, and the rest follows.

**Order.** Events of a subject are appended in the order of the changes. Within a change, and as
far as that allows among the changes of one call, protection goes first and is acknowledged before
anything else is appended. Whoever reads a location event appended after ``protection.started``
must find that the person is protected, and readers rely on the order in the log alone; appends
to different partitions have no order but the one that an acknowledgement makes. An end goes
first too: were the person's unmasked snapshot appended before ``protection.ended``, a reader
between the two would mask it, and nothing would ever come after to put that right.
What else coverage rests on goes behind it and before the rest, for the same reason: who is a member
of a household now, and then, because their records say where somebody is, non-residents' links. So
whoever moves in is covered before anything is appended that says where.
Where a protection's person already has events in the same call, those are sent before: a
protection never overtakes the same person's earlier events.

**One publisher per subject.** Kafka has no compare-and-set, so two publishers that send versions
of the same subject in the same instant can both believe that they are next. A core system has
one relay at a time; versions are read anew from the log before each call, so that a successor
knows what its predecessor appended.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from bus.broker.partitioner import partition_of
from bus.broker.port import ENVELOPE_BYTES, Broker, PartitionBatch, Producer
from bus.catalog import Catalog
from bus.catalog.columns import encode
from bus.catalog.registry import SchemaIds
from bus.catalog.single import encode_one
from bus.catalog.wire import frame
from bus.errors import ChangeRefused, ConfigurationError, SchemaUnknown
from bus.model import PROTECTION, Change, Fault, Nature, NumberForm, Severity, Stream
from bus.model.number import AS_SHIPPED
from bus.observe.metrics import Metrics
from bus.policy.cases import CaseRecord, said
from bus.publish.batch import ColumnsOutcome, prepare, too_large, version_fault
from bus.publish.body import Fitter
from bus.publish.cases import CaseDraft
from bus.publish.check import Checker
from bus.publish.fault_search import fault_of, narrowed
from bus.publish.identity import is_uuid7, new_change_id
from bus.publish.outcome import Outcome
from bus.publish.rows import Origin, StreamRows, add_rows, without_repeats
from bus.publish.tail import VersionTail
from bus.publish.versions import Draft, Entries, Sequencing
from bus.publish.whole import check_whole
from bus.sealing import KeyRing, Seals
from bus.sealing.seals import seal_columns, seal_rows

FEW = 16
"""Up to how many records of a stream are encoded one by one, which is quicker for so few."""
_STAGES = {PROTECTION: 0, "household": 1, "nonresident": 2}
"""Of streams that coverage rests on, what goes before what."""
_LAST = 3
_OPENS = str(Nature.RECORD)
_NO_SCHEMA = 0  # the id in the frames of a dry run

Guard = Callable[[], None]
"""Called right before each append; raises where this process may not append any more."""


@dataclass(frozen=True, slots=True)
class _Event:
    """One encoded event, ready to be appended."""

    stream: Stream
    origin: Origin
    value: bytes
    opens: bool  # its nature is RECORD
    said: CaseRecord | None  # of a protection: its cases


@dataclass(frozen=True, slots=True)
class _Judged:
    """The rows of some changes by stream, and the faults of each change, by its place."""

    faults: Mapping[int, list[Fault]]
    rows: Mapping[str, StreamRows]
    batches: Mapping[str, pa.RecordBatch]


def _utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSettings:
    """How a publisher judges changes, and what it reads when it starts."""

    max_message_bytes: int = 1_000_000
    """The limit for one event; no topic's own may be lower."""
    private_use: Severity = Severity.ERROR
    """What a private-use character (外字) is, as the checker takes it."""
    form: NumberForm = AS_SHIPPED
    """How the site writes its numbers, as the checker takes it."""
    now: Callable[[], datetime] = _utc
    """The clock, aware."""
    learn: Sequence[str] = ()
    """Streams whose topics are read when it starts instead of when the first change asks."""
    asks_keys: bool = True
    """Whether keys that should be there must be had when it starts."""
    is_dry: bool = False
    """Check everything, append nothing, and go on as if it had been appended."""


class Publisher:
    """Checks and appends. One per process and core system; calls append one after the other.

    Args:
        guard: See :data:`Guard`.
        seals: The keys for items that must not be in the log as they are; without any, a record
            of a stream that has such items cannot be published.
        metrics: Told of what Kafka acknowledged.
    """

    def __init__(
        self,
        catalog: Catalog,
        registry: SchemaIds,
        broker: Broker,
        settings: PublisherSettings = PublisherSettings(),
        *,
        guard: Guard | None = None,
        seals: Seals | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._catalog = catalog
        self._registry = registry
        self._broker = broker
        self._settings = settings
        self._guard = guard or _nothing
        self._seals = seals or Seals()
        self._metrics = metrics or Metrics()
        self._streams = {
            name: stream for name, stream in catalog.streams.items() if not stream.is_internal
        }
        self._checkers: dict[str, Checker] = {}
        self._fitters: dict[str, Fitter] = {}
        self._limits: dict[str, int] = {}
        self._tail = VersionTail(catalog, registry, broker)
        self._producer: Producer | None = None
        self._preparing = asyncio.Lock()  # taken first; both are fair, so calls keep their order
        self._appending = asyncio.Lock()

    async def start(self) -> None:
        """Connect to the broker, and read the topics of the streams to *learn*.

        Raises:
            BrokerUnavailable: It does not answer.
            KeysUnusable, KeysUnavailable: There should be keys, and they cannot be had.
        """
        if self._settings.asks_keys and self._seals.has_source:
            await self._seals.ring()
        if not self._settings.is_dry and self._producer is None:
            producer = self._broker.producer(client_id="renkei-publish")
            await producer.start()
            self._producer = producer
        await self._tail.catch_up([self._catalog.stream(name) for name in self._settings.learn])

    async def close(self) -> None:
        """Close the broker's clients; safe to call twice."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close()
        await self._tail.close()

    async def publish(self, changes: Sequence[Change]) -> list[Outcome]:
        """Check and append; one outcome per change, in order.

        Raises:
            BrokerUnavailable: Some may have been appended; call again with the same changes.
                A change without an id would then be another change: give ids.
            RegistryUnavailable: Nothing was appended.
            ConfigurationError: A topic does not exist or takes only smaller events, a schema is
                not registered, or there is no key to seal with.
            KeysUnavailable: Nothing was appended.
        """
        async with self._preparing:
            await self._appending.acquire()
        try:
            return await self._publish(changes)
        finally:
            self._appending.release()

    async def publish_columns(self, stream: Stream, records: pa.RecordBatch) -> ColumnsOutcome:
        """Check and append records in exactly the stream's own Arrow schema, headers included.

        Records of one change should be in one batch: if one of them is refused, all of them in
        this batch are. Rows of a subject keep their order. A call that is made while another is
        under way is checked and encoded meanwhile, and appended after it; two calls at a time
        (:meth:`publish_batches`) are worth having.

        Raises:
            EventInvalid: The columns are not the stream's.
            BrokerUnavailable: Some may have been appended; call again with the same records.
            RegistryUnavailable: Nothing was appended.
            ConfigurationError: The topic does not exist or takes only smaller events, the schema
                is not registered, or there is no key to seal with.
            KeysUnavailable: Nothing was appended.
        """
        known = self._streams.get(stream.name)
        if known is None or known.latest.fingerprint != stream.latest.fingerprint:
            raise ChangeRefused("this stream is not published", stream=stream.name)
        async with self._preparing:
            await self._learn_limit(stream)
            schema_id, ring = await self._schema_id(stream), await self._ring(stream)
            batch = await asyncio.to_thread(
                prepare,
                self._checker(stream.name),
                records,
                self._settings.now(),
                lambda rows: frame(schema_id, _columns_encoded(stream, rows, ring)),
                self._limits[stream.name],
                partial(_case_records, stream),
            )
            await self._appending.acquire()
        try:
            await self._tail.catch_up([stream])
            cases = CaseDraft(self._tail.cases)
            outcome = batch.settle(self._tail.index(stream.name).draft(), cases)
            await self._deliver(self._by_partition(stream, batch.keys, batch.values))
            self._appended(stream, batch.entries, batch.case_records or ())
            return outcome
        finally:
            self._appending.release()

    async def publish_batches(
        self, stream: Stream, batches: Iterable[pa.RecordBatch]
    ) -> AsyncIterator[ColumnsOutcome]:
        """:meth:`publish_columns` for each batch, in order, the next one prepared meanwhile.

        At most two batches are held. Raises what that raises; the batch after the one that failed
        may have been appended as well, as far as its versions allowed.
        """
        under_way: asyncio.Task[ColumnsOutcome] | None = None
        try:
            for records in batches:
                following = asyncio.create_task(self.publish_columns(stream, records))
                if under_way is not None:
                    before, under_way = under_way, following
                    yield await before
                under_way = following
            if under_way is not None:
                yield await under_way
        finally:
            if under_way is not None and not under_way.done():
                under_way.cancel()
                await asyncio.wait({under_way})

    async def newest(self, stream: str, key: str) -> int:
        """The newest version in the log of the subject with that key; 0 if there is none.

        Raises:
            BrokerUnavailable: The broker does not answer.
        """
        async with self._appending:
            await self._tail.catch_up([self._streams[stream]])
            return self._tail.index(stream).newest(key.encode())

    # -- changes --------------------------------------------------------------------------------

    async def _publish(self, changes: Sequence[Change]) -> list[Outcome]:
        now = self._settings.now()
        ids = [
            change.change_id
            if change.change_id is not None and is_uuid7(change.change_id)
            else new_change_id(now)
            for change in changes
        ]
        faults: list[list[Fault]] = [[] for _ in changes]
        events = await self._ready(changes, ids, faults, now)
        await self._tail.catch_up([self._catalog.stream(name) for name in _streams_of(events)])
        accepted, resent = self._in_line(events, faults)
        for stages in _slices(accepted):
            for stage in stages:
                await self._append(stage)
        return [
            Outcome(
                change_id=change.change_id if _is_refused(found) else change_id,
                event_ids=tuple(event.origin.event_id for event in events.get(place, ())),
                resent=resent[place],
                faults=tuple(without_repeats(found)),
            )
            for place, (change, change_id, found) in enumerate(
                zip(changes, ids, faults, strict=True)
            )
        ]

    async def _ready(
        self,
        changes: Sequence[Change],
        ids: Sequence[str],
        faults: Sequence[list[Fault]],
        now: datetime,
    ) -> dict[int, list[_Event]]:
        """The encoded events of each change without an error, by place; adds to *faults*."""
        judged = narrowed(
            range(len(changes)),
            lambda places: self._judge(places, changes, ids, now),
            lambda place, error: faults[place].append(fault_of(error)),
        )
        for each in judged:
            for place, found in each.faults.items():
                faults[place].extend(found)
        ready: dict[int, list[_Event]] = {
            place: [] for place, found in enumerate(faults) if not _is_refused(found)
        }
        for each in judged:
            for name, rows in each.rows.items():
                chosen = [row for row, origin in enumerate(rows.origins) if origin.change in ready]
                for event in await self._encoded(name, each.batches[name], rows, chosen, faults):
                    ready[event.origin.change].append(event)
        for place, events in list(ready.items()):
            events.sort(key=lambda event: event.origin.record)
            for event in events:
                if len(event.value) + len(event.origin.key) > self._limits[event.stream.name]:
                    faults[place].append(too_large(event.origin.record))
            if _is_refused(faults[place]):
                del ready[place]
        return ready

    def _judge(
        self, places: Sequence[int], changes: Sequence[Change], ids: Sequence[str], now: datetime
    ) -> _Judged:
        """The rows of the changes at *places*, and what the checks find in them."""
        faults = {place: check_whole(changes[place], self._streams) for place in places}
        named = {record.stream for place in places for record in changes[place].records}
        rows = {name: StreamRows() for name in self._streams if name in named}
        fitters = {name: self._fitter(name) for name in rows}
        for place in places:
            faults[place] += add_rows(rows, fitters, place, changes[place], ids[place])
        batches = {name: found.batch(self._checker(name).schema) for name, found in rows.items()}
        for name, found in rows.items():
            for finding in self._checker(name).find(batches[name], now):
                for row in dict.fromkeys(finding.rows.to_pylist()):
                    origin = found.origins[row]
                    faults[origin.change].append(finding.fault(origin.record))
        return _Judged(faults, rows, batches)

    async def _encoded(
        self,
        name: str,
        batch: pa.RecordBatch,
        found: StreamRows,
        chosen: Sequence[int],
        faults: Sequence[list[Fault]],
    ) -> list[_Event]:
        """The events of the *chosen* rows; adds to *faults* if they cannot be encoded.

        The columns of some are copied only where not all are chosen, and they are read: to encode
        many, or to learn what a protection says.
        """
        if not chosen:
            return []
        stream = self._streams[name]
        await self._learn_limit(stream)
        ring = await self._ring(stream)
        schema_id = await self._schema_id(stream)

        def encoded(some: Sequence[int]) -> list[_Event]:
            records, is_few = batch, len(some) <= FEW
            if len(some) < batch.num_rows and (name == PROTECTION or not is_few):
                records = batch.take(pa.array(some, pa.int64()))
            if is_few:
                rows = [found.rows[row] for row in some]
                rows = rows if ring is None else seal_rows(stream, rows, ring)
                payloads = [encode_one(stream.latest, row) for row in rows]
            else:
                payloads = _columns_encoded(stream, records, ring)
            natures = (found.rows[row]["header"]["nature"] for row in some)
            case_records = _case_records(stream, records)
            return [
                _Event(
                    stream,
                    found.origins[row],
                    value,
                    nature == _OPENS,
                    case_records[at] if case_records else None,
                )
                for at, (row, value, nature) in enumerate(
                    zip(some, frame(schema_id, payloads), natures, strict=True)
                )
            ]

        def is_unfit(row: int, error: BaseException) -> None:
            origin = found.origins[row]
            faults[origin.change].append(fault_of(error, origin.record))

        return [event for part in narrowed(chosen, encoded, is_unfit) for event in part]

    def _in_line(
        self, events: dict[int, list[_Event]], faults: Sequence[list[Fault]]
    ) -> tuple[list[list[_Event]], Counter[int]]:
        """The events of each change whose versions are next in line, in order.

        Changes that are not lose their events and gain the fault. Counts what is there already.
        """
        drafts = {name: self._tail.index(name).draft() for name in _streams_of(events)}
        cases = CaseDraft(self._tail.cases)
        accepted: list[list[_Event]] = []
        resent: Counter[int] = Counter()
        for place in sorted(events):
            to_send: list[_Event] = []
            wrong: list[Fault] = []
            for event in events[place]:
                sequencing = _sequencing(drafts[event.stream.name], event)
                if sequencing.is_fault:
                    wrong.append(version_fault(sequencing, event.origin.record))
                elif sequencing is Sequencing.NEXT:
                    to_send.append(event)
                    if event.said is not None:
                        refused = cases.add(event.said, opens=event.opens)
                        wrong += [each.fault(event.origin.record) for each in refused]
            for draft in drafts.values():
                draft.back() if wrong else draft.keep()
            cases.back() if wrong else cases.keep()
            if wrong:
                faults[place].extend(wrong)
                del events[place]
            else:
                resent[place] = len(events[place]) - len(to_send)
                accepted.append(to_send)
        return accepted, resent

    # -- both -----------------------------------------------------------------------------------

    async def _schema_id(self, stream: Stream) -> int:
        if self._settings.is_dry:
            return _NO_SCHEMA
        try:
            return await self._registry.id_of(stream.latest)
        except SchemaUnknown as error:  # nothing is wrong with the changes
            raise ConfigurationError(
                "the stream's schema is not registered; push it: renkei schemas push",
                stream=stream.name,
            ) from error

    async def _ring(self, stream: Stream) -> KeyRing | None:
        """The keys to seal the stream's items with; None if no item of it is sealed."""
        return await self._seals.ring() if stream.sealed else None

    async def _append(self, events: Sequence[_Event]) -> None:
        """Append events of any streams at once, and wait for all of them."""
        batches: list[PartitionBatch] = []
        for stream in {event.stream.name: event.stream for event in events}.values():
            mine = [event for event in events if event.stream is stream]
            keys = [event.origin.key for event in mine]
            batches += self._by_partition(stream, keys, [event.value for event in mine])
        await self._deliver(batches)
        for stream in {event.stream.name: event.stream for event in events}.values():
            origins = [event.origin for event in events if event.stream is stream]
            self._appended(
                stream,
                Entries.of(
                    [origin.key for origin in origins],
                    [origin.version for origin in origins],
                    [origin.event_id for origin in origins],
                ),
                [event.said for event in events if event.stream is stream and event.said],
            )

    def _by_partition(
        self, stream: Stream, keys: Sequence[bytes], values: Sequence[bytes]
    ) -> list[PartitionBatch]:
        """Keys and values by partition, in the order they came in: one append takes lists of one
        partition, so they are parted; where all are of one, they are handed on as they are."""
        places: dict[int, list[int]] = {}
        for index, partition in enumerate(partition_of(keys, self._tail.partitions[stream.name])):
            places.setdefault(partition, []).append(index)
        if len(places) == 1:
            return [PartitionBatch(stream.topic, partition, keys, values) for partition in places]
        return [
            PartitionBatch(
                stream.topic, partition, [keys[i] for i in mine], [values[i] for i in mine]
            )
            for partition, mine in places.items()
        ]

    async def _deliver(self, batches: Sequence[PartitionBatch]) -> None:
        """Append and wait for the acknowledgement; what was appended is then not read again."""
        if not batches or self._settings.is_dry:
            return
        if self._producer is None:
            raise RuntimeError("the publisher was not started")
        self._guard()
        offsets = await self._producer.append(batches)
        places = [(batch.topic, batch.partition) for batch in batches]
        self._tail.passed(dict(zip(places, offsets, strict=True)))

    def _appended(
        self, stream: Stream, entries: Entries, case_records: Iterable[CaseRecord] = ()
    ) -> None:
        """Take in that these are in the log, and count them."""
        self._tail.index(stream.name).learn(entries)
        for each in case_records:
            self._tail.cases.take(each)
        if not self._settings.is_dry:
            self._metrics.published(stream.name, len(entries))

    async def _learn_limit(self, stream: Stream) -> None:
        """The most bytes that key and value of an event may have in the stream's topic."""
        if stream.name not in self._limits:
            await self._tail.catch_up([stream])  # says which topic is missing
            config = await self._broker.topic_config(stream.topic)
            if int(config.get("max.message.bytes", self._settings.max_message_bytes)) < (
                self._settings.max_message_bytes
            ):  # Kafka holds whole batches against it, so that events which fit would be refused
                raise ConfigurationError(
                    "the topic's max.message.bytes is below RENKEI_MAX_MESSAGE_BYTES",
                    topic=stream.topic,
                )
            self._limits[stream.name] = self._settings.max_message_bytes - ENVELOPE_BYTES

    def _checker(self, name: str) -> Checker:
        if name not in self._checkers:
            self._checkers[name] = Checker(
                self._catalog,
                self._streams[name],
                private_use=self._settings.private_use,
                form=self._settings.form,
            )
        return self._checkers[name]

    def _fitter(self, name: str) -> Fitter:
        if name not in self._fitters:
            self._fitters[name] = Fitter(self._streams[name])
        return self._fitters[name]


def _columns_encoded(stream: Stream, records: pa.RecordBatch, ring: KeyRing | None) -> list[bytes]:
    """The records as Avro; items are sealed before they are encoded."""
    return encode(stream.latest, records if ring is None else seal_columns(stream, records, ring))


def _case_records(stream: Stream, records: pa.RecordBatch) -> list[CaseRecord] | None:
    """What records of the protection stream say of their cases; None for other streams."""
    return [*said(records)] if stream.name == PROTECTION else None


def _nothing() -> None:
    """The guard of a publisher that needs none: always returns."""


def _is_refused(faults: Iterable[Fault]) -> bool:
    return any(fault.is_error for fault in faults)


def _streams_of(events: Mapping[int, Sequence[_Event]]) -> list[str]:
    return list(dict.fromkeys(e.stream.name for found in events.values() for e in found))


def _sequencing(draft: Draft, event: _Event) -> Sequencing:
    origin = event.origin
    return draft.add(origin.key, origin.version, origin.event_id, opens=event.opens)


def _slices(changes: Iterable[Sequence[_Event]]) -> Iterator[list[list[_Event]]]:
    """Parts of what is to be sent, each to be acknowledged before the next one is sent.

    A new slice begins where a protection would overtake earlier events of its person.
    """
    stages: list[list[_Event]] = [[] for _ in range(_LAST + 1)]
    seen: set[bytes] = set()
    for events in changes:
        if any(event.stream.name == PROTECTION and event.origin.key in seen for event in events):
            yield stages
            stages, seen = [[] for _ in range(_LAST + 1)], set()
        for event in events:
            stages[_STAGES.get(event.stream.name, _LAST)].append(event)
        seen |= {event.origin.key for event in events}
    yield stages
