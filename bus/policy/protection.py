"""Find which rows of a batch say where a protected person is.

A row counts if any person whose location it may say is under protection or shares the address of
one, or if it names the household of one. Numbers are compared by what no spelling changes
(:mod:`bus.model.number`). They alone are looked up first, which nearly always says no for the whole
batch; keys of municipality and number are made only where that said yes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bus.errors import SchemaMismatch
from bus.model import HOUSEHOLD, Protected
from bus.model.number import LONGEST, comparable, comparable_key
from bus.policy.masks import Column, numbered

_MUNICIPALITY = "header.municipality_code"


class Search:
    """A :class:`~bus.model.Protected`, prepared for looking it up in batches."""

    def __init__(self, protected: Protected) -> None:
        self._persons = _Keys(protected.persons)
        self._households = _Keys(protected.households)

    def rows(self, records: pa.RecordBatch, located: Sequence[str]) -> pa.BooleanArray:
        """Per row of *records*, whether it must not say a location.

        Args:
            records: Columns of a stream's newest schema, one row per event.
            located: Paths to the ids of all persons whose location a record may say.

        Raises:
            SchemaMismatch: A column that *located* names is not there.
        """
        found = [self._persons.rows(records, path) for path in located]
        if records.schema.get_field_index(HOUSEHOLD) >= 0:
            found.append(self._households.rows(records, HOUSEHOLD))
        together: Column = None
        for rows in found:
            if rows is not None:
                together = rows if together is None else pc.or_(together, rows)
        return pa.repeat(pa.scalar(False), records.num_rows) if together is None else together


class _Keys:
    """Keys ``<municipality_code>/<id>``, and a cheap test for most ids that are not among them."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = pa.array(sorted({comparable_key(key) for key in keys}), pa.string())
        # both parts of every key; of one that is no such key, what there is
        self._parts: Column = pc.list_flatten(
            pc.split_pattern(self._keys, pattern="/", max_splits=1)
        ).unique()

    def rows(self, records: pa.RecordBatch, path: str) -> Column:
        """Per row, whether an id at *path* is among the keys; None if none is."""
        if not len(self._keys):
            return None
        ids, parents = _values(records, path)
        ids = comparable_column(ids)
        found: Column = pc.is_in(ids, value_set=self._parts)
        if not found.true_count:
            return None
        at = pc.indices_nonzero(found)
        rows = at if parents is None else parents.take(at)
        codes, _ = _values(records, _MUNICIPALITY)
        own = pc.binary_join_element_wise(codes.take(rows), ids.take(at), "/")
        is_hit = pc.is_in(own, value_set=self._keys)
        if parents is None and is_hit.true_count == len(at):
            return (
                found  # each number is somebody's of the row's own municipality, as nearly always
            )
        return pc.is_in(numbered(records.num_rows), value_set=rows.filter(is_hit).cast(pa.int64()))


def comparable_column(numbers: Column) -> Column:
    """:func:`bus.model.number.comparable` of each of *numbers*."""
    if pc.all(pc.ascii_is_decimal(numbers)).as_py() is False:
        spelled = (None if number is None else comparable(number) for number in numbers.to_pylist())
        return pa.array(spelled, pa.string())
    lengths: Column = pc.binary_length(numbers)
    if {pc.min(lengths).as_py(), pc.max(lengths).as_py()} <= {LONGEST, None}:
        return numbers  # as nearly all are written
    return pc.utf8_lpad(pc.ascii_ltrim(numbers, characters="0"), width=LONGEST, padding="0")


def _values(records: pa.RecordBatch, path: str) -> tuple[Column, Column]:
    """The values at *path*; behind a list, all its values, with the row of each."""
    head, *rest = path.split(".")
    if records.schema.get_field_index(head) < 0:
        raise SchemaMismatch("the batch has not the columns that the view reads", column=path)
    column: Column = records.column(head)
    parents: Column = None
    if pa.types.is_list(column.type):
        parents, column = pc.list_parent_indices(column), column.flatten()
    for part in rest:
        # the field as it is, where no row lacks the whole: a tenth of the time
        column = pc.struct_field(column, part) if column.null_count else column.field(part)
    return column, parents
