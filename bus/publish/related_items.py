"""Check an item against other items of its record, as the schema's properties say.

``x-required-when``, ``x-not-before``, ``x-sum-of`` and ``x-zero-when`` name items of the same
record, also of a record inside a list. Where one of the two has no value there is nothing to judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa

from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc
from bus.publish.shape import Node

_ANY_LONG = pa.decimal128(19, 0)


@dataclass(frozen=True, slots=True)
class Unfit:
    """Where an item does not fit another item of its record, and why."""

    code: str
    expected: str
    mask: Mask


def unfit(node: Node, beside: Mapping[str, Column]) -> Iterator[Unfit]:
    """What is wrong with an item of a record.

    Args:
        beside: The columns of the record, the item's own among them, by name.
    """
    properties, column = node.properties, beside[node.name]
    if "x-required-when" in properties and column.null_count:
        switch = properties["x-required-when"]
        mask = pc.and_(pc.is_null(column), beside[switch])
        yield Unfit("missing", f"a value where {switch} is set", mask)
    if "x-not-before" in properties:
        other = properties["x-not-before"]
        mask = pc.less(_days(column), _days(beside[other]))
        yield Unfit("date-order", f"a day not before {other}", mask)
    if "x-sum-of" in properties:
        names = properties["x-sum-of"]
        total = reduce(pc.add, (_exact(beside[name]) for name in names))
        yield Unfit("sum", "the sum of " + ", ".join(names), pc.not_equal(_exact(column), total))
    if "x-zero-when" in properties:
        switch = properties["x-zero-when"]
        mask = pc.and_(pc.not_equal(column, 0), beside[switch])
        yield Unfit("zero", f"0 where {switch} is set", mask)


def _days(column: Column) -> Column:
    """The days of a column of dates, or of dates that may be unknown."""
    return pc.struct_field(column, "date") if pa.types.is_struct(column.type) else column


def _exact(column: Column) -> Column:
    """Numbers in a type in which their sums do not overflow."""
    return pc.cast(column, _ANY_LONG)
