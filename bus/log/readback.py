"""Read the log again: all of a partition, or events that were set aside and what stands in for
the lost ones.

Compaction may have taken an event. It only takes one that a later record of the same key
follows, so the newest record of the subject is looked for and stands in: a whole snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Mapping
from dataclasses import dataclass
from datetime import timedelta

from bus.broker import Broker, Consumer, Place
from bus.errors import BrokerUnavailable
from bus.log.run import Run, subject_of

AT_ONCE = 10_000
"""Records that are read through rather than jumped over; most that are fetched at once."""
_STEP = timedelta(seconds=1)
_PATIENCE = 20
_Record = tuple[bytes | None, bytes | None]  # key, value


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the log still has of the wanted events."""

    found: Mapping[int, _Record]
    stand_ins: Mapping[str, tuple[int, _Record]]
    """By subject that lost an event: its newest record in the log, if there is one later."""


async def read_back(broker: Broker, place: Place, wanted: Mapping[int, str]) -> ReadBack:
    """Read the offsets *wanted* (offset -> subject) of one partition again.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    consumer = broker.consumer(client_id="renkei-read-back")
    try:
        await consumer.start()
        await consumer.assign([place])
        begin = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        found = await _read(consumer, place, [o for o in sorted(wanted) if begin <= o < end], end)
        lost = {offset: subject for offset, subject in wanted.items() if offset not in found}
        stand_ins = await _newest(consumer, place, lost, begin, end) if lost else {}
    finally:
        await consumer.close()
    return ReadBack(found, stand_ins)


async def read_subjects(broker: Broker, place: Place, subjects: Container[str], end: int) -> Run:
    """Every event of *subjects* that one partition holds before *end*, in log order.

    What lies before an erasure of its subject is left out, and the erasure too.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    consumer = broker.consumer(client_id="renkei-read-back")
    found: dict[int, _Record] = {}
    by_key: dict[bytes | None, list[int]] = {}
    try:
        await consumer.start()
        await consumer.assign([place])
        begin = (await consumer.beginning_offsets([place]))[place]
        async for run in runs(consumer, place, begin, end):
            for offset, key, value in zip(run.offsets, run.keys, run.values, strict=True):
                if offset >= end or subject_of(key) not in subjects:
                    continue
                if value is None:
                    for gone in by_key.pop(key, ()):
                        del found[gone]
                else:
                    found[offset] = (key, value)
                    by_key.setdefault(key, []).append(offset)
            await asyncio.sleep(0)
    finally:
        await consumer.close()
    offsets = sorted(found)
    return Run(offsets, [found[o][0] for o in offsets], [found[o][1] for o in offsets])


async def runs(consumer: Consumer, place: Place, begin: int, end: int) -> AsyncIterator[Run]:
    """What a partition that is assigned holds from *begin* until it is read up to *end*.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    if begin >= end:
        return
    consumer.seek(place, begin)
    while (run := await next_run(consumer, place, end)) is not None:
        yield run


async def _read(
    consumer: Consumer, place: Place, offsets: list[int], end: int
) -> dict[int, _Record]:
    found: dict[int, _Record] = {}
    wanted = set(offsets)
    next_offset = -1  # where the consumer stands
    for offset in offsets:
        if offset < next_offset:
            continue  # passed over: either found already or not there any more
        if next_offset < 0 or offset - next_offset > AT_ONCE:
            consumer.seek(place, offset)
            next_offset = offset
        while next_offset <= offset:
            run = await next_run(consumer, place, end)
            if run is None:
                return found
            next_offset = run.end
            for held, key, value in zip(run.offsets, run.keys, run.values, strict=True):
                if held in wanted:
                    found[held] = (key, value)
    return found


async def _newest(
    consumer: Consumer, place: Place, lost: Mapping[int, str], begin: int, end: int
) -> dict[str, tuple[int, _Record]]:
    first: dict[str, int] = {}
    for offset in sorted(lost):
        first.setdefault(lost[offset], offset)
    newest: dict[str, tuple[int, _Record]] = {}
    start = max(min(lost), begin)
    async for run in runs(consumer, place, start, end):
        for offset, key, value in zip(run.offsets, run.keys, run.values, strict=True):
            subject = subject_of(key)
            if subject in first and offset > first[subject]:
                newest[subject] = (offset, (key, value))
    return newest


async def next_run(consumer: Consumer, place: Place, end: int) -> Run | None:
    """The next records of the one partition that is assigned; None once it is read up to *end*.

    Raises:
        BrokerUnavailable: The broker does not give them.
    """
    for _ in range(_PATIENCE):
        if await consumer.position(place) >= end:
            return None
        for fetched in await consumer.fetch(AT_ONCE, _STEP):
            return Run(fetched.offsets, fetched.keys, fetched.values)
    raise BrokerUnavailable("the log does not give what it has", topic=place[0], partition=place[1])
