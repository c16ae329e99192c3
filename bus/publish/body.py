"""Turn a JSON body into a row that fits a stream's schema, or into every reason why it cannot.

A body is the subject's whole state: an item without a default must be there, one with a default
may be left out. JSON's types are taken as they are; nothing is guessed (``"1"`` is no number,
``1`` no text). A date that no calendar has (2023-02-29) in an item that allows for it moves into
the item's text, and the checks report it as a warning; elsewhere it is a fault.

Where something does not fit the row has None, so that the checks over columns can still say
everything else about the record; such a row is never sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bus.model import Fault, Stream
from bus.model.change import calendar_date, with_odd_date_as_text
from bus.publish.parse import shown
from bus.publish.shape import Node, tree_of

_SURROGATE = re.compile("[\ud800-\udfff]")
_BITS = {"int": 31, "long": 63}

Fit = Callable[[Any, list[Fault], int], Any]
"""A value, where faults go, the record's index in its change: what the row holds."""


class Fitter:
    """Fits bodies to one stream's schema. Made once; safe to share."""

    def __init__(self, stream: Stream) -> None:
        self._fields: dict[str, tuple[Node, Fit]] = {
            child.name: (child, _fit_of(child))
            for child in tree_of(stream).children
            if child.name != "header"
        }

    def fit(self, body: Mapping[str, Any], record: int) -> tuple[dict[str, Any], list[Fault]]:
        """The fields below the header, and a fault for each value that does not fit."""
        faults: list[Fault] = []
        return _fit_fields(self._fields, "", body, faults, record), faults


def has_surrogate(value: str) -> bool:
    """Whether *value* holds half of a surrogate pair, which JSON can write and UTF-8 cannot."""
    return not value.isascii() and _SURROGATE.search(value) is not None


def _fit_fields(
    fields: Mapping[str, tuple[Node, Fit]],
    above: str,
    value: Mapping[str, Any],
    faults: list[Fault],
    record: int,
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, (node, fit) in fields.items():
        if name in value:
            row[name] = fit(value[name], faults, record)
        elif node.is_required:
            faults.append(_fault("missing", "a value", node, record))
            row[name] = None
        else:
            row[name] = node.default
    if len(value) > len(fields) or any(name not in fields for name in value):
        for name in value:
            if name not in fields:
                path = f"{above}.{shown(name)}" if above else shown(name)
                expected = "only fields of the stream's newest schema"
                faults.append(
                    Fault(code="unknown-field", expected=expected, record=record, field=path)
                )
    return row


def _fit_of(node: Node) -> Fit:
    """The function that fits a value of *node*."""
    fit = _FITS[node.kind](node)
    if node.is_nullable:
        return lambda value, faults, record: None if value is None else fit(value, faults, record)
    return fit


def _fit_record(node: Node) -> Fit:
    fields = {child.name: (child, _fit_of(child)) for child in node.children}

    def fit(value: Any, faults: list[Fault], record: int) -> Any:
        if not isinstance(value, dict):
            return _unfit("an object", node, faults, record)
        if node.is_partial_date:
            value = with_odd_date_as_text(value)
        return _fit_fields(fields, node.path, value, faults, record)

    return fit


def _fit_array(node: Node) -> Fit:
    assert node.element is not None  # an array has one
    element = _fit_of(node.element)

    def fit(value: Any, faults: list[Fault], record: int) -> Any:
        if not isinstance(value, list):
            return _unfit("a list", node, faults, record)
        return [element(entry, faults, record) for entry in value]

    return fit


def _fit_string(node: Node) -> Fit:
    def fit(value: Any, faults: list[Fault], record: int) -> Any:
        if not isinstance(value, str):
            return _unfit("text", node, faults, record)
        if has_surrogate(value):
            faults.append(_fault("encoding", "whole characters", node, record))
            return None
        return value

    return fit


def _fit_integer(node: Node) -> Fit:
    most = 2 ** _BITS[node.kind]

    def fit(value: Any, faults: list[Fault], record: int) -> Any:
        if type(value) is not int or not -most <= value < most:
            return _unfit(f"a whole number of {_BITS[node.kind] + 1} bits", node, faults, record)
        return value

    return fit


def _fit_number(node: Node) -> Fit:
    def fit(value: Any, faults: list[Fault], record: int) -> Any:
        try:
            found = float(value) if type(value) in (int, float) else math.nan
        except OverflowError:  # JSON's whole numbers have no end
            found = math.inf
        if not math.isfinite(found):
            return _unfit("a number", node, faults, record)
        return found

    return fit


def _fit_boolean(node: Node) -> Fit:
    def fit(value: Any, faults: list[Fault], record: int) -> Any:
        if not isinstance(value, bool):
            return _unfit("true or false", node, faults, record)
        return value

    return fit


def _fit_date(node: Node) -> Fit:
    def fit(value: Any, faults: list[Fault], record: int) -> Any:
        found = calendar_date(value) if isinstance(value, str) else None
        if found is None:
            return _unfit("a calendar date, YYYY-MM-DD", node, faults, record, "date")
        return found

    return fit


def _fit_timestamp(node: Node) -> Fit:
    def fit(value: Any, faults: list[Fault], record: int) -> Any:
        try:
            found = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            found = None
        if found is None or found.tzinfo is None:
            return _unfit("a time with its zone (RFC 3339)", node, faults, record)
        return found

    return fit


def _fit_enum(node: Node) -> Fit:
    def fit(value: Any, faults: list[Fault], record: int) -> Any:
        if value not in node.symbols:
            expected = "one of " + ", ".join(node.symbols)
            return _unfit(expected, node, faults, record, "code-list")
        return value

    return fit


_FITS: Mapping[str, Callable[[Node], Fit]] = {
    "record": _fit_record,
    "array": _fit_array,
    "string": _fit_string,
    "int": _fit_integer,
    "long": _fit_integer,
    "float": _fit_number,
    "double": _fit_number,
    "boolean": _fit_boolean,
    "date": _fit_date,
    "timestamp": _fit_timestamp,
    "enum": _fit_enum,
}


def _unfit(expected: str, node: Node, faults: list[Fault], record: int, code: str = "type") -> None:
    faults.append(_fault(code, expected, node, record))


def _fault(code: str, expected: str, node: Node, record: int) -> Fault:
    return Fault(code=code, expected=expected, record=record, field=node.path, item=node.ja or None)
