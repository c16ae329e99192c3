"""Decoding a batch of which some events are unreadable, and remembering small ones."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.catalog.decoding import read_to_the_stop, read_what_can_be
from bus.deliver.reading import MOST_BATCHES_REMEMBERED, MOST_EVENTS_REMEMBERED, Remembering
from bus.errors import EventInvalid, RegistryUnavailable, SchemaMismatch


class Plain:
    """BatchReader numbers; one that is none is invalid."""

    def __init__(self) -> None:
        self.reads: list[int] = []

    async def read(self, values: Sequence[bytes]) -> pa.RecordBatch:
        self.reads.append(len(values))
        for value, error in ((b"away", RegistryUnavailable), (b"other", SchemaMismatch)):
            if value in values:
                raise error("no")
        try:
            return pa.RecordBatch.from_pydict({"number": [int(value) for value in values]})
        except ValueError:
            raise EventInvalid("no number") from None


@given(st.lists(st.booleans(), max_size=40))
async def test_every_event_is_read_or_refused_in_its_place(are_good: list[bool]) -> None:
    """Rows are parallel to the indices of what could be read; the rest is named."""
    values = [b"%d" % index if good else b"bad" for index, good in enumerate(are_good)]

    readable = await read_what_can_be(Plain(), values)

    assert list(readable.good) == [i for i, good in enumerate(are_good) if good]
    assert [index for index, _ in readable.refused] == [
        i for i, good in enumerate(are_good) if not good
    ]
    rows = readable.records.to_pydict()["number"] if readable.records is not None else []
    assert rows == list(readable.good)


async def test_a_wholly_bad_batch_costs_two_reads_an_event() -> None:
    """Halving does not go quadratic."""
    plain = Plain()

    await read_what_can_be(plain, [b"bad"] * 500)

    assert len(plain.reads) <= 2 * 500


@pytest.mark.parametrize(
    ("value", "error"), [(b"away", RegistryUnavailable), (b"other", SchemaMismatch)]
)
async def test_what_is_no_matter_of_the_event_is_raised(
    value: bytes, error: type[Exception]
) -> None:
    """A registry that is away and a foreign schema concern the whole batch."""
    with pytest.raises(error):
        await read_what_can_be(Plain(), [b"1", value])


async def test_the_first_event_that_stops_is_named() -> None:
    """Somebody has to look at it."""
    values = [b"1", b"bad", b"2", b"other", b"3", b"other", b"4"]

    stop = (await read_to_the_stop(Plain(), values)).stop
    with pytest.raises(SchemaMismatch):
        await read_what_can_be(Plain(), values)

    assert stop is not None
    assert (stop[0], type(stop[1])) == (3, SchemaMismatch)


async def test_where_nothing_may_stop_a_foreign_event_is_refused() -> None:
    """Like any other that cannot be read; its neighbours are read."""
    readable = await read_what_can_be(
        Plain(), [b"1", b"other", b"2", b"bad"], refuse=(SchemaMismatch,)
    )

    assert list(readable.good) == [0, 2]
    assert [(n, type(error)) for n, error in readable.refused] == [
        (1, SchemaMismatch),
        (3, EventInvalid),
    ]


async def test_the_same_few_events_are_decoded_once() -> None:
    """Whoever asks second gets the very batch that the first one got."""
    plain = Plain()
    reader = Remembering(plain)

    first = await reader.read([b"1", b"2"])
    again = await reader.read([b"1", b"2"])
    other = await reader.read([b"1"])

    assert again is first
    assert other.num_rows == 1
    assert plain.reads == [2, 1]


async def test_memory_is_bounded_and_errors_are_not_kept() -> None:
    """Large batches and old ones are not kept; what failed is tried again."""
    plain = Plain()
    reader = Remembering(plain)
    for number in range(MOST_BATCHES_REMEMBERED + 1):
        await reader.read([b"%d" % number])
    await reader.read([b"0"])
    large = [b"7"] * (MOST_EVENTS_REMEMBERED + 1)
    await reader.read(large)
    await reader.read(large)
    for _ in range(2):
        with pytest.raises(EventInvalid):
            await reader.read([b"bad"])

    assert len(plain.reads) == MOST_BATCHES_REMEMBERED + 1 + 1 + 2 + 2
    assert len(reader._known) == MOST_BATCHES_REMEMBERED
