"""Find everybody else whose newest record says the same address as somebody's.

For the privacy officer: whoever is neither named, nor of the household, nor linked is not covered
by a protection, and may live behind the same door all the same. The log is read through, twice:
for the address, and for those who have it. What counts is each subject's newest record.

Two addresses are the same if town and lot are, and the building too where both say one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from bus.broker import Broker, TopicPartition
from bus.broker.partitioner import partition_of
from bus.catalog.decoding import BatchReader, read_what_can_be
from bus.errors import SchemaMismatch
from bus.log.partition import opened
from bus.log.readback import read_subjects
from bus.log.run import Run, split_erasures, subject_of
from bus.model import Stream

ADDRESS = "address"
_SAME = ("municipality_code", "town_code", "lot")
_SAME_IF_SAID = "building"
Address = Mapping[str, str | None]


async def neighbours(
    broker: Broker, stream: Stream, reader: BatchReader, subject: str
) -> frozenset[str]:
    """Keys of all others whose newest record of *stream* has the address of *subject*'s.

    Raises:
        Unavailable: Broker or registry does not answer.
    """
    count = (await broker.partitions([stream.topic])).get(stream.topic, 0)
    if not count:
        return frozenset()
    (own,) = partition_of([subject.encode()], count)
    address = await _address_of(broker, (stream.topic, own), reader, subject)
    if address is None:
        return frozenset()
    found: set[str] = set()
    for partition in range(count):
        found |= await _living_at(broker, (stream.topic, partition), reader, address)
    return frozenset(found - {subject})


async def _address_of(
    broker: Broker, place: TopicPartition, reader: BatchReader, subject: str
) -> Address | None:
    """The address in the newest record; None if there is none, or without a lot number."""
    run = await read_subjects(broker, place, {subject})
    records = await _read(reader, run)
    if records is None:
        return None
    address: Address | None = records.column(ADDRESS)[records.num_rows - 1].as_py()
    if address is None or not all(address[name] for name in _SAME):
        return None
    return address


async def _living_at(
    broker: Broker, place: TopicPartition, reader: BatchReader, address: Address
) -> set[str]:
    living: set[str] = set()
    async with opened(broker, "renkei-neighbours") as log:
        async for run in log.runs(place, *await log.bounds(place)):
            for is_erasure, part in split_erasures(run):
                keys = [subject_of(key) for key in part.keys]
                if is_erasure:
                    living.difference_update(keys)
                elif (records := await _read(reader, part)) is not None:
                    await asyncio.to_thread(_take, living, keys, records, address)
    return living


def _take(living: set[str], keys: Sequence[str], records: pa.RecordBatch, address: Address) -> None:
    """Take in events in log order: who moves in is added, who moves away is taken out."""
    if records.num_rows != len(keys):  # what cannot be read says nothing; the others' keys are here
        header: Any = records.column("header")
        codes = pc.struct_field(header, "municipality_code").to_pylist()
        numbers = pc.struct_field(header, "subject_id").to_pylist()
        keys = [f"{code}/{number}" for code, number in zip(codes, numbers, strict=True)]
    is_there = _are_at(records.column(ADDRESS), address).to_pylist()
    for key, there in zip(keys, is_there, strict=True):
        if there:
            living.add(key)
        else:
            living.discard(key)


def _are_at(addresses: Any, address: Address) -> pa.BooleanArray:
    found: Any = pc.is_valid(addresses)
    for name in _SAME:
        found = pc.and_(found, _says(addresses, name, address[name] or ""))
    if said := address[_SAME_IF_SAID]:
        building: Any = pc.or_(
            _says(addresses, _SAME_IF_SAID, said), _says(addresses, _SAME_IF_SAID, "")
        )
        found = pc.and_(found, pc.fill_null(building, True))
    return cast("pa.BooleanArray", pc.fill_null(found, False))


def _says(addresses: Any, name: str, text: str) -> Any:
    return pc.equal(pc.struct_field(addresses, name), pa.scalar(text))


async def _read(reader: BatchReader, run: Run) -> pa.RecordBatch | None:
    values = [value for value in run.values if value is not None]
    return (await read_what_can_be(reader, values, refuse=(SchemaMismatch,))).records
