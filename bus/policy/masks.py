"""The mask functions: what is left of a column that may not be seen, or only in part.

A mask is one function over a column. It never reorders or drops rows, what is null stays null
(but for ``present``, which tells just that), and what it hides is gone from the column's buffers
too, not only marked: whatever writes the column further on cannot write what it no longer holds.
The cases are a table in ``tests/unit/policy``.

:func:`withhold` hides single rows (a protected person's location). The others are the masks that
a subscription names; :func:`masked` is the one way to them. In a list, each value is masked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bus.errors import FieldWithheld
from bus.model import Mask, MaskKey, MaskKind

Column = Any
"""An Arrow array; the stubs do not know what nested ones can do."""
FiscalYear = Callable[[], Column]
"""Of each row, the fiscal year (年度) in which it was processed."""

_JAPAN_US = pa.scalar(9 * 3_600_000_000, pa.int64())  # ahead of UTC, without summer time
_BAND = 5  # years, as official statistics have them (5歳階級)
_OLDEST = 100
_BANDS = pa.array([f"{low:02}-{low + _BAND - 1:02}" for low in range(0, _OLDEST, _BAND)] + ["100-"])
_SHOWN_DIGITS = 4
_APRIL = 4


def withhold(column: Column, where: pa.BooleanArray) -> Column:
    """*column* with null in the rows of *where*.

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


def masked(mask: Mask, column: Column, fiscal_year: FiscalYear) -> Column:
    """*column* as *mask* leaves it.

    Raises:
        FieldWithheld: A keyed hash has no key.
    """
    if mask.kind is MaskKind.WITHHOLD:
        return pa.nulls(len(column), column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if mask.kind is MaskKind.PRESENT:
        return present(column)
    if pa.types.is_list(column.type):
        return _in_lists(mask, column, fiscal_year)
    if mask.kind is MaskKind.BIRTH_YEAR:
        return birth_year(column)
    if mask.kind is MaskKind.AGE_BAND:
        return age_band(column, fiscal_year())
    if mask.kind is MaskKind.LAST_FOUR:
        return last_four(column)
    if mask.kind is MaskKind.KEYED_HASH and mask.key is not None:
        return keyed_hash(column, mask.key)
    raise FieldWithheld("a mask cannot be applied", mask=str(mask))


def birth_year(column: Column) -> Column:
    """The year of each date."""
    return pc.year(column).cast(pa.int32())


def age_band(column: Column, fiscal_year: Column) -> Column:
    """The band of five years that each age lies in on 1 April of *fiscal_year*.

    An age counts the birthdays up to that day, itself included. Who was born later is in the
    first band; whose birth date is unknown is in none. The day follows from the event alone, so
    that an event tried again, or delivered anew years later, says the same.
    """
    april, first_day = pa.scalar(_APRIL, pa.int64()), pa.scalar(1, pa.int64())
    month, day = pc.month(column), pc.day(column)
    is_later: Column = pc.or_(
        pc.greater(month, april), pc.and_(pc.equal(month, april), pc.greater(day, first_day))
    )
    born_in: Column = pc.add(pc.year(column), is_later.cast(pa.int64()))
    band: Column = pc.divide(pc.subtract(fiscal_year, born_in), _BAND)
    first, last = pa.scalar(0, pa.int64()), pa.scalar(len(_BANDS) - 1, pa.int64())
    within = pc.min_element_wise(
        pc.max_element_wise(band, first, skip_nulls=False), last, skip_nulls=False
    )
    return _BANDS.take(within)


def last_four(column: Column) -> Column:
    """The last four characters of each text; null for a text of four or fewer."""
    length: Column = pc.utf8_length(column)
    short = pc.less_equal(length, pa.scalar(_SHOWN_DIGITS, length.type)).fill_null(False)
    return pc.utf8_slice_codeunits(withhold(column, short), start=-_SHOWN_DIGITS)


def keyed_hash(column: Column, key: MaskKey) -> Column:
    """HMAC-SHA-256 of each text under *key*, in hex: each different text is hashed once.

    The two hashes that the key begins are made once and copied, which costs a third of
    :func:`hmac.digest`.

    Source: RFC 2104, section 4.
    """
    different = column.dictionary_encode()
    inner, outer = _begun(key.secret.get_secret_value())
    hashes = []
    for text in different.dictionary.to_pylist():
        first, second = inner.copy(), outer.copy()
        first.update(text.encode())
        second.update(first.digest())
        hashes.append(second.hexdigest())
    return pa.array(hashes, pa.string()).take(different.indices)


def _begun(secret: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """HMAC's inner and outer SHA-256 under *secret*, before any text is added."""
    block = hashlib.sha256().block_size
    secret = hashlib.sha256(secret).digest() if len(secret) > block else secret
    padded = secret.ljust(block, b"\0")
    inner, outer = bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)
    return hashlib.sha256(inner), hashlib.sha256(outer)


def present(column: Column) -> Column:
    """Whether each row has a value: neither null nor an empty text."""
    if pa.types.is_string(column.type):
        says: Column = pc.not_equal(column, pa.scalar(""))
        return says.fill_null(False)
    return column.is_valid()


def fiscal_years(processed_at: Column) -> Column:
    """The fiscal year (April to March, Japanese time) of each moment."""
    there: Column = pc.add(processed_at.cast(pa.int64()), _JAPAN_US).cast(pa.timestamp("us"))
    before_april: Column = pc.less(pc.month(there), pa.scalar(_APRIL, pa.int64()))
    return pc.subtract(pc.year(there), before_april.cast(pa.int64()))


def _in_lists(mask: Mask, column: Column, fiscal_year: FiscalYear) -> Column:
    """*column*, a list column, with *mask* applied to every value in its lists."""

    def of_values() -> Column:
        return fiscal_year().take(pc.list_parent_indices(column))

    values = masked(mask, column.flatten(), of_values)
    ends: Column = pc.cumulative_sum(pc.list_value_length(column).fill_null(0))
    offsets: Column = pa.concat_arrays([pa.array([0], ends.type), ends])
    nulls = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(offsets, values, mask=nulls)


def _holds(column: Column, where: pa.BooleanArray) -> bool:
    """Whether any row of *where* has a value: compares bitmaps, rewrites no column."""
    if column.null_count == 0:
        return bool(where.true_count)
    return bool(pc.and_(where, column.is_valid()).true_count)


def numbered(length: int) -> pa.Int64Array:
    """The integers from 0 up to, and without, *length*."""
    numbers: pa.Int64Array = pa.arange(0, length)  # type: ignore[attr-defined]  # newer than stubs
    return numbers
