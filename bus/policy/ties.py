"""Who names whom, both ways, for as many as a city has: households and their members, links.

An *owner* (a household, the number of a non-resident) names *others*; what it said last holds. All
are whole numbers (:mod:`bus.policy.numbering`). What was said long ago lies in sorted arrays, some
eighteen bytes for each of the named and twelve for each owner, and is searched by halving; what
was said since lies in dictionaries, and is merged into the arrays when it has become much.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Lists: TypeAlias = Any
"""An Arrow array of lists of whole numbers."""

MUCH = 100_000
"""Words since the last merge that are kept in dictionaries."""
AT_FIRST = 500_000
"""Words that are at least waited for before they are merged, while nobody looks anything up."""


class Ties:
    """What every owner said last."""

    def __init__(self, much: int = MUCH, at_first: int = AT_FIRST) -> None:
        self._much = much
        self._at_first = at_first
        self._waiting: list[tuple[pa.Int64Array, Lists]] = []  # newer than all the rest
        self._waits = 0
        self._recent: dict[int, tuple[int, ...]] = {}  # newer than what is in the arrays
        self._recent_to: dict[int, set[int]] = {}
        self._settle_in(pa.array([], pa.int64()), _lists([]))

    def take(self, owners: pa.Int64Array, others: Lists) -> None:
        """Take in what each of *owners* names now, in the order in which it was said."""
        if not len(owners):
            return
        self._waiting.append((owners, others))
        self._waits += len(owners)
        if self._waits > max(self._at_first, len(self._owners)):
            self._merge()

    def say(self, owner: int, others: Collection[int]) -> None:
        """*owner* names *others* now, and nobody else."""
        self._settle()
        self._replace(owner, others)

    def of(self, owner: int) -> Sequence[int]:
        """Whom *owner* names."""
        self._settle()
        recent = self._recent.get(owner)
        return self._named(owner) if recent is None else recent

    def to(self, other: int) -> list[int]:
        """Who names *other*."""
        self._settle()
        found = [owner for owner in self._naming(other) if owner not in self._recent]
        return [*found, *self._recent_to.get(other, ())]

    # -- what was said since

    def _replace(self, owner: int, others: Collection[int]) -> None:
        for other in self._recent.get(owner, ()):
            naming = self._recent_to[other]
            naming.discard(owner)
            if not naming:
                del self._recent_to[other]
        self._recent[owner] = tuple(dict.fromkeys(others))
        for other in self._recent[owner]:
            self._recent_to.setdefault(other, set()).add(owner)

    def _settle(self) -> None:
        """Nothing waits any longer."""
        if not self._waiting:
            return
        if self._waits + len(self._recent) > self._much:
            self._merge()
            return
        for owners, others in self._waiting:
            said: Iterator[tuple[Any, Any]]
            said = zip(owners.to_pylist(), others.to_pylist(), strict=True)
            for owner, named in said:
                self._replace(owner, named)
        self._waiting, self._waits = [], 0

    # -- the arrays

    def _named(self, owner: int) -> Sequence[int]:
        at = bisect_left(self._owners, owner)
        if at == len(self._owners) or self._owners[at] != owner:
            return ()
        return self._others[self._starts[at] : self._starts[at + 1]].tolist()

    def _naming(self, other: int) -> Iterator[int]:
        places, others = self._by_other, self._others
        for at in range(
            bisect_left(places, other, key=others.__getitem__),
            bisect_right(places, other, key=others.__getitem__),
        ):
            yield self._owners[bisect_right(self._starts, places[at]) - 1]

    def _merge(self) -> None:
        """All into the arrays; of each owner what it said last."""
        owners = [self._arrays[0], pa.array(list(self._recent), pa.int64())]
        others = [self._arrays[1], _lists(list(self._recent.values()))]
        for some_owners, some_others in self._waiting:
            owners.append(some_owners)
            others.append(some_others)
        self._waiting, self._waits, self._recent, self._recent_to = [], 0, {}, {}
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
        self._settle_in(every, lists)

    def _settle_in(self, owners: pa.Int64Array, lists: Lists) -> None:
        self._arrays = owners, lists
        self._owners = _view(owners, "q")
        self._starts = _view(lists.offsets, "i")
        self._others = _view(lists.values, "q")
        self._places = pc.sort_indices(lists.values).cast(pa.int32())
        self._by_other = _view(self._places, "i")
        pa.default_memory_pool().release_unused()


def _lists(rows: Sequence[Sequence[int]]) -> Lists:
    return pa.array(rows, pa.list_(pa.int64()))


def _view(array: Any, kind: Literal["i", "q"]) -> memoryview[int]:
    """The numbers of *array*, which has no nulls and begins at its buffer's begin."""
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return _cast(b"", kind)
    return _cast(buffer, kind)[array.offset : array.offset + len(array)]


def _cast(buffer: Any, kind: Literal["i", "q"]) -> memoryview[int]:
    return memoryview(buffer).cast(kind)
