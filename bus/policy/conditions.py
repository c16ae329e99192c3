"""Evaluate a view's row conditions over a batch: which rows the view covers.

All conditions must hold. A null item fits no condition but ``is_null: true``: what is not known
never selects anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bus.model import Comparison, Condition

Column = Any
"""An Arrow array."""


def holding(conditions: Sequence[Condition], item: Callable[[str], Column]) -> Column:
    """Per row of a batch, whether all *conditions* hold; a mask without nulls.

    Args:
        conditions: At least one.
        item: The column of the item at a path, outside any list.
    """
    return reduce(pc.and_, (_holds(each, item(each.path)) for each in conditions))


def _holds(condition: Condition, column: Column) -> Column:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    (first, *_), kind = condition.values, column.type
    match condition.comparison:
        case Comparison.IS_NULL:
            return column.is_null() if first else column.is_valid()
        case Comparison.EQUALS:
            found = pc.equal(column, pa.scalar(first, kind))
        case Comparison.IN:
            return pc.is_in(column, value_set=pa.array(condition.values, kind))
        case Comparison.AT_LEAST:
            found = pc.greater_equal(column, pa.scalar(first, kind))
    return found.fill_null(False)
