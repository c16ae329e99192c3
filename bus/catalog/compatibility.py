"""Whether one version of a schema can read what another wrote.

Streams are FULL_TRANSITIVE: every version reads every other, both ways. The judgement is our
own so that a refusal can name the field; tests hold it against real decoding and against the
registry's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bus.catalog.assemble import named_types

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason why a reader could not read: the dotted path, and why."""

    path: str
    why: str


def can_read(reader: Mapping[str, Any], writer: Mapping[str, Any]) -> list[Incompatibility]:
    """Reasons why *reader* could not decode what *writer* wrote; empty if none.

    Both are self-contained schemas of the types that the catalogue admits. Stricter than Avro
    in one thing: a logical type may not change, because a number that is read in another unit
    is read wrong.

    Returns:
        One entry per offending field, outermost first. Order is stable.

    Source: Avro specification 1.12, "Schema Resolution".
    """
    return _Resolution(dict(named_types(reader)), dict(named_types(writer))).match(
        reader, writer, "", ()
    )


@dataclass(frozen=True, slots=True)
class _Resolution:
    reader_types: Mapping[str, Mapping[str, Any]]
    writer_types: Mapping[str, Mapping[str, Any]]

    def match(
        self, reader: Any, writer: Any, path: str, inside: tuple[tuple[str, str], ...]
    ) -> list[Incompatibility]:
        reader = _resolved(reader, self.reader_types)
        writer = _resolved(writer, self.writer_types)
        if isinstance(writer, list):
            found: list[Incompatibility] = []
            for arm in writer:
                found += self.match(reader, arm, path, inside)
            return found
        if isinstance(reader, list):
            arms = [self.match(arm, writer, path, inside) for arm in reader]
            if any(not arm for arm in arms):
                return []
            same = [
                faults
                for arm, faults in zip(reader, arms, strict=True)
                if _kind(_resolved(arm, self.reader_types)) == _kind(writer)
            ]
            return same[0] if same else [Incompatibility(path, f"it has no {_kind(writer)}")]
        return self._plain(reader, writer, path, inside)

    def _plain(
        self, reader: Any, writer: Any, path: str, inside: tuple[tuple[str, str], ...]
    ) -> list[Incompatibility]:
        kind, written = _kind(reader), _kind(writer)
        if kind != written:
            if (
                kind in _PROMOTIONS.get(written, ())
                and not _logical(reader)
                and not _logical(writer)
            ):
                return []
            return [Incompatibility(path, f"{written} cannot be read as {kind}")]
        if _logical(reader) != _logical(writer):
            was, now = _logical(writer) or written, _logical(reader) or kind
            return [Incompatibility(path, f"{was} would be read as {now}")]
        if kind == "record":
            return self._record(reader, writer, path, inside)
        if kind == "enum":
            return self._enum(reader, writer, path)
        if kind == "array":
            return self.match(reader["items"], writer["items"], path, inside)
        return []

    def _record(
        self,
        reader: Mapping[str, Any],
        writer: Mapping[str, Any],
        path: str,
        inside: tuple[tuple[str, str], ...],
    ) -> list[Incompatibility]:
        if reader["name"] != writer["name"]:
            return [Incompatibility(path, "the record has another name")]
        pair = (reader["name"], writer["name"])
        if pair in inside:
            return []
        written = {entry["name"]: entry for entry in writer["fields"]}
        found: list[Incompatibility] = []
        for entry in reader["fields"]:
            inner = f"{path}.{entry['name']}" if path else entry["name"]
            if entry["name"] in written:
                other = written[entry["name"]]["type"]
                found += self.match(entry["type"], other, inner, (*inside, pair))
            elif "default" not in entry:
                found.append(Incompatibility(inner, "it was not written and has no default"))
        return found

    @staticmethod
    def _enum(
        reader: Mapping[str, Any], writer: Mapping[str, Any], path: str
    ) -> list[Incompatibility]:
        if reader["name"] != writer["name"]:
            return [Incompatibility(path, "the enum has another name")]
        if "default" in reader or set(writer["symbols"]) <= set(reader["symbols"]):
            return []
        return [Incompatibility(path, "it lacks a symbol that may have been written")]


def _resolved(schema: Any, types: Mapping[str, Mapping[str, Any]]) -> Any:
    return types.get(schema, schema) if isinstance(schema, str) else schema


def _kind(schema: Any) -> str:
    return str(schema if isinstance(schema, str) else schema["type"])


def _logical(schema: Any) -> str | None:
    return schema.get("logicalType") if isinstance(schema, dict) else None
