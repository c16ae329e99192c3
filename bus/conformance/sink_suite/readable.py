"""A store that says what it holds."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from bus.conformance.corpus import HOSTILE_TEXT
from bus.conformance.sink_suite.deliveries import (
    CITY,
    Row,
    batch_of,
    erasure_of,
    opened,
    person,
    view_of,
)
from bus.conformance.sink_suite.rig import ReadableRig
from bus.connect import bucket_of, digests_of
from bus.errors import SinkUnavailable
from bus.model import Keeping

BUCKETS = 7
_LISTS: list[tuple[str, pa.DataType]] = [
    ("flags", pa.list_(pa.bool_())),
    ("days", pa.list_(pa.date32())),
    ("orders", pa.list_(pa.int32())),
    ("amounts", pa.list_(pa.int64())),
]


def people() -> list[Row]:
    """Rows with every type that views have, and what breaks who writes them down carelessly."""
    found = [
        person("none"),
        person("empty", name="", members_subject_id=[], flags=[], days=[], orders=[], amounts=[]),
        person("true", birth_date_unknown=True, income=0, share=0.0),
        person("false", birth_date_unknown=False, income=-(2**63), share=-0.0),
        person("first", birth_date=date(1, 1, 1), share=math.inf, income=2**63 - 1),
        person("last", birth_date=date(9999, 12, 31), share=1e-308),
        person("old", processed_at=datetime(1887, 12, 31, 15, 0, 0, 1, tzinfo=UTC)),
        person("far", processed_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        person("null", members_subject_id=["1", None, "", "-", "1:1"], amounts=[2**40, None]),
        person("list", flags=[True, None, False], days=[date(2026, 4, 1), None], orders=[-3]),
        person("1", municipality_code="131016"),
    ]
    texts = [text for text in HOSTILE_TEXT.values() if len(text) < 200]
    found += [person(text, name=text, members_subject_id=[text]) for text in sorted(texts)]
    return found


class ReadableSuite:
    """For connectors that declare *readable*."""

    @pytest.mark.parametrize("more", [0, 200])
    async def test_its_digests_are_those_of_what_it_was_given(
        self, rig: ReadableRig, more: int
    ) -> None:
        """Of every type, in a small batch and a large; who knows the rows says the same."""
        view = view_of(extra=_LISTS)
        batch = batch_of(view, people() + [person(f"x{at:03d}") for at in range(more)])
        async with opened(rig.sink(), view) as sink:
            assert await sink.digests(BUCKETS) == {}
            await sink.apply(batch)

            assert await sink.digests(BUCKETS) == digests_of(batch.records, BUCKETS)
            assert await sink.digests(1) == digests_of(batch.records, 1)

    async def test_what_differs_shows_in_its_bucket_alone(self, rig: ReadableRig) -> None:
        """A newer row, and one that is gone."""
        view = view_of()
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch_of(view, [person(f"{at}") for at in range(50)]))
            before = await sink.digests(BUCKETS)
            await sink.apply(batch_of(view, [person("7", 2)], start=50))
            newer = await sink.digests(BUCKETS)
            await sink.apply(erasure_of(view, [f"{CITY}/8"], start=51))
            erased = await sink.digests(BUCKETS)

        assert _differing(before, newer) == {bucket_of(f"{CITY}/7", BUCKETS)}
        assert _differing(newer, erased) == {bucket_of(f"{CITY}/8", BUCKETS)}

    async def test_rows_come_as_they_were_given(self, rig: ReadableRig) -> None:
        """Of those who are asked for and are there, in the order of the key."""
        view = view_of(extra=_LISTS)
        rows = people()
        batch = batch_of(view, rows)
        by_key = {f"{row['municipality_code']}/{row['subject_id']}": row for row in rows}
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch)
            found = await sink.rows([*by_key, f"{CITY}/nobody", f"{CITY}/none"])
            one = await sink.rows([f"{CITY}/list"])
            nobody = await sink.rows([])

        assert found.schema == view.schema
        wanted = batch_of(view, [by_key[key] for key in sorted(by_key)]).records
        assert found.to_pylist() == wanted.to_pylist()
        assert digests_of(found, BUCKETS) == digests_of(wanted, BUCKETS)
        assert one.column("flags").to_pylist() == [[True, None, False]]
        assert (nobody.num_rows, nobody.schema) == (0, view.schema)

    async def test_a_history_is_read_with_every_event(self, rig: ReadableRig) -> None:
        """All rows of a subject are in one bucket, and come in the log's order."""
        view = view_of(keeping=Keeping.HISTORY)
        batch = batch_of(view, [person("1", 1), person("2", 1), person("1", 2)])
        async with opened(rig.sink(), view) as sink:
            await sink.apply(batch)
            said, found = await sink.digests(BUCKETS), await sink.rows([f"{CITY}/1"])

        assert said == digests_of(batch.records, BUCKETS)
        assert found.column("version").to_pylist() == [1, 2]

    async def test_a_store_that_is_away_or_not_open_is_a_retry(self, rig: ReadableRig) -> None:
        """And changes nothing of what it says later."""
        view = view_of()
        sink = rig.sink()
        await sink.open(view)
        async with rig.cut():
            with pytest.raises(SinkUnavailable):
                await sink.digests(BUCKETS)
            with pytest.raises(SinkUnavailable):
                await sink.rows([f"{CITY}/1"])
        assert await sink.digests(BUCKETS) == {}
        await sink.close()
        with pytest.raises(SinkUnavailable):
            await sink.digests(BUCKETS)


def _differing(one: object, other: object) -> set[int]:
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    return {bucket for bucket in one | other if one.get(bucket) != other.get(bucket)}
