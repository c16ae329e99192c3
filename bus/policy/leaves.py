"""List the leaves of a nested record, and the flat name of each.

One rule names them, for views and for batches alike: parts are joined by ``_``; ``header.``
falls away; a partial date ``x`` becomes ``x``, ``x_unknown`` and ``x_text``; a list of records
becomes one list column per member.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bus.errors import ConfigurationError
from bus.model import HEADER

_PARTIAL_DATE = {"date", "unknown", "text"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of a record that is no record itself."""

    path: str  # dotted, below the stream's record
    name: str  # flat
    type: pa.DataType  # of the flat column
    is_nullable: bool  # itself, or a record that holds it


def leaves_of(schema: pa.Schema) -> list[Leaf]:
    """Every leaf of *schema*, in the order in which it is declared.

    Raises:
        ConfigurationError: A type that a view cannot flatten (a map, a list of lists).
    """
    return [leaf for field in schema for leaf in _below(field, "", "", is_nullable=False)]


def parts_of_date(path: str) -> frozenset[str]:
    """The leaves of the partial date at *path*."""
    return frozenset(f"{path}.{part}" for part in _PARTIAL_DATE)


def is_partial_date(kind: pa.DataType) -> bool:
    """Whether *kind* is the record type of a partial date."""
    return pa.types.is_struct(kind) and {child.name for child in kind.fields} == _PARTIAL_DATE


def _below(field: pa.Field[Any], above: str, prefix: str, *, is_nullable: bool) -> Iterator[Leaf]:
    path = f"{above}.{field.name}" if above else field.name
    name = f"{prefix}_{field.name}" if prefix else field.name
    if path == HEADER:
        name = ""
    yield from _of(field.type, path, name, is_nullable=is_nullable or field.nullable)


def _of(kind: pa.DataType, path: str, name: str, *, is_nullable: bool) -> Iterator[Leaf]:
    if pa.types.is_struct(kind):
        partial = is_partial_date(kind)
        for child in kind.fields:
            if partial and child.name == "date":
                yield Leaf(f"{path}.date", name, flat_type(child.type, path), True)
            else:
                yield from _below(child, path, name, is_nullable=is_nullable)
    elif pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        for leaf in _of(kind.value_type, path, name, is_nullable=False):
            if pa.types.is_list(leaf.type):
                raise ConfigurationError("a list inside a list cannot be flattened", field=path)
            yield Leaf(leaf.path, leaf.name, pa.list_(leaf.type), is_nullable)
    else:
        yield Leaf(path, name, flat_type(kind, path), is_nullable)


def flat_type(kind: pa.DataType, path: str) -> pa.DataType:
    """The type that a leaf of type *kind* has in a view: one of few, whatever decoded it.

    Raises:
        ConfigurationError: A view has no column for it.
    """
    if pa.types.is_dictionary(kind):
        return flat_type(kind.value_type, path)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC")
    if pa.types.is_list(kind):
        return pa.list_(flat_type(kind.value_type, path))
    if pa.types.is_large_string(kind):
        return pa.string()
    if kind in _FLAT:
        return kind
    raise ConfigurationError("a view has no column type for this item", field=path, type=str(kind))


_FLAT = (
    pa.string(), pa.int32(), pa.int64(), pa.bool_(), pa.date32(), pa.float64(),
)  # fmt: skip


def base_of(kind: pa.DataType) -> pa.DataType:
    """The element type of a list; any other type itself."""
    return kind.value_type if pa.types.is_list(kind) else kind


def covers(granted: str, path: str) -> bool:
    """Whether a grant of *granted* includes *path*: the item itself, or a record that holds it."""
    return path == granted or path.startswith(f"{granted}.")


def is_covered(path: str, granted: Iterable[str]) -> bool:
    """Whether one of *granted* covers *path*, without a call for each: reading the shipped grants
    asks it ten thousand times."""
    return f"{path}.".startswith(tuple([f"{each}." for each in granted]))
