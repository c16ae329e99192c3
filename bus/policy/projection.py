"""Apply a view to a batch of events: filter rows, flatten columns, mask items and locations.

Nothing here touches a record by itself. Columns are handed on without a copy wherever the batch
allows it: the parts of a record share its buffers, rows are gathered only if the filter dropped
some, and a location column is rewritten only if a protected row has something in it. Rows go
before masks, which are dearer; masks go before the fence, whose word is the last.

In doubt a location is withheld: a flag that is null counts as protected, and a view that carries
the flag refuses to work without the answer of the protection fence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial

import pyarrow as pa
import pyarrow.compute as pc

from bus.errors import FieldWithheld, SchemaMismatch
from bus.model import FLAG, Mask, Sensitivity, Suppression, View, ViewColumn
from bus.policy.conditions import holding
from bus.policy.masks import Column, fiscal_years, masked, numbered, withhold
from bus.policy.views import OFFSET, PARTITION

_EVENT_TYPE = "header.event_type"
_PROCESSED_AT = "header.processed_at"
_SHOWN = (Sensitivity.PLAIN, Sensitivity.PERSONAL, Sensitivity.LOCATION)


@dataclass(frozen=True, slots=True)
class Projected:
    """The rows that a view shows of a batch."""

    records: pa.RecordBatch  # exactly the view's schema
    kept: pa.Int64Array  # which rows of the input, ascending
    outside: pa.Int64Array | None = None  # which rows the conditions leave out, ascending


def project(
    view: View,
    records: pa.RecordBatch,
    *,
    protected: pa.BooleanArray | None,
    partition: int,
    offsets: pa.Int64Array,
) -> Projected:
    """What *view* shows of *records*.

    Args:
        view: A view of the stream that *records* belong to.
        records: Columns of the stream's newest schema, one row per event.
        protected: Per row, whether it says where somebody under protection is, as far as the
            log says; needed by every view that carries the flag. Null counts as protected.
        partition: Where the rows come from in the log.
        offsets: Per row, its offset in the log.

    Raises:
        FieldWithheld: The view holds a column that may not go out, or needs *protected*.
        SchemaMismatch: *records* are not of the schema that the view reads.
    """
    plan = _plan_of(view)
    columns = plan.gather(records)
    if plan.partition is not None:
        columns[plan.partition] = pa.repeat(pa.scalar(partition, pa.int32()), records.num_rows)
    if plan.offset is not None:
        columns[plan.offset] = offsets

    holds = holding(view.conditions, partial(_leaf, records)) if view.conditions else None
    kept = _selected(view, records, holds)
    if kept is None:
        kept = numbered(records.num_rows)
    else:
        columns = [column.take(kept) for column in columns]
        protected = None if protected is None else protected.take(kept)

    if plan.masks:
        years = cache(lambda: fiscal_years(_leaf(records, _PROCESSED_AT).take(kept)))
        for index, mask in plan.masks:
            columns[index] = masked(mask, columns[index], years)
    if plan.flag is not None:
        where = _protected(columns[plan.flag], protected, view)
        columns[plan.flag] = where
        if view.suppression is not Suppression.CAPABLE and where.true_count:
            for index in plan.locations:
                columns[index] = withhold(columns[index], where)
    outside = None if holds is None else _rows_of(pc.invert(holds))
    return Projected(plan.batch(columns), kept, outside)


def _selected(view: View, records: pa.RecordBatch, holds: Column | None) -> Column:
    """Rows whose event type the view selects and whose conditions hold; None for all of them."""
    wanted = _plan_of(view).event_types
    matches = holds
    if wanted is not None:
        matches = pc.is_in(_leaf(records, _EVENT_TYPE), value_set=wanted)
        matches = matches if holds is None else pc.and_(matches, holds)
    if matches is None or matches.true_count == len(matches):
        return None
    return _rows_of(matches)


def _rows_of(matches: Column) -> Column:
    """The numbers of the rows in which *matches* is true."""
    return pc.indices_nonzero(matches).cast(pa.int64())


def _protected(own: Column, known: Column, view: View) -> Column:
    """Per row, whether its own flag or the fence says protected; null counts as yes."""
    if known is None:
        raise FieldWithheld(
            "the protection fence was not asked", system=view.system, stream=view.stream
        )
    return pc.or_(_certain(own), _certain(known))


def _certain(flags: Column) -> Column:
    return flags.fill_null(True) if flags.null_count else flags


def _leaf(records: pa.RecordBatch, path: str) -> Column:
    """The column of one leaf that is outside any list."""
    found: list[Column] = [None]
    _tree_of(path).gather(records, found)
    if found[0] is None:
        raise SchemaMismatch("the batch has not the columns that the view reads", column=path)
    return found[0]


@lru_cache(maxsize=64)
def _tree_of(path: str) -> _Tree:
    tree = _Tree()
    tree.add(path.split("."), 0)
    return tree


@dataclass(slots=True)
class _Tree:
    """Which parts of a record a view reads, and the column that each becomes."""

    index: int | None = None
    below: dict[str, _Tree] = field(default_factory=dict)

    def add(self, path: Sequence[str], index: int) -> None:
        node = self
        for part in path:
            node = node.below.setdefault(part, _Tree())
        node.index = index

    def gather(self, records: pa.RecordBatch, into: list[Column]) -> None:
        for name, node in self.below.items():
            position = records.schema.get_field_index(name)
            if position >= 0:
                node._place(records.column(position), into)

    def _place(self, column: Column, into: list[Column]) -> None:
        if not self.below:
            if self.index is not None:
                into[self.index] = column
        elif pa.types.is_list(column.type):
            parts: list[Column] = [None] * len(into)
            self._place(column.values, parts)
            for index, part in enumerate(parts):
                if part is not None:
                    into[index] = _list_of(part, like=column)
        else:
            children = column.flatten()  # a null record makes its parts null; no values copied
            for name, node in self.below.items():
                position = column.type.get_field_index(name)
                if position >= 0:
                    node._place(children[position], into)


def _list_of(values: Column, like: Column) -> Column:
    """Lists with the lengths of *like* and other *values*, as many as before."""
    return pa.Array.from_buffers(
        pa.list_(values.type), len(like), like.buffers()[:2], like.null_count, like.offset, [values]
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The parts of a projection that are the same for every batch of a view."""

    view: View
    schema: pa.Schema
    event_types: pa.StringArray | None  # None: all
    tree: _Tree
    flag: int | None
    partition: int | None
    offset: int | None
    locations: tuple[int, ...]
    masks: tuple[tuple[int, Mask], ...]

    def gather(self, records: pa.RecordBatch) -> list[Column]:
        """The batch's own columns, flat; a gap for each column that the bus adds."""
        columns: list[Column] = [None] * len(self.view.columns)
        self.tree.gather(records, columns)
        for column, found in zip(self.view.columns, columns, strict=True):
            if found is None and column.path:
                raise SchemaMismatch(
                    "the batch has not the columns that the view reads",
                    system=self.view.system, stream=self.view.stream, field=column.path,
                )  # fmt: skip
        return columns

    def batch(self, columns: Sequence[Column]) -> pa.RecordBatch:
        """The finished columns, each in exactly the view's type."""
        ready = [
            column if column.type == wanted.type else column.cast(wanted.type)
            for column, wanted in zip(columns, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(ready, schema=self.schema)


_PLANS_AT_MOST = 256  # systems x streams; more than there are
_plans: dict[str, _Plan] = {}


def _plan_of(view: View) -> _Plan:
    """The plan of *view*, made once per view object."""
    plan = _plans.get(view.fingerprint)
    if plan is None or plan.view is not view:
        if len(_plans) >= _PLANS_AT_MOST:
            _plans.clear()
        plan = _plans[view.fingerprint] = _planned(view)
    return plan


def _planned(view: View) -> _Plan:
    tree = _Tree()
    for index, column in enumerate(view.columns):
        is_unreadable = column.is_sealed or column.mask is not None  # as it comes from here
        if column.sensitivity not in _SHOWN and not (view.may_have_restricted and is_unreadable):
            raise FieldWithheld(
                "a column may not go out",
                system=view.system, stream=view.stream, field=column.path,
            )  # fmt: skip
        if column.path:
            tree.add(column.path.split("."), index)
    own = {column.name: index for index, column in _added(view)}
    flag = next((i for i, column in enumerate(view.columns) if column.path == FLAG), None)
    locations = tuple(
        i for i, column in enumerate(view.columns) if column.sensitivity is Sensitivity.LOCATION
    )
    if locations and flag is None:
        raise FieldWithheld(
            "a location goes out without the protection flag",
            system=view.system, stream=view.stream,
        )  # fmt: skip
    return _Plan(
        view=view,
        schema=view.schema,
        event_types=pa.array(sorted(view.event_types), pa.string()) if view.event_types else None,
        tree=tree,
        flag=flag,
        partition=own.get(PARTITION),
        offset=own.get(OFFSET),
        locations=locations,
        masks=tuple((i, c.mask) for i, c in enumerate(view.columns) if c.mask is not None),
    )


def _added(view: View) -> Iterator[tuple[int, ViewColumn]]:
    """The columns without a path, which the bus fills: partition and offset, and no others."""
    for index, column in enumerate(view.columns):
        if not column.path:
            if column.name not in (PARTITION, OFFSET):
                raise FieldWithheld(
                    "a column comes from nowhere", system=view.system, column=column.name
                )
            yield index, column
