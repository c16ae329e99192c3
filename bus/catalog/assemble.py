"""Turn schema files that name shared types into self-contained schemas, and list their items.

A schema that is registered needs no references: each named type is written out where it first
occurs, depth first, and named afterwards. Items are the leaves; their names are composed as
基本データリスト composes them (生年月日 + 不詳フラグ is 生年月日_不詳フラグ).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bus.catalog.documents import Document, KeyPath
from bus.catalog.rules import NAMESPACE
from bus.model import HEADER, Fault, Item, Sensitivity
from bus.model.english import english, english_below

_NAMES = ("x-ja", "x-romaji", "x-en", "x-naming")


class Recursive(Exception):
    """A type contains itself; the message is its full name."""


def assemble(document: Document, types: Mapping[str, Document]) -> dict[str, Any]:
    """The self-contained schema of a stream's file, which must have passed its checks.

    Raises:
        Recursive: A type contains itself.
    """
    written: set[str] = set()

    def walk(value: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(value, list):
            return [walk(arm, inside) for arm in value]
        if isinstance(value, str):
            full = value if "." in value else f"{NAMESPACE}.{value}"
            if full in inside:
                raise Recursive(full)
            if full in written or full not in types:
                return full if full in written else value
            return walk(types[full].value, inside)
        if value["type"] in ("record", "enum"):
            full = f"{NAMESPACE}.{value['name']}"
            written.add(full)
            if value["type"] == "enum":
                return value
            fields = [
                {**entry, "type": walk(entry["type"], (*inside, full))} for entry in value["fields"]
            ]
            return {**value, "fields": fields}
        if value["type"] == "array":
            return {**value, "items": walk(value["items"], inside)}
        return value

    found = walk(document.value, ())
    assert isinstance(found, dict)  # a stream's file is a record
    return found


def named_types(schema: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every named type of a self-contained schema, by full name."""
    if isinstance(schema, list):
        for arm in schema:
            yield from named_types(arm)
    elif isinstance(schema, dict):
        kind = schema["type"]
        if kind in ("record", "enum"):
            yield f"{NAMESPACE}.{schema['name']}", schema
        for entry in schema.get("fields", ()):
            yield from named_types(entry["type"])
        if "items" in schema:
            yield from named_types(schema["items"])


@dataclass(frozen=True, slots=True)
class _Group:
    """What the leaves below a group of fields inherit from it."""

    path: str = ""
    ja: str = ""
    romaji: str = ""
    en: str = ""
    sensitivity: str | None = None
    naming: str = "own"


def items_of(schema: Mapping[str, Any], document: Document) -> tuple[list[Item], list[Fault]]:
    """The items of a self-contained schema, in order, and the faults that only show there.

    Args:
        schema: What :func:`assemble` made.
        document: The stream's file, where faults are placed.
    """
    types = dict(named_types(schema))
    items: list[Item] = []
    faults: list[Fault] = []

    def record(value: Mapping[str, Any], group: _Group, origin: KeyPath) -> None:
        for index, entry in enumerate(value["fields"]):
            place = origin or ("fields", index)
            leaf(entry, replace(group, naming=value.get("x-naming", "own")), place)

    def leaf(entry: Mapping[str, Any], group: _Group, place: KeyPath) -> None:
        naming = entry.get("x-naming", group.naming)
        path = f"{group.path}.{entry['name']}" if group.path else entry["name"]
        ja, romaji = entry["x-ja"], entry["x-romaji"]
        en = english_below(group.en, entry.get("x-en") or english(entry["name"]))
        if naming == "group":
            ja, romaji, en = group.ja or ja, group.romaji or romaji, group.en or en
        elif naming == "joined" and group.ja:
            ja, romaji = f"{group.ja}_{ja}", f"{group.romaji}_{romaji}"
        sensitivity = entry.get("x-sensitivity", group.sensitivity)
        inner = _record_in(entry["type"], types)
        if inner is not None:
            en = "" if path == HEADER else en  # names of its items stand alone
            record(inner, _Group(path, ja, romaji, en, sensitivity), place)
            return
        if sensitivity is None:
            expected = "x-sensitivity of the item or of its group"
            faults.append(document.fault("property", place, expected, field=path))
            sensitivity = Sensitivity.RESTRICTED.value
        kept = {
            name: content
            for name, content in entry.items()
            if name.startswith("x-") and name not in (*_NAMES, "x-sensitivity", "x-item-id")
        }
        items.append(
            Item(path, ja, romaji, Sensitivity(sensitivity), entry.get("x-item-id"), kept, en)
        )

    record(schema, _Group(), ())
    return [_subject(item, schema) for item in items], faults


def _subject(item: Item, schema: Mapping[str, Any]) -> Item:
    """The item *subject_id*, with the names and checks that its stream gives it."""
    subject = schema.get("x-subject")
    if subject is None or item.path != "header.subject_id":
        return item
    properties = {key: value for key, value in subject.items() if key not in _NAMES}
    return replace(
        item,
        ja=subject["x-ja"],
        romaji=subject["x-romaji"],
        en=subject.get("x-en", item.en),
        properties={**item.properties, **properties},
    )


def _record_in(declared: Any, types: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The record that a type is, may be or lists; None if it holds plain values."""
    if isinstance(declared, list):
        found = [_record_in(arm, types) for arm in declared]
        return next((inner for inner in found if inner is not None), None)
    if isinstance(declared, str):
        declared = types.get(declared if "." in declared else f"{NAMESPACE}.{declared}")
        return declared if declared is not None and declared["type"] == "record" else None
    if declared["type"] == "record":
        return dict(declared)
    return _record_in(declared["items"], types) if "items" in declared else None
