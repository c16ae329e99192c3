"""Read reviewed files into values that know their line numbers, so that a fault can name one.

JSON is read by a small scanner of its own because the standard one forgets positions and lets a
repeated key pass; YAML by PyYAML's nodes. Whatever is wrong with a file as a file (encoding,
byte-order mark, syntax, repeated keys) is a fault; nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bus.model import Fault
from bus.yamltext import MOST_BYTES, PlainLoader, expectation

KeyPath = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\n\r]*")
_WORD = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")
_STRINGS = json.JSONDecoder()
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Document:
    """The content of one file. ``lines`` maps each place inside it to its line, counted from 1."""

    file: str
    value: Any
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def line(self, place: KeyPath) -> int:
        """The line of *place*, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def fault(self, code: str, place: KeyPath, expected: str, *, field: str | None = None) -> Fault:
        """A fault of this file at *place*."""
        return Fault(
            code=code, expected=expected, file=self.file, line=self.line(place), field=field
        )


def read(path: Path, shown: str) -> tuple[Document | None, list[Fault]]:
    """Read a ``.yaml`` file as YAML and any other file as JSON.

    Args:
        path: Where the file is.
        shown: How faults call it.

    Returns:
        The document, or None if it cannot be used at all, and its faults.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError:
        return None, [Fault(code="unreadable", expected="a file that can be read", file=shown)]
    return parse(data, shown, is_yaml=path.suffix == ".yaml")


def parse(data: bytes, shown: str, *, is_yaml: bool) -> tuple[Document | None, list[Fault]]:
    """As :func:`read`, from the text of a file."""
    if len(data) > MOST_BYTES:
        return None, [Fault(code="too-large", expected=f"{MOST_BYTES:,} bytes at most", file=shown)]
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        expected = "UTF-8 without a byte-order mark"
        return None, [Fault(code="encoding", expected=expected, file=shown, line=1)]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, [Fault(code="encoding", expected="UTF-8", file=shown, line=line)]
    return _read_yaml(text, shown) if is_yaml else _read_json(text, shown)


class _Syntax(Exception):
    """The text breaks JSON's grammar at a position."""

    def __init__(self, expected: str, position: int) -> None:
        super().__init__(expected)
        self.expected = expected
        self.position = position


class _Scanner:
    """RFC 8259 JSON by recursive descent; keeps the line of each value and repeated key."""

    def __init__(self, text: str, shown: str) -> None:
        self._text = text
        self._shown = shown
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self.lines: dict[KeyPath, int] = {}
        self.faults: list[Fault] = []

    def line(self, position: int) -> int:
        low, high = 0, len(self._breaks)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._breaks[middle] < position else (low, middle)
        return low + 1

    def document(self) -> Any:
        value, end = self._value(self._skip(0), ())
        if (end := self._skip(end)) != len(self._text):
            raise _Syntax("nothing after the JSON value", end)
        return value

    def _skip(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        return match.end() if match else position

    def _value(self, position: int, place: KeyPath) -> tuple[Any, int]:
        self.lines.setdefault(place, self.line(position))
        if len(place) > _DEEPEST:
            raise _Syntax(f"at most {_DEEPEST} levels", position)
        start = self._text[position : position + 1]
        if start == "{":
            return self._object(position, place)
        if start == "[":
            return self._array(position, place)
        if start == '"':
            return self._string(position)
        match = _WORD.match(self._text, position)
        if match is None:
            raise _Syntax("a JSON value", position)
        try:
            return json.loads(match.group()), match.end()
        except ValueError as error:  # a leading zero, or more digits than Python takes
            raise _Syntax("a JSON number", position) from error

    def _string(self, position: int) -> tuple[str, int]:
        try:
            text, end = _STRINGS.raw_decode(self._text, position)
        except json.JSONDecodeError as error:
            raise _Syntax("a whole JSON string", error.pos) from error
        return str(text), end

    def _object(self, position: int, place: KeyPath) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        position = self._skip(position + 1)
        while self._text[position : position + 1] != "}":
            if found:
                position = self._expect(",", position, "a comma or the end of the object")
            if self._text[position : position + 1] != '"':
                raise _Syntax("a key in double quotes", position)
            key, end = self._string(position)
            if key in found:
                line = self.line(position)
                self.faults.append(
                    Fault(code="repeated-key", expected="each key once", file=self._shown,
                          line=line, field=_dotted((*place, key)))
                )  # fmt: skip
            self.lines[(*place, key)] = self.line(position)
            end = self._expect(":", self._skip(end), "a colon after the key")
            found[key], position = self._value(end, (*place, key))
            position = self._skip(position)
        return found, position + 1

    def _array(self, position: int, place: KeyPath) -> tuple[list[Any], int]:
        found: list[Any] = []
        position = self._skip(position + 1)
        while self._text[position : position + 1] != "]":
            if found:
                position = self._expect(",", position, "a comma or the end of the array")
            value, position = self._value(position, (*place, len(found)))
            found.append(value)
            position = self._skip(position)
        return found, position + 1

    def _expect(self, sign: str, position: int, expected: str) -> int:
        if self._text[position : position + 1] != sign:
            raise _Syntax(expected, position)
        return self._skip(position + 1)


def _read_json(text: str, shown: str) -> tuple[Document | None, list[Fault]]:
    scanner = _Scanner(text, shown)
    try:
        value = scanner.document()
    except _Syntax as error:
        line = scanner.line(error.position)
        return None, [
            *scanner.faults,
            Fault(code="syntax", expected=error.expected, file=shown, line=line),
        ]
    return Document(shown, value, scanner.lines), scanner.faults


def _read_yaml(text: str, shown: str) -> tuple[Document | None, list[Fault]]:
    lines: dict[KeyPath, int] = {}
    faults: list[Fault] = []
    try:
        loader = PlainLoader(text)
    except yaml.YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        return None, [Fault(code="syntax", expected="YAML", file=shown, line=line)]
    try:
        node = loader.get_single_node()
        if node is None:
            return None, [Fault(code="syntax", expected="content", file=shown, line=1)]
        _walk_yaml(node, (), lines, faults, shown)
        value = loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        return None, [Fault(code="syntax", expected=expectation(error), file=shown, line=line)]
    finally:
        loader.dispose()
    return Document(shown, value, lines), faults


def _walk_yaml(
    node: yaml.Node, place: KeyPath, lines: dict[KeyPath, int], faults: list[Fault], shown: str
) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if len(place) > _DEEPEST:
        raise yaml.YAMLError("too deep")
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _walk_yaml(child, (*place, index), lines, faults, shown)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            inner = (*place, str(key.value))
            line = key.start_mark.line + 1
            if inner in lines:
                faults.append(
                    Fault(code="repeated-key", expected="each key once", file=shown, line=line,
                          field=_dotted(inner))
                )  # fmt: skip
            lines[inner] = line
            _walk_yaml(child, inner, lines, faults, shown)


def _dotted(place: KeyPath) -> str:
    return ".".join(str(part) for part in place)
