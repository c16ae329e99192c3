"""Masks: what a column becomes in the rows where it must not be seen.

A mask is one function over a column. It never reorders or drops rows, and what it hides is gone
from the column's buffers too, not only marked as null: whatever writes the column further on
cannot write what it no longer holds. The cases are a table in ``tests/unit/policy``.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Column = Any
"""An Arrow array; the stubs do not know what nested ones can do."""


def withhold(column: Column, where: pa.BooleanArray) -> Column:
    """*column* with nothing in the rows of *where*.

    Args:
        column: Any column of a view.
        where: As long as the column, without nulls; true in the rows to hide.

    Returns:
        A column of the same type and length. The same object if it held nothing there.
    """
    if column.null_count == len(column) or not _holds(column, where):
        return column
    # taking with a null index writes nothing; if_else would leave hidden text in the buffer
    rows = pc.if_else(where, pa.scalar(None, pa.int64()), numbered(len(column)))
    return column.take(rows)


def _holds(column: Column, where: pa.BooleanArray) -> bool:
    """Whether any row of *where* has a value: two bitmaps, cheaper than a rewritten column."""
    if column.null_count == 0:
        return bool(where.true_count)
    return bool(pc.and_(where, column.is_valid()).true_count)


def numbered(length: int) -> pa.Int64Array:
    """0, 1, 2 … up to *length*."""
    numbers: pa.Int64Array = pa.arange(0, length)  # type: ignore[attr-defined]  # newer than stubs
    return numbers
