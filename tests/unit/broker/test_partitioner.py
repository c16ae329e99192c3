"""Keys go to the partition that Kafka's own clients would choose."""

from __future__ import annotations

import random

import pytest
from aiokafka.partitioner import murmur2

from bus.broker.partitioner import partition_of

# Apache Kafka, clients/src/test/…/common/utils/UtilsTest.java, testMurmur2
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("count", [1, 300], ids=["singly", "as columns"])
@pytest.mark.parametrize(("key", "murmur"), JAVA.items(), ids=[key.decode() for key in JAVA])
def test_agrees_with_java(key: bytes, murmur: int, count: int) -> None:
    """The vectors of Kafka's own tests, one key at a time and many at once."""
    positive = murmur & 0x7FFFFFFF

    assert partition_of([key] * count, 12) == [positive % 12] * count
    assert partition_of([key] * count, 2**31 - 1) == [positive % (2**31 - 1)] * count


def test_agrees_with_another_implementation() -> None:
    """Keys of every length up to forty bytes, in one call, in their order."""
    source = random.Random(7)
    keys = [source.randbytes(source.randrange(0, 40)) for _ in range(20_000)]

    assert partition_of(keys, 1000) == [(murmur2(key) & 0x7FFFFFFF) % 1000 for key in keys]


def test_no_keys() -> None:
    """Nothing in, nothing out."""
    assert partition_of([], 4) == []
