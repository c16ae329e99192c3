"""Read the log again: all of a partition, or events that were set aside and what stands in for
the lost ones.

Compaction may have taken an event. It only takes one that a later record of the same key
follows, so the newest record of the subject is looked for and stands in: a whole snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from bus.broker import Broker, Consumer, TopicPartition
from bus.log.partition import AT_ONCE, Log, opened, read_to
from bus.log.run import Run, subject_of

_CLIENT = "renkei-read-back"
_Record = tuple[bytes | None, bytes | None]  # key, value


@dataclass(frozen=True, slots=True)
class ReadBack:
    """The wanted events that the log still has."""

    found: Mapping[int, _Record]
    stand_ins: Mapping[str, tuple[int, _Record]]
    """By subject that lost an event: its newest record in the log, if there is one later."""


async def read_back(broker: Broker, place: TopicPartition, wanted: Mapping[int, str]) -> ReadBack:
    """Read the offsets *wanted* (offset -> subject) of one partition again.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    async with opened(broker, _CLIENT) as log:
        begin, end = await log.bounds(place)
        found = await _read(log, place, [o for o in sorted(wanted) if begin <= o < end], end)
        lost = {offset: subject for offset, subject in wanted.items() if offset not in found}
        stand_ins = await _newest(log, place, lost, begin, end) if lost else {}
    return ReadBack(found, stand_ins)


async def read_subjects(
    broker: Broker, place: TopicPartition, subjects: Container[str], before: int | None = None
) -> Run:
    """Every event of *subjects* that one partition holds, in log order.

    What lies before an erasure of its subject is left out, and the erasure too.

    Args:
        before: Up to where it is read; None: to where it ends now.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    found: dict[int, _Record] = {}
    by_key: dict[bytes | None, list[int]] = {}
    async with opened(broker, _CLIENT) as log:
        begin, end = await log.bounds(place)
        async for run in log.runs(place, begin, end if before is None else before):
            for offset, key, value in zip(run.offsets, run.keys, run.values, strict=True):
                if subject_of(key) not in subjects:
                    continue
                if value is None:
                    for gone in by_key.pop(key, ()):
                        del found[gone]
                else:
                    found[offset] = (key, value)
                    by_key.setdefault(key, []).append(offset)
            await asyncio.sleep(0)
    offsets = sorted(found)
    return Run(offsets, [found[o][0] for o in offsets], [found[o][1] for o in offsets])


async def _read(
    log: Log, place: TopicPartition, offsets: list[int], end: int
) -> dict[int, _Record]:
    """Read the offsets, seeking between those that are far apart."""
    found: dict[int, _Record] = {}
    wanted = set(offsets)
    for first, last in _stretches(offsets):
        async for run in log.runs(place, first, min(last + 1, end)):
            for held, key, value in zip(run.offsets, run.keys, run.values, strict=True):
                if held in wanted:
                    found[held] = (key, value)
    return found


def _stretches(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each group of *offsets* (ascending) that are near each other."""
    stretches: list[tuple[int, int]] = []
    for offset in offsets:
        if stretches and offset - stretches[-1][1] <= AT_ONCE:
            stretches[-1] = (stretches[-1][0], offset)
        else:
            stretches.append((offset, offset))
    return stretches


async def _newest(
    log: Log, place: TopicPartition, lost: Mapping[int, str], begin: int, end: int
) -> dict[str, tuple[int, _Record]]:
    first: dict[str, int] = {}
    for offset in sorted(lost):
        first.setdefault(lost[offset], offset)
    newest: dict[str, tuple[int, _Record]] = {}
    async for run in log.runs(place, max(min(lost), begin), end):
        for offset, key, value in zip(run.offsets, run.keys, run.values, strict=True):
            subject = subject_of(key)
            if subject in first and offset > first[subject]:
                newest[subject] = (offset, (key, value))
    return newest


async def next_run(consumer: Consumer, place: TopicPartition, end: int) -> Run | None:
    """The next records of the one partition that is assigned; None once it is read up to *end*.

    Raises:
        BrokerUnavailable: The broker does not give them.
    """
    async for pieces in read_to(consumer, {place: end}):
        for piece in pieces:
            return Run(piece.offsets, piece.keys, piece.values)
    return None
