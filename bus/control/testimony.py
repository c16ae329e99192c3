"""Decide whether the bus itself wrote the checkpoint that a store shows.

A system's store is its vendor's: whoever owns it can write any position and any receipt into the
bus's tables there. So each batch carries a proof (:mod:`bus.sealing.proofs`) of the lane, of where
it stands then and of its receipt, which the store keeps beside the receipt. Whenever a store's word
is taken, the proof is looked at first. A row of another lane, of another system, or one that was
edited, has none; an older row of the same lane has: that is a store that went back.

When a batch was applied only the store can say, and only once the proof is made. So the proof is of
when the batch before it was applied, which stands beside it: none is applied before that one. Nor
is one applied in days to come, by the store's own clock; unless that was put back since.

A row that its own proof does not bear out, because a store lost or never kept it, is believed if
its receipt lies in the receipts' log with a proof of its own: the bus said it. Without one a
receipt there shows nothing, for whoever can write to Kafka can put it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bus.broker import Broker, TopicPartition
from bus.broker.partitioner import partition_of
from bus.catalog.decoding import BatchReader, read_what_can_be
from bus.clock import Clock
from bus.control.receipts import lane_key, said_of
from bus.errors import ConfigurationError, PositionForged, SchemaMismatch, StoreForged
from bus.log.partition import opened
from bus.model import Checkpoint, LaneName, Position, Receipt, Stream
from bus.sealing import ProofKind, Proofs

_SINCE = "@"  # between a proof and the time that it is of
_CLOCK_IS_SET = timedelta(minutes=1)  # by which a store's clock may have been put back
_CLOCKS_DIFFER = timedelta(days=1)  # by which it may be another than ours
_FIRST = 10_000  # records that are looked at first, from the log's end; then four times as many
_log = structlog.get_logger("renkei.deliver")


class Testimony:
    """Proves checkpoints for stores to keep, and checks those that are read back."""

    def __init__(self, proofs: Proofs, said: SaidReceipts, cluster_id: str, clock: Clock) -> None:
        self._proofs = proofs
        self._said = said
        self._cluster_id = cluster_id
        self._clock = clock

    async def prove(
        self, lane: LaneName, stands_at: Position, receipt: Receipt, before: datetime | None
    ) -> str:
        """The proof that the store of *lane* keeps beside *receipt* at this position.

        Args:
            before: When the batch before it was applied, by the store's clock; None: there is none.

        Raises:
            KeysUnusable, KeysUnavailable: There are no keys.
        """
        since = before if before is not None else self._clock.now() - _CLOCKS_DIFFER
        return await prove_position(self._proofs, lane, stands_at, receipt, since)

    async def bears_out(self, lane: LaneName, place: TopicPartition, held: Checkpoint) -> bool:
        """Whether the bus wrote the checkpoint that the store of *lane* holds.

        Raises:
            KeysUnusable, Unavailable: It cannot be told now.
        """
        receipt, position = held.receipt, held.position
        if (receipt.system, receipt.stream, receipt.partition) != lane:
            return False
        if (position.partition, position.offset) != (lane.partition, receipt.end):
            return False
        proof, _, since = (held.proof or "").partition(_SINCE)
        said = (*_said(lane, position, receipt), since)
        is_proved = await self._proofs.are_of(proof, ProofKind.POSITION, said)
        if is_proved and since and _is_within(held, datetime.fromisoformat(since)):
            return True
        if (position.cluster_id, position.topic) != (self._cluster_id, place[0]):
            return False
        if not await self._said.has(lane, held, self._cluster_id):
            return False
        where = {"system": lane.system, "stream": lane.stream, "partition": lane.partition}
        _log.info("position-in-the-log", **where, offset=position.offset)
        return True

    async def insist(self, lane: LaneName, place: TopicPartition, held: Checkpoint) -> None:
        """As :meth:`bears_out`.

        Raises:
            PositionForged: It did not.
            StoreForged: The same, of a batch that is said to be applied in days to come.
        """
        if await self.bears_out(lane, place, held):
            return
        where = {"system": lane.system, "stream": lane.stream, "partition": lane.partition}
        if held.is_to_come:
            raise StoreForged(
                "the store says that a batch was applied in days to come, and the log does not",
                **where,
            )
        raise PositionForged(
            "the store's position of this lane was not written by the bus",
            **where,
            offset=held.position.offset,
        )


async def prove_position(
    proofs: Proofs, lane: LaneName, stands_at: Position, receipt: Receipt, since: datetime
) -> str:
    """As :meth:`Testimony.prove`; it was not applied before *since*."""
    said = since.astimezone(UTC).isoformat(timespec="microseconds")
    proof = await proofs.prove(ProofKind.POSITION, (*_said(lane, stands_at, receipt), said))
    return f"{proof}{_SINCE}{said}"


def _is_within(held: Checkpoint, since: datetime) -> bool:
    """Whether a batch was applied when the store's proof lets it be: between the one before it,
    applied at *since*, and now."""
    return held.applied_at >= since - _CLOCK_IS_SET and not held.is_to_come


def _said(lane: LaneName, position: Position, receipt: Receipt) -> tuple[str | int | None, ...]:
    """The text that a position's proof is made of; its receipt is in it by its chain value."""
    return (
        lane.system, lane.stream, lane.partition, position.cluster_id, position.topic,
        position.partition, position.offset, position.last_event_id, receipt.chain,
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class _Question:
    """Whether one receipt is in the log, and the answer."""

    lane: LaneName
    chain: str
    applied_at: datetime
    cluster_id: str
    answer: bool | None = None

    def is_said_by(self, row: Mapping[str, Any]) -> bool:
        lane = (row["system"], row["stream"], row["partition"])
        said = (lane, row["applied_at"], row["cluster_id"])
        return said == (self.lane, self.applied_at, self.cluster_id)


class SaidReceipts:
    """Looks for receipts in their log, from its end backwards, for all who ask at once.

    A lane's last receipt is near the end: it is sent again whenever the lane opens.
    """

    def __init__(self, broker: Broker, stream: Stream, reader: BatchReader, proofs: Proofs) -> None:
        self._broker = broker
        self._topic = stream.topic
        self._reader = reader
        self._proofs = proofs
        self._asked: list[_Question] = []
        self._turn = asyncio.Lock()

    async def has(self, lane: LaneName, held: Checkpoint, cluster_id: str) -> bool:
        """Whether the log has the receipt that *held* has of *lane*, of the same time of applying,
        with a proof by a known key.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        question = _Question(lane, held.receipt.chain, held.applied_at, cluster_id)
        self._asked.append(question)
        try:
            async with self._turn:
                if question.answer is None:
                    await self._answer(list(self._asked))
        finally:
            self._asked.remove(question)
        return bool(question.answer)

    async def _answer(self, asked: Iterable[_Question]) -> None:
        count = (await self._broker.partitions([self._topic])).get(self._topic)
        if count is None:
            raise ConfigurationError(
                "the topic does not exist; make it with: renkei topics apply", topic=self._topic
            )
        parted: dict[int, list[_Question]] = {}
        for question in asked:
            (partition,) = partition_of([lane_key(*question.lane).encode()], count)
            parted.setdefault(partition, []).append(question)
        for partition, questions in parted.items():
            await self._look((self._topic, partition), questions)

    async def _look(self, place: TopicPartition, questions: list[_Question]) -> None:
        """Read from the end backwards, until all is answered or the log has no more."""
        open_ones = {question.chain: question for question in questions}
        async with opened(self._broker, "renkei-testimony") as log:
            begin, end = await log.bounds(place)
            many = _FIRST
            while open_ones and end > begin:
                first = max(begin, end - many)
                async for run in log.runs(place, first, end):
                    values = [value for value in run.values if value is not None]
                    for row in await self._rows(values, open_ones):
                        found = open_ones.get(row["chain"])
                        if found is not None and found.is_said_by(row):
                            found.answer = True
                            del open_ones[row["chain"]]
                end, many = first, many * 4
        for question in questions:
            question.answer = question.answer or False

    async def _rows(
        self, values: list[bytes], wanted: Mapping[str, _Question]
    ) -> list[dict[str, Any]]:
        """The receipts in *values* whose chain value is *wanted* and whose proof holds."""
        readable = await read_what_can_be(self._reader, values, refuse=(SchemaMismatch,))
        if readable.records is None:
            return []
        chains = readable.records.column("chain").to_pylist()
        rows = [
            readable.records.slice(index, 1).to_pylist()[0]
            for index, chain in enumerate(chains)
            if chain in wanted
        ]
        return [row for row in rows if await self._is_the_bus_s(row)]

    async def _is_the_bus_s(self, row: Mapping[str, Any]) -> bool:
        """Whether a known key proves it; a proof by an unknown key may be anybody's."""
        return await self._proofs.are_of(row["proof"], ProofKind.RECEIPT, said_of(row)) is True
