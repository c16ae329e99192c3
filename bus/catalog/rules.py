"""Check that a schema file keeps Renkei's rules of names, types and properties.

The column codec panics on ``bytes``, ``fixed``, ``decimal``, ``uuid`` and ``time-*``, makes
sparse unions of larger unions, and has no answer for recursion: none of these may be in a
stream. Nor may maps and lists of lists, for which a view has no column. Money is whole yen, a
``long``; ids are strings.

Each rule looks at one file. What needs all files together (assembling, items, compatibility)
is in :mod:`bus.catalog.assemble` and :mod:`bus.catalog.load`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from bus.catalog.documents import Document, KeyPath
from bus.model import Fault, Sensitivity

NAMESPACE = "jp.renkei"
_PARTIAL = f"{NAMESPACE}.PartialDate"
PRIMITIVES = frozenset({"string", "int", "long", "float", "double", "boolean"})
LOGICAL = {"date": "int", "timestamp-millis": "long", "timestamp-micros": "long"}
CHECKS = frozenset(
    {
        "municipality-code", "individual-number", "corporate-number", "insurer-number", "atena",
        "postal-code", "uuid", "event-type", "name", "kana",
    }
)  # fmt: skip

_TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_DIGITS = re.compile(r"digits:[1-9][0-9]?")
_ITEM_ID = re.compile(r"[0-9]{8}")
_FORM = re.compile(r"(X|N|9)([1-9][0-9]{0,3}|\([1-9][0-9]?\))|DATE|TIME|YEAR")
_EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\.[a-z]+(_[a-z]+)*")
_LONGEST_NAME = 63  # a column's name in PostgreSQL
_OF_SUBJECT = {"x-ja", "x-romaji", "x-en", "x-check", "x-max-length"}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and bool(pattern.fullmatch(value))


def _is_check(value: object) -> bool:
    return isinstance(value, str) and (value in CHECKS or bool(_DIGITS.fullmatch(value)))


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_text(entry) for entry in value)


def _is_systems(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_matches(_FIELD_NAME), value))


def _is_paths(value: object) -> bool:
    return value == [] or _is_texts(value)


def _is_subject(value: object) -> bool:
    return (
        isinstance(value, dict)
        and {"x-ja", "x-romaji"} <= set(value) <= _OF_SUBJECT
        and _is_text(value["x-ja"])
        and _is_text(value["x-romaji"])
        and ("x-en" not in value or _is_text(value["x-en"]))
        and ("x-check" not in value or _is_check(value["x-check"]))
        and ("x-max-length" not in value or _is_count(value["x-max-length"]))
    )


Rule = tuple[Callable[[object], bool], str]

FIELD_PROPERTIES: Mapping[str, Rule] = {
    "x-ja": (_is_text, "the item's Japanese name"),
    "x-romaji": (_is_text, "the item's romanised name"),
    "x-en": (_is_text, "the item's English name, where the field's own name reads badly"),
    "x-item-id": (_matches(_ITEM_ID), "a データ項目ID: 8 digits"),
    "x-sensitivity": (
        lambda value: value in list(Sensitivity),
        "one of " + ", ".join(Sensitivity),
    ),
    "x-form": (_matches(_FORM), "a type of 基本データリスト with its size, as N100, X6, DATE"),
    "x-check": (_is_check, "digits:<n> or one of " + ", ".join(sorted(CHECKS))),
    "x-codes": (_is_text, "the name of a code list"),
    "x-codes-in-a-row": (_is_count, "how many codes at most, 1 or more"),
    "x-max-length": (_is_count, "a number of characters, 1 or more"),
    "x-minimum": (_is_number, "a whole number"),
    "x-maximum": (_is_number, "a whole number"),
    "x-sum-of": (_is_texts, "the names of number fields beside this one"),
    "x-zero-when": (_is_text, "the name of a boolean field beside this one"),
    "x-not-before": (_is_text, "the name of a date field beside this one"),
    "x-sealed": (lambda value: value is True, "true, or absent"),
    "x-allow": (_is_texts, "a list of texts that pass although x-check refuses them"),
    "x-required-when": (_is_text, "the name of a boolean field beside this one"),
    "x-naming": (lambda value: value in ("own", "group", "joined"), "own, group or joined"),
}
RECORD_PROPERTIES: Mapping[str, Rule] = {
    "x-ja": (_is_text, "a Japanese name"),
    "x-naming": (lambda value: value in ("own", "joined"), "own or joined"),
}
STREAM_PROPERTIES: Mapping[str, Rule] = {
    **RECORD_PROPERTIES,
    "x-en": (_is_text, "the stream's English name, where its own name reads badly"),
    "x-subject": (_is_subject, "x-ja and x-romaji (and x-check, x-max-length) of the subject's id"),
    "x-event-types": (_is_texts, "a list of event types"),
    "x-internal": (lambda value: value is True, "true, or absent"),
    "x-providers": (_is_systems, "a list of the systems that publish the stream"),
    "x-persons": (_is_paths, "a list of paths to the ids of all persons the record is about"),
}


_BESIDE: tuple[tuple[str, Callable[[object], bool], str], ...] = (
    ("x-required-when", lambda t: t == "boolean", "the name of a boolean field beside this one"),
    ("x-zero-when", lambda t: t == "boolean", "the name of a boolean field beside this one"),
    ("x-sum-of", lambda t: t in ("int", "long"), "the names of number fields beside this one"),
    ("x-not-before", lambda t: t in ("date", _PARTIAL), "the name of a date field beside this one"),
)
"""Properties that name fields beside their own, and what those must be."""


def _plain(declared: object) -> object:
    """A field's type without null; a logical type by its own name."""
    if isinstance(declared, list):
        declared = next((arm for arm in declared if arm != "null"), None)
    if isinstance(declared, dict):
        return declared.get("logicalType", declared.get("type"))
    return declared


@dataclass(slots=True)
class _Check:
    """Walks one file; collects its faults and the names that it defines."""

    document: Document
    known_types: Set[str]
    known_codes: Set[str]
    faults: list[Fault] = field(default_factory=list)
    defined: set[str] = field(default_factory=set)

    def fault(self, code: str, place: KeyPath, expected: str) -> None:
        names = [part for part in place if isinstance(part, str)]
        found = self.document.value
        shown: list[str] = []
        for part in place:
            found = found[part] if _has(found, part) else None
            if isinstance(found, dict) and isinstance(part, int) and _is_text(found.get("name")):
                shown.append(found["name"])
        name = ".".join(shown) or (names[-1] if names else None)
        self.faults.append(self.document.fault(code, place, expected, field=name))

    def properties(
        self, value: Mapping[str, Any], place: KeyPath, rules: Mapping[str, Rule]
    ) -> None:
        for name, content in value.items():
            if not name.startswith("x-"):
                continue
            rule = rules.get(name)
            if rule is None:
                self.fault("property", (*place, name), "no such property here: " + ", ".join(rules))
            elif not rule[0](content):
                self.fault("property", (*place, name), f"{name}: {rule[1]}")

    def attributes(self, value: Mapping[str, Any], place: KeyPath, known: Set[str]) -> None:
        for name in value:
            if name not in known and not name.startswith("x-"):
                self.fault("attribute", (*place, name), "one of " + ", ".join(sorted(known)))

    def record(self, value: Mapping[str, Any], place: KeyPath, rules: Mapping[str, Rule]) -> None:
        self.attributes(value, place, {"type", "name", "namespace", "doc", "fields"})
        self.properties(value, place, rules)
        if not _is_text(value.get("x-ja")):
            self.fault("property", place, "x-ja: a Japanese name")
        self.define(value, place)
        fields = value.get("fields")
        if not isinstance(fields, list) or not fields:
            self.fault("fields", (*place, "fields"), "at least one field")
            return
        seen: set[str] = set()
        beside = {
            str(entry["name"]): entry.get("type")
            for entry in fields
            if isinstance(entry, dict) and "name" in entry
        }
        for index, entry in enumerate(fields):
            inside = (*place, "fields", index)
            if not isinstance(entry, dict):
                self.fault("field", inside, "an object with name and type")
                continue
            name = entry.get("name")
            if not _matches(_FIELD_NAME)(name) or len(str(name)) > _LONGEST_NAME:
                self.fault("name", (*inside, "name"), "a field name in snake case, 63 at most")
            elif name in seen:
                self.fault("duplicate-field", (*inside, "name"), "each field name once")
            seen.add(str(name))
            self.field(entry, inside, beside)

    def field(self, value: Mapping[str, Any], place: KeyPath, beside: Mapping[str, Any]) -> None:
        self.attributes(value, place, {"name", "type", "default", "doc"})
        self.properties(value, place, FIELD_PROPERTIES)
        for name in ("x-ja", "x-romaji"):
            if name not in value:
                self.fault("property", place, f"{name}: {FIELD_PROPERTIES[name][1]}")
        codes = value.get("x-codes")
        if _is_text(codes) and codes not in self.known_codes:
            known = ", ".join(sorted(self.known_codes)) or "none is known"
            self.fault("unknown-codes", (*place, "x-codes"), f"a code list: {known}")
        if "x-codes-in-a-row" in value and "x-codes" not in value:
            self.fault("property", (*place, "x-codes-in-a-row"), "x-codes beside it")
        for name, fits, expected in _BESIDE:
            named = value.get(name, ())
            for other in (named,) if isinstance(named, str) else _listed(named):
                if not fits(_plain(beside.get(other))):
                    self.fault("property", (*place, name), expected)
        if "type" not in value:
            self.fault("type", place, "a type")
            return
        self.type(value["type"], (*place, "type"))
        if "default" in value and not _fits(value["default"], value["type"]):
            self.fault("default", (*place, "default"), "a default of the field's (first) type")

    def type(self, value: object, place: KeyPath, *, in_union: bool = False) -> None:
        if isinstance(value, str):
            self.name(value, place)
        elif isinstance(value, list):
            others = [arm for arm in value if arm != "null"]
            if in_union or len(value) != 2 or len(others) != 1:
                self.fault("type", place, "a union of null and one other type")
            for index, arm in enumerate(value):
                if arm != "null":
                    self.type(arm, (*place, index), in_union=True)
        elif isinstance(value, dict):
            self.complex(value, place)
        else:
            self.fault("type", place, "a type's name, a union or an object")

    def name(self, value: str, place: KeyPath) -> None:
        if value in PRIMITIVES:
            return
        full = value if "." in value else f"{NAMESPACE}.{value}"
        if value == "null":
            self.fault("type", place, "a union of null and another type, not null alone")
        elif value in ("bytes", "fixed"):
            known = ", ".join(sorted(PRIMITIVES))
            self.fault("type", place, f"a type that every codec can do: {known}")
        elif full not in self.known_types and full not in self.defined:
            self.fault("unknown-type", place, "a primitive, or a type of schemas/types")

    def complex(self, value: Mapping[str, Any], place: KeyPath) -> None:
        kind = value.get("type")
        if kind == "record":
            self.record(value, place, RECORD_PROPERTIES)
        elif kind == "enum":
            self.enum(value, place)
        elif kind == "array":
            self.array(value, place)
        elif isinstance(kind, str) and kind in PRIMITIVES:
            self.attributes(value, place, {"type", "logicalType"})
            self.properties(value, place, {})
            logical = value.get("logicalType")
            if "logicalType" in value and (
                not isinstance(logical, str) or LOGICAL.get(logical) != kind
            ):
                known = ", ".join(f"{name} on {base}" for name, base in LOGICAL.items())
                self.fault("type", (*place, "logicalType"), f"one of {known}")
        else:
            known = ", ".join(sorted(PRIMITIVES | {"record", "enum", "array"}))
            self.fault("type", (*place, "type"), f"a type that every codec can do: {known}")

    def array(self, value: Mapping[str, Any], place: KeyPath) -> None:
        self.attributes(value, place, {"type", "items"})
        self.properties(value, place, {})
        items = value.get("items")
        if items is None:
            self.fault("type", place, "items: a type")
        elif isinstance(items, dict) and items.get("type") == "array":
            self.fault("type", (*place, "items"), "no list of lists: a view has no column for it")
        else:
            self.type(items, (*place, "items"))

    def enum(self, value: Mapping[str, Any], place: KeyPath) -> None:
        self.attributes(value, place, {"type", "name", "namespace", "doc", "symbols"})
        self.properties(value, place, {"x-ja": RECORD_PROPERTIES["x-ja"]})
        self.define(value, place)
        symbols = value.get("symbols")
        if (
            not isinstance(symbols, list)
            or not symbols
            or not all(_matches(_SYMBOL)(symbol) for symbol in symbols)
            or len(set(symbols)) != len(symbols)
        ):
            self.fault("symbols", (*place, "symbols"), "upper snake case symbols, each once")

    def define(self, value: Mapping[str, Any], place: KeyPath) -> None:
        name = value.get("name")
        if not _matches(_TYPE_NAME)(name):
            self.fault("name", (*place, "name"), "a type name as PersonName")
            return
        if value.get("namespace", NAMESPACE) != NAMESPACE:
            self.fault("namespace", (*place, "namespace"), NAMESPACE)
        full = f"{NAMESPACE}.{name}"
        if full in self.defined or (place and full in self.known_types):
            self.fault("duplicate-type", (*place, "name"), "each type name once")
        self.defined.add(full)


def check_type(document: Document, types: Set[str], codes: Set[str]) -> list[Fault]:
    """The faults of one file of ``schemas/types``, without looking at other files."""
    check = _Check(document, types, codes)
    if _is_record(check):
        check.record(document.value, (), RECORD_PROPERTIES)
    return check.faults


def check_stream(document: Document, stream: str, types: Set[str], codes: Set[str]) -> list[Fault]:
    """The faults of one version's file of *stream*, without looking at other files."""
    check = _Check(document, types, codes)
    if not _is_record(check):
        return check.faults
    value = document.value
    check.record(value, (), STREAM_PROPERTIES)
    wanted = record_name(stream)
    if value.get("name") != wanted:
        check.fault("name", ("name",), f"{wanted}, as the stream's folder says")
    if value.get("namespace") != NAMESPACE:
        check.fault("namespace", ("namespace",), NAMESPACE)
    if value.get("x-internal"):
        for name in ("x-subject", "x-event-types"):
            if name in value:
                check.fault("property", (name,), "none in an internal stream")
        return check.faults
    for name in ("x-subject", "x-event-types"):
        if name not in value:
            check.fault("property", (), f"{name}: {STREAM_PROPERTIES[name][1]}")
    for index, event_type in enumerate(_listed(value.get("x-event-types"))):
        if not _matches(_EVENT_TYPE)(event_type) or event_type.rpartition(".")[0] != stream:
            check.fault("event-type", ("x-event-types", index), f"{stream}.<past participle>")
        elif event_type in value["x-event-types"][:index]:
            check.fault("event-type", ("x-event-types", index), "each event type once")
    first = next(iter(_listed(value.get("fields"))), None)
    if not isinstance(first, dict) or (first.get("name"), first.get("type")) != (
        "header",
        f"{NAMESPACE}.Header",
    ):
        check.fault("header", ("fields", 0), f"first the field header of type {NAMESPACE}.Header")
    return check.faults


def record_name(stream: str) -> str:
    """The name of a stream's record: ``a_b.c`` is ``ABC`` with each part capitalised."""
    return "".join(part.capitalize() for part in re.split(r"[._]", stream))


def _is_record(check: _Check) -> bool:
    if isinstance(check.document.value, dict) and check.document.value.get("type") == "record":
        return True
    check.fault("type", (), "an Avro record")
    return False


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _has(value: object, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _fits(default: object, declared: object) -> bool:
    """Whether *default* is a value of the type, or of a union's first type."""
    if isinstance(declared, list):
        return bool(declared) and _fits(default, declared[0])
    if isinstance(declared, dict):
        kind = declared.get("type")
        if kind == "enum":
            return default in declared.get("symbols", ())
        if kind == "array":
            return default == []
        return _fits(default, kind)
    if declared == "boolean":
        return isinstance(default, bool)
    if isinstance(default, bool):
        return False
    if declared in ("int", "long"):
        limit = 2**31 if declared == "int" else 2**63
        return isinstance(default, int) and -limit <= default < limit
    kinds: dict[object, type | tuple[type, ...]] = {
        "string": str,
        "float": (int, float),
        "double": (int, float),
        "null": type(None),
    }
    return declared in kinds and isinstance(default, kinds[declared])
