"""A piece of one of the bus's own streams is decoded, and what is no record has its place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bus.broker import Fetched
from bus.errors import EventInvalid, RegistryUnavailable, SchemaMismatch
from bus.log.internal import decoded, rows_of
from tests.support.lanes import CATALOG, Town

AT = datetime(2026, 11, 30, 3, tzinfo=UTC)
TOPIC = CATALOG.stream("custody").topic


DEED = {"act": "PRUNE", "at": AT, "actor": "ops", "account": "ops", "count": 1}


def record(number: int) -> dict[str, object]:
    return {
        "act": "PRUNED", "at": AT, "operator": "ops", "before": None, "receipts": number,
        "digest": "d", "proof": "p",
    }  # fmt: skip


@pytest.fixture
async def town() -> Town:
    made = Town()
    await made.build()
    return made


def fetched(*values: bytes | None, first: int = 10) -> Fetched:
    offsets = list(range(first, first + len(values)))
    return Fetched(TOPIC, 0, offsets, [b"k"] * len(values), list(values), [0] * len(values))


async def test_what_is_no_record_is_told_apart(town: Town) -> None:
    """Null values, frames of nobody, and another stream's records; the rest keep their places."""
    one, two = town.encoded("custody", [record(1), record(2)])
    (other,) = town.encoded("deed", [DEED])

    piece = await decoded(town.reader("custody"), fetched(one, None, b"no frame", other, two))

    assert [(offset, row["receipts"]) for offset, row in piece.rows()] == [(10, 1), (14, 2)]
    assert piece.offsets == [10, 14]
    assert {at: type(error) for at, error in piece.unreadable.items()} == {
        12: EventInvalid,
        13: SchemaMismatch,
    }
    assert piece.nulls == [11]
    assert piece.no_records == [11, 12, 13]


@pytest.mark.parametrize("values", [(), (None, None)], ids=["nothing", "null values"])
async def test_where_there_is_no_record_there_are_no_rows(
    town: Town, values: tuple[bytes | None, ...]
) -> None:
    piece = await decoded(town.reader("custody"), fetched(*values))

    assert piece.records is None
    assert piece.rows() == []
    assert piece.no_records == list(range(10, 10 + len(values)))


async def test_rows_are_what_can_be_read(town: Town) -> None:
    (one,) = town.encoded("custody", [record(1)])

    rows = await rows_of(town.reader("custody"), fetched(None, b"", one))

    assert [(offset, row["receipts"]) for offset, row in rows] == [(12, 1)]


async def test_a_registry_that_is_away_is_no_fault_of_the_records() -> None:
    class Away:
        async def read(self, _values: object) -> object:
            raise RegistryUnavailable("away")

    with pytest.raises(RegistryUnavailable):
        await decoded(Away(), fetched(b"x", b"y"))  # type: ignore[arg-type]
