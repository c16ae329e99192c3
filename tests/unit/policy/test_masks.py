"""Masks, each with its table of cases."""

from __future__ import annotations

import hmac
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretBytes

from bus.errors import FieldWithheld
from bus.model import Mask, MaskKey, MaskKind
from bus.policy.masks import fiscal_years, masked, withhold

KEY = MaskKey("2026", SecretBytes(b"k" * 32))


def under(kind: MaskKind, column: pa.Array, year: int = 2026, key: MaskKey | None = None) -> Any:
    """*column* under a mask; events were processed in the fiscal year *year*."""
    return masked(Mask(kind, key), column, lambda: pa.array([year] * len(column), pa.int64()))


def held(column: pa.Array) -> bytes:
    """Everything that writing *column* would write."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("column", column.type)])) as writer:
        writer.write_batch(pa.record_batch([column], names=["column"]))
    return sink.getvalue().to_pybytes() + b"".join(
        buffer.to_pybytes() for buffer in column.buffers() if buffer is not None
    )


WITHHOLD_CASES = [
    ("text", pa.array(["a", "b", "c"]), [False, True, False], ["a", None, "c"]),
    ("nothing to hide", pa.array(["a", "b"]), [False, False], ["a", "b"]),
    ("everything", pa.array(["a", "b"]), [True, True], [None, None]),
    ("already empty", pa.array([None, "b"]), [True, False], [None, "b"]),
    ("all null", pa.array([None, None], pa.string()), [True, False], [None, None]),
    ("empty text is a value", pa.array(["", "b"]), [True, False], [None, "b"]),
    ("numbers", pa.array([1, 2], pa.int32()), [True, False], [None, 2]),
    ("flags", pa.array([True, False]), [False, True], [True, None]),
    ("dates", pa.array([date(2026, 4, 1), None]), [True, True], [None, None]),
    ("lists", pa.array([["a", "b"], ["c"], []]), [True, False, True], [None, ["c"], None]),
    ("no rows", pa.array([], pa.string()), [], []),
    ("a slice", pa.array(["x", "a", "b"]).slice(1), [True, False], [None, "b"]),
]


@pytest.mark.parametrize(
    ("column", "where", "expected"),
    [case[1:] for case in WITHHOLD_CASES],
    ids=[case[0] for case in WITHHOLD_CASES],
)
def test_withhold(column: pa.Array, where: list[bool], expected: list[object]) -> None:
    """Rows to hide become null; all others, and the type, stay."""
    masked = withhold(column, pa.array(where, pa.bool_()))

    assert masked.to_pylist() == expected
    assert masked.type == column.type


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["somewhere open", "PLANTED!", None]),
        pa.array([7, int.from_bytes(b"PLANTED!", "little"), None], pa.int64()),
        pa.array([7, int.from_bytes(b"PLAN", "little"), None], pa.int32()),
        pa.array(["x", "PLANTED!", None]).dictionary_encode().dictionary_decode(),
    ],
    ids=["text", "int64", "int32", "decoded"],
)
def test_what_is_hidden_is_gone_from_memory(column: pa.Array) -> None:
    """A null alone would leave the address in the buffer for whoever writes the buffer."""
    masked = withhold(column, pa.array([False, True, False]))

    held = b"".join(buffer.to_pybytes() for buffer in masked.buffers() if buffer is not None)
    assert b"PLAN" not in held
    assert masked.to_pylist() == [column[0].as_py(), None, None]


def test_hidden_parts_of_lists_are_gone_too() -> None:
    """The same for list columns, whose values lie in a child."""
    masked = withhold(pa.array([["PLANTED", "x"], ["kept"]]), pa.array([True, False]))

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("column", masked.type)])) as writer:
        writer.write_batch(pa.record_batch([masked], names=["column"]))
    assert b"PLANTED" not in sink.getvalue().to_pybytes()


def test_an_untouched_column_is_not_copied() -> None:
    """Nothing to hide costs nothing."""
    column = pa.array(["a", None])

    assert withhold(column, pa.array([False, True])) is column


DAY = date(1986, 4, 1)
CASES: list[tuple[str, MaskKind, pa.Array, list[object]]] = [
    ("withhold text", MaskKind.WITHHOLD, pa.array(["a", None, ""]), [None, None, None]),
    ("withhold flags", MaskKind.WITHHOLD, pa.array([True, False]), [None, None]),
    ("withhold lists", MaskKind.WITHHOLD, pa.array([["a"], [], None]), [None, None, None]),
    ("year", MaskKind.BIRTH_YEAR, pa.array([date(1986, 12, 31), None]), [1986, None]),
    ("year, leap day", MaskKind.BIRTH_YEAR, pa.array([date(2000, 2, 29)]), [2000]),
    ("year before 1970", MaskKind.BIRTH_YEAR, pa.array([date(1901, 1, 1)]), [1901]),
    ("years in lists", MaskKind.BIRTH_YEAR, pa.array([[DAY], None]), [[1986], None]),
    ("birthday on the day", MaskKind.AGE_BAND, pa.array([date(1986, 4, 1)]), ["40-44"]),
    ("birthday the day after", MaskKind.AGE_BAND, pa.array([date(1986, 4, 2)]), ["35-39"]),
    ("last of a band", MaskKind.AGE_BAND, pa.array([date(1981, 4, 2)]), ["40-44"]),
    ("born on 29 February", MaskKind.AGE_BAND, pa.array([date(2000, 2, 29)]), ["25-29"]),
    ("no birth date, no band", MaskKind.AGE_BAND, pa.array([None], pa.date32()), [None]),
    ("born this year", MaskKind.AGE_BAND, pa.array([date(2026, 11, 1)]), ["00-04"]),
    ("born on 31 March", MaskKind.AGE_BAND, pa.array([date(2026, 3, 31)]), ["00-04"]),
    ("five on the day", MaskKind.AGE_BAND, pa.array([date(2021, 4, 1)]), ["05-09"]),
    ("a hundred", MaskKind.AGE_BAND, pa.array([date(1926, 4, 1)]), ["100-"]),
    ("ninety-nine", MaskKind.AGE_BAND, pa.array([date(1926, 4, 2)]), ["95-99"]),
    ("older than anybody", MaskKind.AGE_BAND, pa.array([date(1868, 1, 1)]), ["100-"]),
    ("bands in lists", MaskKind.AGE_BAND, pa.array([[DAY, None], [], None]),
     [["40-44", None], [], None]),
    ("four of twelve", MaskKind.LAST_FOUR, pa.array(["123456789018"]), ["9018"]),
    ("four of five", MaskKind.LAST_FOUR, pa.array(["12345"]), ["2345"]),
    ("four are too few", MaskKind.LAST_FOUR, pa.array(["1234", "", None]), [None, None, None]),
    ("leading zeros", MaskKind.LAST_FOUR, pa.array(["10000007"]), ["0007"]),
    ("characters, not bytes", MaskKind.LAST_FOUR, pa.array(["品川500𠮷12-34"]), ["2-34"]),
    ("four in lists", MaskKind.LAST_FOUR, pa.array([["12345", "1"], None]),
     [["2345", None], None]),
    ("present", MaskKind.PRESENT, pa.array(["a", None, "", " "]), [True, False, False, True]),
    ("present number", MaskKind.PRESENT, pa.array([0, None]), [True, False]),
    ("present flag", MaskKind.PRESENT, pa.array([False, None]), [True, False]),
    ("present code", MaskKind.PRESENT, pa.array(["a", None]).dictionary_encode(), [True, False]),
    ("four of codes", MaskKind.LAST_FOUR, pa.array(["12345", "12345"]).dictionary_encode(),
     ["2345", "2345"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "column", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_mask_leaves(kind: MaskKind, column: pa.Array, expected: list[object]) -> None:
    """Of each value what the mask is for, whatever lies around it."""
    assert under(kind, column).to_pylist() == expected
    assert under(kind, column.slice(1)).to_pylist() == expected[1:]
    assert under(kind, column.slice(0, 0)).to_pylist() == []


@pytest.mark.parametrize("size", [32, 64, 65, 200])
def test_a_keyed_hash_is_the_hmac_of_the_text(size: int) -> None:
    """As the standard library makes it, for keys of every length."""
    secret = bytes(range(size))
    key = MaskKey("2026", SecretBytes(secret))

    hashed = under(MaskKind.KEYED_HASH, pa.array(["𠮷野", None, "𠮷野", ""]), key=key).to_pylist()

    wanted = {text: hmac.new(secret, text.encode(), "sha256").hexdigest() for text in ("𠮷野", "")}
    assert hashed == [wanted["𠮷野"], None, wanted["𠮷野"], wanted[""]]


def test_two_systems_cannot_join() -> None:
    """Another key, other hashes."""
    other = MaskKey("2026", SecretBytes(b"o" * 32))
    column = pa.array(["000000012345674"])

    mine = under(MaskKind.KEYED_HASH, column, key=KEY)
    theirs = under(MaskKind.KEYED_HASH, column, key=other)

    assert mine.to_pylist() != theirs.to_pylist()


def test_a_hash_in_a_list_is_the_same_hash() -> None:
    """Or a system could not join its own members."""
    alone = under(MaskKind.KEYED_HASH, pa.array(["a"]), key=KEY).to_pylist()

    assert under(MaskKind.KEYED_HASH, pa.array([["b", "a"]]), key=KEY)[0][1].as_py() == alone[0]


def test_without_a_key_nothing_is_hashed() -> None:
    """A hash under no key can be undone by trying all numbers."""
    with pytest.raises(FieldWithheld):
        under(MaskKind.KEYED_HASH, pa.array(["a"]))


def test_a_key_is_never_told() -> None:
    """Whatever prints the mask prints the key's id."""
    mask = Mask(MaskKind.KEYED_HASH, KEY)

    assert str(mask) == "keyed_hash:2026"
    assert "kkk" not in repr(mask) + repr(KEY) + str(mask)


@pytest.mark.parametrize("kind", [kind for kind in MaskKind if kind is not MaskKind.TOWN_ONLY])
def test_what_a_mask_hides_is_gone_from_memory(kind: MaskKind) -> None:
    """Every mask, over every kind of column that it takes, of a slice of something longer."""
    dates = pa.array([date(1901, 1, 1), date(1986, 7, 8), None, date(1999, 9, 9)]).slice(1)
    texts = pa.array(["before", "PLANTED-0001", "PLANTED", None, "1234"]).slice(1)
    of_dates = kind in (MaskKind.BIRTH_YEAR, MaskKind.AGE_BAND)
    column = dates if of_dates else texts
    planted = [date(1986, 7, 8).toordinal() - date(1970, 1, 1).toordinal()]

    after = held(under(kind, column, key=KEY if kind is MaskKind.KEYED_HASH else None))

    assert b"PLANTED" not in after
    assert planted[0].to_bytes(4, "little") not in after
    if kind in (MaskKind.LAST_FOUR, MaskKind.KEYED_HASH):
        in_lists = pa.array([["before"], ["PLANTED-0001", "x"], None]).slice(1)
        key = KEY if kind is MaskKind.KEYED_HASH else None
        assert b"PLANTED" not in held(under(kind, in_lists, key=key))


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([datetime(2026, 3, 31, 14, 59, tzinfo=UTC)], [2025]),
        ([datetime(2026, 3, 31, 15, 0, tzinfo=UTC)], [2026]),
        ([datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)], [2026, 2026]),
        ([datetime(2026, 4, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC)], [2026, 2027]),
        ([datetime(2026, 4, 1, tzinfo=UTC), None], [2026, None]),
        ([], []),
    ],
    ids=["last minute", "first minute", "one year", "two years", "no moment", "no rows"],
)
def test_the_fiscal_year_is_the_events_own(
    moments: list[datetime | None], expected: list[int | None]
) -> None:
    """Of the moment when the event was processed, in Japanese time: no clock is asked."""
    found = fiscal_years(pa.array(moments, pa.timestamp("us", "UTC")))

    assert found.to_pylist() == expected


def test_each_event_has_its_own_year() -> None:
    """Also in lists, whose values are more than their rows."""
    years = pa.array([2026, 2031, None], pa.int64())

    rows = masked(Mask(MaskKind.AGE_BAND), pa.array([DAY, DAY, DAY]), lambda: years)
    lists = masked(Mask(MaskKind.AGE_BAND), pa.array([[], [DAY, DAY], [DAY]]), lambda: years)

    assert rows.to_pylist() == ["40-44", "45-49", None]
    assert lists.to_pylist() == [[], ["45-49", "45-49"], [None]]
