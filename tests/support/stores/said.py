"""What somebody holds who takes in what was handed over, in the order of its coming."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from bus.model import Keeping, View

Row = dict[str, Any]


def held(messages: Iterable[Mapping[str, Any]], view: View) -> list[Row]:
    """The rows of *view*: the newest version of each, but for whom was erased.

    A message has ``rows``, ``erased``, and ``is_anew`` if its rows are of versions that are held.
    """
    rows: dict[tuple[Any, ...], Row] = {}
    for message in messages:
        for key in message["erased"]:
            rows.pop(tuple(key.split("/", 1)), None)
        for said in message["rows"]:
            row = {f.name: _value(said.get(f.name), f.type) for f in view.schema}
            key = tuple(row[name] for name in view.key)
            before = rows.get(key)
            if message["is_anew"]:
                is_taken = before is not None and before["version"] == row["version"]
            else:
                is_state = view.keeping is Keeping.STATE
                is_taken = before is None or (is_state and before["version"] < row["version"])
            if is_taken:
                rows[key] = row
    return [rows[key] for key in sorted(rows)]


def _value(said: Any, kind: pa.DataType) -> Any:
    """What JSON said, as Python has it."""
    if said is None:
        return None
    if isinstance(kind, pa.ListType):
        return [_value(each, kind.value_type) for each in said]
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(said)
    if pa.types.is_date(kind):
        return date.fromisoformat(said)
    return said
