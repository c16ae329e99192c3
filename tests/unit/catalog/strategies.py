"""Hypothesis strategies: values of any schema that the catalogue admits, and such schemas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from bus.catalog.assemble import named_types

AWKWARD = [
    "", "葛󠄀城", "𠮷野家", "髙", "\x00", "a\x00b", "\ue000\uf8ff", "\U000f0000", "か\u3099が",
    "ﾊﾝｶｸ", 'say "hi"', "line\r\nbreak", "007", "=1+1", "\u202e", "\ufeff", "🏳️‍🌈",
]  # fmt: skip
texts = st.sampled_from(AWKWARD) | st.text(max_size=40)

_PLAIN: Mapping[str, st.SearchStrategy[Any]] = {
    "string": texts,
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "date": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "timestamp-millis": st.datetimes(
        datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)  # noqa: DTZ001
    ).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
    "timestamp-micros": st.datetimes(
        datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)  # noqa: DTZ001
    ),
}  # fmt: skip


def values_of(schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any event of a self-contained schema."""
    return _of(schema, dict(named_types(schema)))


def _of(declared: Any, types: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if isinstance(declared, list):
        inner = next(arm for arm in declared if arm != "null")
        return st.none() | _of(inner, types)
    schema = types.get(declared, declared) if isinstance(declared, str) else declared
    if isinstance(schema, str):
        return _PLAIN[schema]
    if schema["type"] == "record":
        return st.fixed_dictionaries(
            {entry["name"]: _of(entry["type"], types) for entry in schema["fields"]}
        )
    if schema["type"] == "enum":
        return st.sampled_from(schema["symbols"])
    if schema["type"] == "array":
        return st.lists(_of(schema["items"], types), max_size=3)
    return _PLAIN[schema.get("logicalType", schema["type"])]


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """A record of any shape that the catalogue admits."""
    return _Drawing(draw).record(0)


class _Drawing:
    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._names = 0
        self._defined: list[str] = []

    def name(self) -> str:
        self._names += 1
        return f"T{self._names}"

    def record(self, depth: int) -> dict[str, Any]:
        name = self.name()
        fields = []
        for number in range(self._draw(st.integers(1, 4))):
            fields.append({"name": f"f{number}", "type": self.type(depth)})
        self._defined.append(f"jp.renkei.{name}")
        return {"type": "record", "name": name, "namespace": "jp.renkei", "fields": fields}

    def type(self, depth: int) -> Any:
        inner = self.single(depth)
        return ["null", inner] if self._draw(st.booleans()) else inner

    def single(self, depth: int) -> Any:
        kinds = [*_PLAIN, "enum"]
        if depth < 3:
            kinds += ["record", "array", "named"]
        kind = self._draw(st.sampled_from(kinds))
        if kind == "named" and self._defined:
            return self._draw(st.sampled_from(self._defined))
        if kind == "record" or kind == "named":
            return self.record(depth + 1)
        if kind == "array":
            before = len(self._defined)
            items = self.type(depth + 1)
            is_array = isinstance(items, dict) and items["type"] == "array"
            if is_array or (
                isinstance(items, list)
                and isinstance(items[1], dict)
                and items[1]["type"] == "array"
            ):
                items = "string"
                del self._defined[before:]  # nobody may name what is not written out
            return {"type": "array", "items": items}
        if kind == "enum":
            name = self.name()
            self._defined.append(f"jp.renkei.{name}")
            return {"type": "enum", "name": name, "symbols": ["A", "B_C", "D1"]}
        if "-" in kind or kind == "date":
            return {"type": "int" if kind == "date" else "long", "logicalType": kind}
        return kind
