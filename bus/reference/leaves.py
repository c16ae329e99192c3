"""The leaves of an Avro schema, each with its type in words.

The catalogue's items have names, sensitivity and checks; what each is made of, and what an older
version had, only the schema says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bus.catalog.assemble import named_types
from bus.reference.words import TYPES, Words


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of a record that is no record itself."""

    path: str
    type: Words
    symbols: tuple[str, ...] = ()  # of an enum
    is_list: bool = False  # itself, or a record that holds it
    is_nullable: bool = False
    doc: str | None = None


def leaves_of(schema: Mapping[str, Any]) -> dict[str, Leaf]:
    """Every leaf of a self-contained schema, by path, as declared."""
    types = dict(named_types(schema))

    def fields(record: Mapping[str, Any], above: Leaf) -> Iterator[Leaf]:
        for field in record["fields"]:
            path = f"{above.path}.{field['name']}" if above.path else field["name"]
            inside = Leaf(
                path, above.type, (), above.is_list, above.is_nullable, field.get("doc", above.doc)
            )
            yield from declared(field["type"], inside)

    def declared(kind: Any, at: Leaf) -> Iterator[Leaf]:
        if isinstance(kind, list):
            (inner,) = (arm for arm in kind if arm != "null")
            yield from declared(inner, replace(at, is_nullable=True))
        elif isinstance(kind, str) and kind in TYPES:
            yield replace(at, type=TYPES[kind])
        elif isinstance(kind, str):
            yield from declared(types[kind], at)
        elif kind["type"] == "record":
            yield from fields(kind, at)
        elif kind["type"] == "array":
            yield from declared(kind["items"], replace(at, is_list=True))
        elif kind["type"] == "enum":
            yield replace(at, type=TYPES["enum"], symbols=tuple(kind["symbols"]))
        else:
            yield replace(at, type=TYPES[kind.get("logicalType", kind["type"])])

    return {leaf.path: leaf for leaf in fields(schema, Leaf("", Words("", "")))}
