"""Whole views with masks, conditions and protected rows, against a reference that walks rows.

The reference works on plain dictionaries and shares no code with the product.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretBytes

from bus.catalog import Catalog, load
from bus.catalog.columns import arrow_schema
from bus.model import MaskKey, MaskKind, View
from bus.policy import compile_view, load_subscriptions, project
from bus.policy.grants import Where

TODAY = date(2026, 11, 24)
SYSTEM = "child_allowance"
SECRET = b"s" * 32
MASKS = {
    "name.kana": MaskKind.KEYED_HASH,
    "name.full": MaskKind.LAST_FOUR,
    "name.alias": MaskKind.PRESENT,
    "birth_date": MaskKind.AGE_BAND,
    "relationship": MaskKind.WITHHOLD,
    "address": MaskKind.TOWN_ONLY,
    "became_resident_on": MaskKind.BIRTH_YEAR,
}
PLANTED = "PLANTED"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


def a_view(catalog: Catalog, *rules: dict[str, Any]) -> View:
    """What child_allowance sees of residents, with a mask of each kind."""
    subscription = load_subscriptions(catalog)[SYSTEM]
    grant = subscription.streams["resident"].model_copy(
        update={"masks": MASKS, "where": tuple(map(Where.model_validate, rules))}
    )
    streams = {**subscription.streams, "resident": grant}
    changed = subscription.model_copy(update={"streams": streams})
    keys = {SYSTEM: MaskKey("a", SecretBytes(SECRET))}
    return compile_view(changed, catalog.stream("resident"), TODAY, keys)


def some_date(chance: Random) -> dict[str, Any]:
    """A date that may be unknown."""
    if chance.random() < 0.2:
        return {"date": None, "unknown": True, "text": PLANTED}
    day = date(1920, 1, 1) + timedelta(days=chance.randrange(39_000))
    return {"date": day, "unknown": False, "text": None}


def filled(kind: pa.DataType, chance: Random) -> Any:
    """A value of any type of the stream, with what must not be seen planted in its texts."""
    if pa.types.is_struct(kind):
        if {field.name for field in kind.fields} == {"date", "unknown", "text"}:
            return some_date(chance)
        return {field.name: filled(field.type, chance) for field in kind.fields}
    if pa.types.is_dictionary(kind):
        return chance.choice(["A", "B"])
    if pa.types.is_string(kind):
        return f"{PLANTED}{chance.randrange(10_000):05}"
    if pa.types.is_boolean(kind):
        return chance.random() < 0.5
    if pa.types.is_date(kind):
        return date(2026, 4, 1)
    if pa.types.is_timestamp(kind):
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=chance.randrange(30_000))
    return chance.randrange(100)


def events(catalog: Catalog, seed: int, rows: int = 60) -> pa.RecordBatch:
    """Events whose every text is a canary."""
    chance = Random(seed)
    schema = arrow_schema(catalog.stream("resident").latest)
    types = catalog.stream("resident").event_types
    found = []
    for _ in range(rows):
        row = {field.name: filled(field.type, chance) for field in schema}
        row["header"]["event_type"] = chance.choice(types)
        row["protected"] = chance.random() < 0.3
        row["sex"] = chance.choice(["1", "2"])
        if chance.random() < 0.3:
            row["address"] = None
        if chance.random() < 0.3:
            row["became_resident_on"] = None
        row["name"]["alias"] = chance.choice([None, "", f"{PLANTED}1"])
        found.append(row)
    return pa.RecordBatch.from_pylist(found, schema=schema)


def band(row: dict[str, Any]) -> str | None:
    """By counting birthdays one by one."""
    born = row["birth_date"]["date"]
    if born is None:
        return None
    there = row["header"]["processed_at"].astimezone(timezone(timedelta(hours=9)))
    first = date(there.year if there.month >= 4 else there.year - 1, 4, 1)
    age = sum(
        (year, born.month, born.day) <= (first.year, 4, 1)
        for year in range(born.year + 1, first.year + 1)
    )
    low = age // 5 * 5
    return "100-" if low >= 100 else f"{low:02}-{low + 4:02}"


def expected(row: dict[str, Any], protected: bool) -> dict[str, Any]:
    """What may be seen of the masked items of one row."""
    hidden = row["protected"] or protected
    address = None if hidden else row["address"]
    full, alias = row["name"]["full"], row["name"]["alias"]
    since = row["became_resident_on"] or {"date": None, "unknown": None}
    kana = row["name"]["kana"].encode()
    return {
        "name_kana": hmac.new(SECRET, kana, hashlib.sha256).hexdigest(),
        "name_full": full[-4:] if len(full) > 4 else None,
        "name_alias": alias not in (None, ""),
        "birth_date": band(row),
        "birth_date_unknown": row["birth_date"]["unknown"],
        "birth_date_text": None,
        "relationship": None,
        "address_town": address["town"] if address else None,
        "address_municipality_code": address["municipality_code"] if address else None,
        "address_lot": None,
        "address_building": None,
        "address_building_kana": None,
        "address_postal_code": None,
        "became_resident_on": since["date"].year if since["date"] else None,
        "became_resident_on_unknown": since["unknown"],
        "became_resident_on_text": None,
        "protected": hidden,
    }


@pytest.mark.parametrize("seed", range(12))
def test_a_masked_view_agrees_with_rows(catalog: Catalog, seed: int) -> None:
    """Rows filtered by type and condition, items masked, the fence last; also of a slice."""
    chance = Random(seed)
    records = events(catalog, seed).slice(5, 40)
    view = a_view(catalog, {"field": "sex", "equals": "1"})
    view = replace(view, event_types=frozenset(chance.sample(sorted(view.event_types), 8)))
    protected = [chance.random() < 0.3 for _ in range(len(records))]

    seen = project(
        view, records, protected=pa.array(protected), partition=0,
        offsets=pa.array(range(len(records)), pa.int64()),
    )  # fmt: skip

    rows = records.to_pylist()
    fits = [row["sex"] == "1" for row in rows]
    wanted = [
        index
        for index, row in enumerate(rows)
        if fits[index] and row["header"]["event_type"] in view.event_types
    ]
    assert seen.kept.to_pylist() == wanted
    assert seen.outside is not None
    assert seen.outside.to_pylist() == [i for i, holds in enumerate(fits) if not holds]
    for index, row in zip(wanted, seen.records.to_pylist(), strict=True):
        for name, value in expected(rows[index], protected[index]).items():
            assert row[name] == value, (name, index)


def test_no_canary_gets_past_its_mask(catalog: Catalog) -> None:
    """Nothing of a masked text is in any buffer of its column."""
    records = events(catalog, 99)
    view = a_view(catalog)
    nobody = pa.array([False] * len(records))

    seen = project(
        view, records, protected=nobody, partition=0,
        offsets=pa.array(range(len(records)), pa.int64()),
    )  # fmt: skip

    masked = [column.name for column in view.columns if column.mask is not None]
    assert len(masked) > 10
    for name in masked:
        column = seen.records.column(name)
        held = b"".join(part.to_pybytes() for part in column.buffers() if part is not None)
        assert PLANTED.encode() not in held, name


def through(column: Any, *_: object) -> Any:
    """No mask at all."""
    return column


@pytest.mark.parametrize(
    "function", ["last_four", "keyed_hash", "birth_year", "age_band", "present"]
)
def test_a_broken_mask_is_found(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """The comparison above sees every mask: with any one of them gone, it fails."""
    monkeypatch.setattr(f"bus.policy.masks.{function}", through)

    with pytest.raises((AssertionError, pa.ArrowInvalid, pa.ArrowNotImplementedError)):
        test_a_masked_view_agrees_with_rows(catalog, 3)
