"""Which partition a key belongs to: Kafka's own rule, for many keys at once.

Any Kafka client with the default partitioner agrees, so that other publishers keep a subject
in its partition. Keys of one length are hashed together as Arrow columns of unsigned words,
whose products wrap as the algorithm wants; a handful of keys is not worth that.

Source: Apache Kafka, ``org.apache.kafka.common.utils.Utils.murmur2`` and
``BuiltInPartitioner.partitionForKey``: ``toPositive(murmur2(key)) % partitions``.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF
_WORTH_COLUMNS = 256  # where columns begin to win, measured with keys of 20 bytes


def partition_of(keys: Sequence[bytes], partitions: int) -> list[int]:
    """The partition of each key, in order, in a topic that has *partitions*."""
    if len(keys) < _WORTH_COLUMNS:
        return [(_murmur2(key) & _POSITIVE) % partitions for key in keys]
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        by_length[len(key)].append(index)
    found = [0] * len(keys)
    for length, indices in by_length.items():
        alike = [keys[index] for index in indices]
        if length == 0 or len(alike) < _WORTH_COLUMNS:
            hashes = [_murmur2(key) for key in alike]
        else:
            hashes = _murmur2_alike(alike, length)
        for index, value in zip(indices, hashes, strict=True):
            found[index] = (value & _POSITIVE) % partitions
    return found


def _murmur2(data: bytes) -> int:
    """MurmurHash2 with Kafka's seed; unsigned."""
    whole = len(data) & ~3
    h = _SEED ^ len(data)
    for k in struct.unpack_from(f"<{whole >> 2}I", data):
        k = (k * _MULTIPLIER) & _MASK
        h = ((h * _MULTIPLIER) & _MASK) ^ (((k ^ (k >> 24)) * _MULTIPLIER) & _MASK)
    if whole != len(data):
        h = ((h ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER) & _MASK
    h = ((h ^ (h >> 13)) * _MULTIPLIER) & _MASK
    return h ^ (h >> 15)


def _murmur2_alike(keys: Sequence[bytes], length: int) -> list[int]:
    """MurmurHash2 of keys that are all *length* bytes long, one Arrow operation per step."""
    whole, rest = divmod(length, 4)
    padding = b"\0" * (-length % 4)
    words = pa.FixedSizeListArray.from_arrays(
        pa.Array.from_buffers(
            pa.uint32(),
            len(keys) * (whole + bool(rest)),
            [None, pa.py_buffer(padding.join(keys) + padding)],
        ),
        whole + bool(rest),
    )
    multiplier = pa.scalar(_MULTIPLIER, pa.uint32())
    h: pa.Array[Any] = pa.repeat(pa.scalar(_SEED ^ length, pa.uint32()), len(keys))
    for index in range(whole):
        k = pc.multiply(pc.list_element(words, index), multiplier)
        k = pc.multiply(_xor_shifted(k, 24), multiplier)
        h = pc.bit_wise_xor(pc.multiply(h, multiplier), k)
    if rest:
        h = pc.multiply(pc.bit_wise_xor(h, pc.list_element(words, whole)), multiplier)
    h = pc.multiply(_xor_shifted(h, 13), multiplier)
    hashes: list[Any] = _xor_shifted(h, 15).to_pylist()
    return hashes


def _xor_shifted(values: pa.Array[Any], bits: int) -> pa.Array[Any]:
    return pc.bit_wise_xor(values, pc.shift_right(values, pa.scalar(bits, pa.uint32())))
