"""Convert records between JSON, where dates and times are text, and the values that codecs take.

Dates are ``YYYY-MM-DD``, times RFC 3339 with their zone, enums their symbols. Used for single
records that people write: examples, and what tools show.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from bus.catalog.assemble import named_types
from bus.model import Fault, SchemaVersion

_WHOLE = {"int": 2**31, "long": 2**63}
_EXPECTED = {
    "string": "text",
    "boolean": "true or false",
    "int": "a whole number of 32 bits",
    "long": "a whole number of 64 bits",
    "float": "a number",
    "double": "a number",
    "date": "a calendar date, YYYY-MM-DD",
    "timestamp-millis": "a time with its zone, RFC 3339",
    "timestamp-micros": "a time with its zone, RFC 3339",
}


def from_json(version: SchemaVersion, value: Any) -> tuple[dict[str, Any], list[Fault]]:
    """*value* with its dates and times parsed and defaults filled in, and every fault found."""
    reading = _FromJson(dict(named_types(version.schema)))
    found = reading.record(version.schema, value, "")
    return found if isinstance(found, dict) else {}, reading.faults


def to_json(value: Any) -> Any:
    """The inverse of :func:`from_json`, of a record that a codec has decoded."""
    if isinstance(value, dict):
        return {name: to_json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [to_json(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value


class _FromJson:
    def __init__(self, types: Mapping[str, Mapping[str, Any]]) -> None:
        self._types = types
        self.faults: list[Fault] = []

    def record(self, schema: Mapping[str, Any], value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return self._unfit("type", "an object", path)
        found = {}
        for entry in schema["fields"]:
            name = entry["name"]
            inner = f"{path}.{name}" if path else name
            if name in value:
                found[name] = self.value(entry["type"], value[name], inner)
            elif "default" in entry:
                found[name] = entry["default"]
            else:
                self._unfit("missing", "a value", inner)
        for name in value:
            if name not in {entry["name"] for entry in schema["fields"]}:
                inner = f"{path}.{name}" if path else name
                self._unfit("unknown-field", "only fields of the newest schema", inner)
        return found

    def value(self, declared: Any, value: Any, path: str) -> Any:
        if isinstance(declared, list):
            if value is None:
                return None
            declared = next(arm for arm in declared if arm != "null")
        schema = self._types.get(declared, declared) if isinstance(declared, str) else declared
        if isinstance(schema, str):
            return self._plain(schema, value, path)
        if schema["type"] == "record":
            return self.record(schema, value, path)
        if schema["type"] == "enum":
            if value in schema["symbols"]:
                return value
            return self._unfit("code-list", "one of " + ", ".join(schema["symbols"]), path)
        if schema["type"] == "array":
            if not isinstance(value, list):
                return self._unfit("type", "a list", path)
            return [self.value(schema["items"], entry, path) for entry in value]
        return self._plain(schema.get("logicalType", schema["type"]), value, path)

    def _plain(self, kind: str, value: Any, path: str) -> Any:
        if kind == "string" and isinstance(value, str):
            return value
        if kind == "boolean" and isinstance(value, bool):
            return value
        if kind in _WHOLE and type(value) is int and -_WHOLE[kind] <= value < _WHOLE[kind]:
            return value
        if kind in ("float", "double") and type(value) in (int, float):
            return float(value)
        if kind == "date" and isinstance(value, str):
            try:
                return date.fromisoformat(value)
            except ValueError:
                return self._unfit("date", _EXPECTED[kind], path)
        if kind.startswith("timestamp-") and isinstance(value, str):
            try:
                found = datetime.fromisoformat(value)
            except ValueError:
                found = None
            if found is not None and found.tzinfo is not None:
                return found
        return self._unfit("type", _EXPECTED[kind], path)

    def _unfit(self, code: str, expected: str, path: str) -> None:
        self.faults.append(Fault(code=code, expected=expected, field=path or None))
