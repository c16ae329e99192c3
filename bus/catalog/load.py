"""Read the folder of schemas: a catalogue if it has no fault, else every fault at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.catalog import rules
from bus.catalog.assemble import Recursive, assemble, items_of
from bus.catalog.codes import CodeList, read_list
from bus.catalog.compatibility import can_read
from bus.catalog.documents import Document, read
from bus.catalog.single import fingerprint_of
from bus.catalog.systems import read_systems
from bus.errors import FilesRefused, SchemaUnknown
from bus.model import Fault, Item, SchemaVersion, Sensitivity, Stream, System

SHIPPED = Path(__file__).resolve().parents[2] / "schemas"
SYSTEMS = "systems.yaml"
RELEASED = "released.yaml"  # fingerprints of versions that events have been written with
INDIVIDUAL_NUMBERS = "individual_number"  # the one stream that may hold what is restricted

_STREAM_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")
_VERSION_FILE = re.compile(r"v([1-9][0-9]*)\.avsc")
_TYPE_FILE = re.compile(r"[a-z][a-z0-9_]*\.avsc")


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every stream, code list and listed system; immutable. Finds schemas by fingerprint."""

    streams: Mapping[str, Stream]
    codes: Mapping[str, CodeList]
    systems: Mapping[str, System]  # in the order of the list
    folder: Path
    _versions: Mapping[str, SchemaVersion] = field(repr=False)

    def stream(self, name: str) -> Stream:
        """The stream of that name.

        Raises:
            SchemaUnknown: There is none.
        """
        try:
            return self.streams[name]
        except KeyError:
            raise SchemaUnknown("there is no such stream", stream=name) from None

    def by_topic(self, topic: str) -> Stream:
        """The stream that *topic* carries.

        Raises:
            SchemaUnknown: It carries none.
        """
        for stream in self.streams.values():
            if stream.topic == topic:
                return stream
        raise SchemaUnknown("no stream has this topic", topic=topic)

    def by_fingerprint(self, fingerprint: str) -> SchemaVersion | None:
        """The schema version whose canonical form has that SHA-256; None if unknown."""
        return self._versions.get(fingerprint)


def load(folder: Path | None = None) -> Catalog:
    """The catalogue in *folder*, by default the one shipped.

    Raises:
        FilesRefused: Something is wrong; ``faults`` has all of it.
    """
    found = _FolderReader(SHIPPED if folder is None else folder)
    found.all()
    if found.faults:
        raise FilesRefused("the schema files have faults", found.faults, count=len(found.faults))
    versions = {
        version.fingerprint: version
        for stream in found.streams.values()
        for version in stream.versions
    }
    return Catalog(found.streams, found.codes, found.systems, found.folder, versions)


def check(folder: Path | None = None) -> list[Fault]:
    """Every fault of the schema files in *folder*, in the order of the files."""
    found = _FolderReader(SHIPPED if folder is None else folder)
    found.all()
    return found.faults


class _FolderReader:
    """Reads one folder once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[Fault] = []
        self.codes: dict[str, CodeList] = {}
        self.types: dict[str, Document] = {}
        self.streams: dict[str, Stream] = {}
        self.systems: dict[str, System] = {}
        self._code_names: set[str] = set()

    def all(self) -> None:
        if not (self.folder / "streams").is_dir():
            expected = "a folder with streams, types and codes"
            self.faults.append(Fault(code="folder", expected=expected, file=str(self.folder)))
            return
        self._read_systems()
        self._read_codes()
        self._read_types()
        for folder in sorted((self.folder / "streams").iterdir()):
            if not folder.name.startswith("."):
                self._read_stream(folder)
        self._check_fingerprints()
        self._check_released()

    def _document(self, path: Path) -> Document | None:
        document, faults = read(path, str(path.relative_to(self.folder)))
        self.faults += faults
        return document

    def _files(self, name: str, pattern: str) -> Iterator[Path]:
        folder = self.folder / name
        return iter(sorted(folder.glob(pattern))) if folder.is_dir() else iter(())

    def _read_systems(self) -> None:
        if (document := self._document(self.folder / SYSTEMS)) is not None:
            self.systems, faults = read_systems(document)
            self.faults += faults

    def _read_codes(self) -> None:
        for path in self._files("codes", "*.yaml"):
            self._code_names.add(path.stem)
            if (document := self._document(path)) is not None:
                found, faults = read_list(document, path.stem)
                self.faults += faults
                if found is not None:
                    self.codes[found.name] = found

    def _read_types(self) -> None:
        documents = []
        for path in self._files("types", "*.avsc"):
            if not _TYPE_FILE.fullmatch(path.name):
                self._fault_of_file(path, "name", "a file name in snake case")
            if (document := self._document(path)) is not None:
                documents.append((rules.record_name(path.stem), document))
        names = {f"{rules.NAMESPACE}.{name}" for name, _ in documents}
        for name, document in documents:
            faults = rules.check_type(document, names, self._code_names)
            self.faults += faults
            if not faults and document.value["name"] != name:
                self.faults.append(document.fault("name", ("name",), f"{name}, as the file says"))
            elif not faults:
                self.types[f"{rules.NAMESPACE}.{name}"] = document
        self._type_names = names

    def _read_stream(self, folder: Path) -> None:
        if not folder.is_dir() or not _STREAM_NAME.fullmatch(folder.name):
            self._fault_of_file(folder, "name", "a folder named as a stream, in snake case")
            return
        numbered = self._versions_in(folder)
        versions: list[SchemaVersion] = []
        documents: list[Document] = []
        items: list[Item] = []
        for number, path in numbered:
            document = self._document(path)
            if document is None:
                return
            faults = rules.check_stream(document, folder.name, self._type_names, self._code_names)
            faults = faults or self._unknown_providers(document)
            self.faults += faults
            if faults or set(self.types) != self._type_names:
                return
            made = self._version(folder.name, number, document)
            if made is None:
                return
            version, items = made
            versions.append(version)
            documents.append(document)
        if versions:
            self._check_compatibility(versions, documents)
            value = documents[-1].value
            self.streams[folder.name] = Stream(
                folder.name,
                value["x-ja"],
                tuple(versions),
                tuple(value.get("x-event-types", ())),
                tuple(items),
                bool(value.get("x-internal", False)),
                tuple(value.get("x-providers", ())),
                _persons(value),
            )

    def _unknown_providers(self, document: Document) -> list[Fault]:
        expected = f"systems of {SYSTEMS}"
        return [
            document.fault("unknown-system", ("x-providers", index), expected, field="x-providers")
            for index, name in enumerate(document.value.get("x-providers", ()))
            if name not in self.systems
        ]

    def _versions_in(self, folder: Path) -> list[tuple[int, Path]]:
        found: list[tuple[int, Path]] = []
        for path in sorted(folder.iterdir()):
            match = _VERSION_FILE.fullmatch(path.name)
            if match:
                found.append((int(match.group(1)), path))
            elif path.name != "examples" and not path.name.startswith("."):
                self._fault_of_file(path, "name", "v<n>.avsc, or the folder examples")
        found.sort()
        if [number for number, _ in found] != list(range(1, len(found) + 1)) or not found:
            self._fault_of_file(folder, "versions", "v1.avsc, v2.avsc, … without a gap")
        return found

    def _version(
        self, stream: str, number: int, document: Document
    ) -> tuple[SchemaVersion, list[Item]] | None:
        try:
            schema = assemble(document, self.types)
        except Recursive as error:
            expected = f"types that do not contain themselves, as {error} does"
            self.faults.append(document.fault("recursive-type", (), expected))
            return None
        items, faults = items_of(schema, document)
        faults += _sensitivity_faults(stream, items, document)
        faults += _person_faults(items, document)
        self.faults += faults
        if faults:
            return None
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        return SchemaVersion(stream, number, schema, text, fingerprint_of(text)), items

    def _check_compatibility(
        self, versions: list[SchemaVersion], documents: list[Document]
    ) -> None:
        for index, newer in enumerate(versions):
            for older in versions[:index]:
                self._check_sealed(documents[index], documents[older.version - 1])
                for reader, writer in ((newer, older), (older, newer)):
                    for found in can_read(reader.schema, writer.schema):
                        expected = f"v{reader.version} able to read v{writer.version}: {found.why}"
                        place = _place_of(documents[index], found.path)
                        self.faults.append(
                            documents[index].fault(
                                "incompatible", place, expected, field=found.path or None
                            )
                        )

    def _check_sealed(self, newer: Document, older: Document) -> None:
        """Refuse a version that seals other items than the one before it."""
        was = {entry["name"]: entry.get("x-sealed") for entry in older.value["fields"]}
        for index, entry in enumerate(newer.value["fields"]):
            if entry["name"] in was and entry.get("x-sealed") != was[entry["name"]]:
                expected = "x-sealed as every version of the stream has it"
                place = ("fields", index)
                self.faults.append(newer.fault("sealed", place, expected, field=entry["name"]))

    def _check_fingerprints(self) -> None:
        seen: dict[str, SchemaVersion] = {}
        for stream in self.streams.values():
            for version in stream.versions:
                other = seen.setdefault(version.fingerprint, version)
                if other is not version:
                    path = self.folder / "streams" / stream.name / f"v{version.version}.avsc"
                    expected = f"another schema than {other.stream} v{other.version}"
                    self._fault_of_file(path, "same-schema", expected)

    def _check_released(self) -> None:
        """Refuse a change of a released version: records under it are in the topics."""
        path = self.folder / RELEASED
        document = self._document(path) if path.exists() else None
        if document is None:
            return
        value = document.value
        if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
            expected = "stream: {version: fingerprint}"
            self.faults.append(document.fault("type", (), expected))
            return
        for name, versions in value.items():
            stream = self.streams.get(name)
            if stream is None and (self.folder / "streams" / name).is_dir():
                continue  # its own faults say why
            found = {v.version: v.fingerprint for v in stream.versions} if stream else {}
            for number, fingerprint in versions.items():
                if found.get(number) != fingerprint:
                    expected = f"{name} v{number} as it was released; make a new version instead"
                    self.faults.append(document.fault("released", (name, str(number)), expected))

    def _fault_of_file(self, path: Path, code: str, expected: str) -> None:
        shown = str(path.relative_to(self.folder))
        self.faults.append(Fault(code=code, expected=expected, file=shown))


def _sensitivity_faults(stream: str, items: list[Item], document: Document) -> list[Fault]:
    faults: list[Fault] = []
    if stream != INDIVIDUAL_NUMBERS:
        for item in items:
            if item.properties.get("x-sealed"):
                expected = f"nothing sealed outside the stream {INDIVIDUAL_NUMBERS}"
                place = _place_of(document, item.path)
                faults.append(document.fault("sealed", place, expected, field=item.path))
            is_number = item.properties.get("x-check") == "individual-number"
            if item.sensitivity is Sensitivity.RESTRICTED or is_number:
                expected = f"no restricted item outside the stream {INDIVIDUAL_NUMBERS}"
                place = _place_of(document, item.path)
                faults.append(document.fault("restricted", place, expected, field=item.path))
    else:
        faults += _sealed_faults(items, document)
    if any(item.sensitivity is Sensitivity.LOCATION for item in items):
        fields = document.value["fields"]
        if not any(f["name"] == "protected" and f["type"] == "boolean" for f in fields):
            expected = "a boolean field protected in a record with a location"
            faults.append(document.fault("protected", ("fields",), expected, field="protected"))
    return faults


def _sealed_faults(items: list[Item], document: Document) -> list[Fault]:
    """Faults of sealing: only restricted items are sealed, all of them, and as texts."""
    types = {entry["name"]: entry["type"] for entry in document.value["fields"]}
    faults = []
    for item in items:
        is_restricted = item.sensitivity is Sensitivity.RESTRICTED
        is_sealed = bool(item.properties.get("x-sealed"))
        expected = None
        if is_restricted != is_sealed:
            expected = "x-sealed: true where x-sensitivity is restricted, and nowhere else"
        elif is_sealed and types.get(item.path) not in ("string", ["null", "string"]):
            expected = "a string of the record itself, or null: nothing else can be sealed"
        if expected is not None:
            place = _place_of(document, item.path)
            faults.append(document.fault("sealed", place, expected, field=item.path))
    return faults


def _persons(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths to the ids of persons in a record; its subject too, if its check is a person's."""
    if "x-persons" in value:
        return tuple(value["x-persons"])
    is_person = value.get("x-subject", {}).get("x-check") == "atena"
    return ("header.subject_id",) if is_person else ()


def _person_faults(items: list[Item], document: Document) -> list[Fault]:
    known = {item.path for item in items}
    return [
        document.fault("persons", ("x-persons",), f"paths of the record's items, not {path}")
        for path in _persons(document.value)
        if path not in known
    ]


def _place_of(document: Document, path: str) -> tuple[str | int, ...]:
    """Where the outermost field of a dotted path stands in a stream's file."""
    for index, entry in enumerate(document.value.get("fields", ())):
        if entry.get("name") == path.partition(".")[0]:
            return ("fields", index)
    return ()
