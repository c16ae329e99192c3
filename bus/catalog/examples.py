"""Examples of each stream: events that must pass the checks, and events that must fail, and why.

``examples/valid/<name>.json`` is one event as JSON. ``examples/invalid/<name>.json`` says what is
done to a valid one, and which faults that must give:

    {"based_on": "moved_in", "with": {"sex": "7"}, "without": [],
     "expected": [{"code": "code-list", "field": "sex"}]}

``with`` and ``without`` name items by dotted path. Who judges an event is handed in: the checks
of publishing stand above the catalogue.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.catalog.documents import Document, read
from bus.catalog.load import Catalog
from bus.model import Fault, Stream

Expected = frozenset[tuple[str, str | None]]
Judge = Callable[[Stream, Any], list[Fault]]
"""Every fault of an event of a stream, as JSON has it."""

_KEYS = {"based_on", "with", "without", "expected"}


@dataclass(frozen=True, slots=True)
class Example:
    """One event, and the faults it must have: (code, field) each; none for a valid one."""

    stream: Stream
    file: str
    value: Any
    expected: Expected = frozenset()


def read_examples(catalog: Catalog) -> tuple[list[Example], list[Fault]]:
    """Every example, and what is wrong with the files. Each stream must have both kinds."""
    reader = _ExampleReader(catalog.folder)
    for stream in catalog.streams.values():
        reader.stream(stream)
    return reader.examples, reader.faults


def check_examples(catalog: Catalog, judge: Judge) -> list[Fault]:
    """Faults of the example files, and of examples that are not judged as they say."""
    examples, faults = read_examples(catalog)
    for example in examples:
        found = {(f.code, f.field) for f in judge(example.stream, example.value) if f.is_error}
        for code, path in sorted(found - example.expected, key=str):
            expected = f"the example to pass, but the check says {code}"
            faults.append(
                Fault(code="example-refused", expected=expected, file=example.file, field=path)
            )
        for code, path in sorted(example.expected - found, key=str):
            expected = f"the check to say {code}, but it does not"
            faults.append(
                Fault(code="example-passes", expected=expected, file=example.file, field=path)
            )
    return faults


class _ExampleReader:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.examples: list[Example] = []
        self.faults: list[Fault] = []

    def stream(self, stream: Stream) -> None:
        folder = self._folder / "streams" / stream.name / "examples"
        valid: dict[str, Any] = {}
        for path, document in self._documents(folder / "valid"):
            valid[path.stem] = document.value
            self.examples.append(Example(stream, document.file, document.value))
        invalid = self._documents(folder / "invalid")
        for _, document in invalid:
            self._invalid(stream, document, valid)
        if not valid or not invalid:
            expected = "an example in valid and one in invalid, at least"
            shown = str(folder.relative_to(self._folder))
            self.faults.append(Fault(code="no-example", expected=expected, file=shown))

    def _documents(self, folder: Path) -> list[tuple[Path, Document]]:
        found: list[tuple[Path, Document]] = []
        for path in sorted(folder.glob("*.json")):
            document, faults = read(path, str(path.relative_to(self._folder)))
            self.faults += faults
            if document is not None:
                found.append((path, document))
        return found

    def _invalid(self, stream: Stream, document: Document, valid: Mapping[str, Any]) -> None:
        value = document.value
        if not isinstance(value, dict) or not {"based_on", "expected"} <= set(value) <= _KEYS:
            expected = "an object with based_on, expected, and with or without"
            self.faults.append(document.fault("example", (), expected))
            return
        if value["based_on"] not in valid:
            expected = "the name of a valid example of this stream"
            self.faults.append(document.fault("example", ("based_on",), expected))
            return
        expected_faults = _expected(value["expected"])
        if not expected_faults:
            expected = "at least one object with code and field"
            self.faults.append(document.fault("example", ("expected",), expected))
            return
        changed = copy.deepcopy(valid[value["based_on"]])
        for path, content in value.get("with", {}).items():
            if not _put(changed, path.split("."), content):
                expected = "a dotted path that the valid example has"
                self.faults.append(document.fault("example", ("with", path), expected))
        for index, path in enumerate(value.get("without", [])):
            if not _drop(changed, path.split(".")):
                expected = "a dotted path that the valid example has"
                self.faults.append(document.fault("example", ("without", index), expected))
        self.examples.append(Example(stream, document.file, changed, expected_faults))


def _expected(value: Any) -> Expected:
    if not isinstance(value, list) or not all(
        isinstance(entry, dict) and {"code"} <= set(entry) <= {"code", "field"} for entry in value
    ):
        return frozenset()
    return frozenset((entry["code"], entry.get("field")) for entry in value)


def _around(value: Any, path: list[str]) -> Any:
    for part in path[:-1]:
        inner = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            inner = value[int(part)]
        value = inner
    return value


def _put(value: Any, path: list[str], content: Any) -> bool:
    around = _around(value, path)
    if not isinstance(around, dict):
        return False
    around[path[-1]] = content
    return True


def _drop(value: Any, path: list[str]) -> bool:
    around = _around(value, path)
    if not isinstance(around, dict) or path[-1] not in around:
        return False
    del around[path[-1]]
    return True
