"""A stream's record as a tree of nodes, which the fitting of bodies and the checks walk over.

Avro's named types are written out once and named afterwards; a tree has them in each place, with
the dotted path and the Japanese name that faults need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bus.errors import ConfigurationError
from bus.model import Item, SchemaVersion, Stream

PARTIAL_DATE = "jp.renkei.PartialDate"
_NO_DEFAULT = object()
_LOGICAL = {"date": "date", "timestamp-micros": "timestamp", "timestamp-millis": "timestamp"}


@dataclass(frozen=True, slots=True)
class Node:
    """One field of a record, or what one entry of a list is.

    ``kind`` is ``string``, ``int``, ``long``, ``float``, ``double``, ``boolean``, ``date``,
    ``timestamp``, ``enum``, ``record`` or ``array``. ``default`` is what stands where the field
    is left out; it must not be left out where ``is_required``.
    """

    name: str
    path: str
    ja: str
    kind: str
    is_nullable: bool
    is_required: bool
    default: Any
    properties: Mapping[str, Any]
    type_name: str = ""  # of a record or an enum
    symbols: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()  # of a record
    element: Node | None = None  # of an array

    @property
    def is_partial_date(self) -> bool:
        """Whether this is a date that may be unknown or no calendar date."""
        return self.type_name == PARTIAL_DATE

    def child(self, name: str) -> Node:
        """The field called *name* of this record."""
        return next(child for child in self.children if child.name == name)


def tree_of(stream: Stream) -> Node:
    """The newest version of the stream's record as a tree; its path is empty.

    Raises:
        ConfigurationError: The schema has a type that records of streams must not have.
    """
    items = {item.path: item for item in stream.items}
    return _Building(stream.latest, items).node(
        "", "", stream.ja, stream.latest.schema, _NO_DEFAULT, {}
    )


class _Building:
    """One walk over a schema; remembers named types."""

    def __init__(self, version: SchemaVersion, items: Mapping[str, Item]) -> None:
        self._version = version
        self._items = items
        self._named: dict[str, Mapping[str, Any]] = {}

    def node(
        self,
        name: str,
        path: str,
        ja: str,
        declared: Any,
        default: Any,
        properties: Mapping[str, Any],
    ) -> Node:
        is_nullable = isinstance(declared, list) and "null" in declared
        inner = self._resolve(declared)
        kind = _LOGICAL.get(inner.get("logicalType", ""), inner["type"])
        children: tuple[Node, ...] = ()
        element = None
        if kind == "record":
            children = tuple(self._field(path, field) for field in inner["fields"])
        elif kind == "array":
            element = self.node("", path, ja, inner["items"], _NO_DEFAULT, properties)
        elif kind in ("map", "bytes", "fixed", "null"):
            raise ConfigurationError(
                "a stream's record has a type that is not let in",
                stream=self._version.stream,
                version=self._version.version,
                field=path,
            )
        return Node(
            name=name,
            path=path,
            ja=ja,
            kind=kind,
            is_nullable=is_nullable,
            is_required=default is _NO_DEFAULT,
            default=None if default is _NO_DEFAULT else default,
            properties=properties,
            type_name=_full_name(inner) if kind in ("record", "enum") else "",
            symbols=tuple(inner.get("symbols", ())),
            children=children,
            element=element,
        )

    def _field(self, above: str, field: Mapping[str, Any]) -> Node:
        path = f"{above}.{field['name']}" if above else field["name"]
        item = self._items.get(path)
        ja = item.ja if item is not None else field.get("x-ja", "")
        properties = item.properties if item is not None else {}
        default = field.get("default", _NO_DEFAULT)
        return self.node(field["name"], path, ja, field["type"], default, properties)

    def _resolve(self, declared: Any) -> Mapping[str, Any]:
        """The type that is not null, with names replaced by their definitions."""
        if isinstance(declared, list):
            (declared,) = (arm for arm in declared if arm != "null")
        if isinstance(declared, str):
            full = declared if "." in declared else f"jp.renkei.{declared}"
            return self._named.get(full, {"type": declared})
        if declared["type"] in ("record", "enum"):
            self._named[_full_name(declared)] = declared
        found: Mapping[str, Any] = declared
        return found


def _full_name(declared: Mapping[str, Any]) -> str:
    return f"{declared.get('namespace', 'jp.renkei')}.{declared['name']}"
