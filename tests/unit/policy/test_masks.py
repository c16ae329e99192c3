"""Masks, each with its table of cases."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from bus.policy.masks import withhold

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
