"""Adjacency lists of a city's households and links, looked up in both directions.

An *owner* (a household, the number of a non-resident) names *others* (members, linked numbers);
its newest record holds. All are whole numbers (:mod:`bus.policy.numbering`). Most of it lies in
sorted arrays, some eighteen bytes for each of the named and twelve for each owner, and is found by
binary search. What is newer lies in dictionaries, and is merged into the arrays when there is
enough of it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Lists: TypeAlias = Any
"""An Arrow array of lists of whole numbers."""

MERGE_AT = 100_000
"""Owners that are kept in dictionaries at most; with more, all are merged into the arrays."""
BULK_MERGE_AT = 500_000
"""Owners that are at least appended before they are merged, while nobody looks anything up."""


class Adjacency:
    """Whom each owner names by its newest record, and which owners name whom.

    Args:
        merge_at: As many newer owners are kept in dictionaries; more are merged into the arrays.
        bulk_merge_at: As many owners are appended before they are merged without a look-up.
    """

    def __init__(self, merge_at: int = MERGE_AT, bulk_merge_at: int = BULK_MERGE_AT) -> None:
        self._merge_at = merge_at
        self._bulk_merge_at = bulk_merge_at
        self._waiting: list[tuple[pa.Int64Array, Lists]] = []  # newer than all the rest
        self._waits = 0
        self._recent: dict[int, tuple[int, ...]] = {}  # newer than what is in the arrays
        self._recent_owners: dict[int, set[int]] = {}
        self._set_arrays(pa.array([], pa.int64()), lists_of([]))

    def append(self, owners: pa.Int64Array, others: Lists) -> None:
        """Have each of *owners* name the numbers in its list of *others*.

        In the order of the records: an owner that comes twice names what its later list says.
        """
        if not len(owners):
            return
        self._waiting.append((owners, others))
        self._waits += len(owners)
        if self._waits > max(self._bulk_merge_at, len(self._owners)):
            self._merge()

    def put(self, owner: int, others: Collection[int]) -> None:
        """Have *owner* name *others* and nobody else."""
        self._apply_waiting()
        self._replace(owner, others)

    def known_among(self, owners: pa.Int64Array) -> pa.Int64Array:
        """Those of *owners* that may name somebody; what waits is not merged for it."""
        held = [self._arrays[0], pa.array(list(self._recent), pa.int64())]
        held += [waiting for waiting, _ in self._waiting]
        return pa.concat_arrays([each.filter(pc.is_in(each, owners)) for each in held])

    def named_by(self, owner: int) -> Sequence[int]:
        """Whom *owner* names; empty for one that never was put."""
        self._apply_waiting()
        recent = self._recent.get(owner)
        return self._named_in_arrays(owner) if recent is None else recent

    def owners_of(self, other: int) -> list[int]:
        """The owners that name *other*, in no order."""
        self._apply_waiting()
        found = [owner for owner in self._owners_in_arrays(other) if owner not in self._recent]
        return [*found, *self._recent_owners.get(other, ())]

    # -- the dictionaries

    def _replace(self, owner: int, others: Collection[int]) -> None:
        for other in self._recent.get(owner, ()):
            naming = self._recent_owners[other]
            naming.discard(owner)
            if not naming:
                del self._recent_owners[other]
        self._recent[owner] = tuple(dict.fromkeys(others))
        for other in self._recent[owner]:
            self._recent_owners.setdefault(other, set()).add(owner)

    def _apply_waiting(self) -> None:
        """Move what was appended into the dictionaries or, if it is much, into the arrays."""
        if not self._waiting:
            return
        if self._waits + len(self._recent) > self._merge_at:
            self._merge()
            return
        for owners, others in self._waiting:
            said: Iterator[tuple[Any, Any]]
            said = zip(owners.to_pylist(), others.to_pylist(), strict=True)
            for owner, named in said:
                self._replace(owner, named)
        self._waiting, self._waits = [], 0

    # -- the arrays

    def _named_in_arrays(self, owner: int) -> Sequence[int]:
        at = bisect_left(self._owners, owner)
        if at == len(self._owners) or self._owners[at] != owner:
            return ()
        return self._others[self._starts[at] : self._starts[at + 1]].tolist()

    def _owners_in_arrays(self, other: int) -> Iterator[int]:
        places, others = self._by_other, self._others
        for at in range(
            bisect_left(places, other, key=others.__getitem__),
            bisect_right(places, other, key=others.__getitem__),
        ):
            yield self._owners[bisect_right(self._starts, places[at]) - 1]

    def _merge(self) -> None:
        """Move everything into the arrays; of each owner its newest list."""
        owners = [self._arrays[0], pa.array(list(self._recent), pa.int64())]
        others = [self._arrays[1], lists_of(list(self._recent.values()))]
        for some_owners, some_others in self._waiting:
            owners.append(some_owners)
            others.append(some_others)
        self._waiting, self._waits, self._recent, self._recent_owners = [], 0, {}, {}
        every, lists = pa.concat_arrays(owners), pa.concat_arrays(others)
        del owners, others
        order = pc.sort_indices(every)  # stable: of equals the later one comes later
        every = every.take(order)
        is_last = pa.array([True], pa.bool_())
        if len(every) > 1:
            changes = pc.not_equal(every.slice(0, len(every) - 1), every.slice(1))
            is_last = pa.concat_arrays([changes, is_last])
        if len(every):
            lengths = pc.list_value_length(lists).take(order)
            is_kept = pc.and_(is_last, pc.greater(lengths, pa.scalar(0, pa.int32())))
            every, lists = every.filter(is_kept), lists.take(order.filter(is_kept))
        del order
        self._set_arrays(every, lists)

    def _set_arrays(self, owners: pa.Int64Array, lists: Lists) -> None:
        self._arrays = owners, lists
        self._owners = _view(owners, "q")
        self._starts = _view(lists.offsets, "i")
        self._others = _view(lists.values, "q")
        self._places = pc.sort_indices(lists.values).cast(pa.int32())
        self._by_other = _view(self._places, "i")
        pa.default_memory_pool().release_unused()


def lists_of(rows: Sequence[Sequence[int]]) -> Lists:
    """*rows* as such an array."""
    return pa.array(rows, pa.list_(pa.int64()))


def _view(array: Any, kind: Literal["i", "q"]) -> memoryview[int]:
    """A view, without copying, of the numbers in *array*, an Arrow array without nulls."""
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return _cast(b"", kind)
    return _cast(buffer, kind)[array.offset : array.offset + len(array)]


def _cast(buffer: Any, kind: Literal["i", "q"]) -> memoryview[int]:
    return memoryview(buffer).cast(kind)
