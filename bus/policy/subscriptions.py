"""Subscriptions: what a business system may receive, and why (連携定義).

One reviewed file per system, ``schemas/subscriptions/<system>.yaml``. A file is refused with
every fault in it, each with its line: nothing that is not understood, and nothing that a purpose
does not cover, is granted.

Source: 個人情報保護法 69条 and 番号法 9条2項, 19条11号: who receives what from whom, and on
which ground, is laid down before anything is handed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bus.catalog.documents import Document, Place, read
from bus.catalog.load import Catalog
from bus.errors import FilesRefused
from bus.model import Fault, Sensitivity, Stream, Suppression
from bus.policy.leaves import HEADER, covers

FOLDER = "subscriptions"
FLAG = "protected"
RESERVED = frozenset({"ledger", "monitor"})
"""The bus's own consumer groups are called so (``renkei.<system>``)."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A sentence somebody wrote: never blank."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")]


class Grant(BaseModel):
    """What a system may receive of one stream, and on whose word."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    event_types: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    """Events of these types only."""
    fields: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    """Items of the body; a record's name grants everything in it. The header is always there."""
    suppression: Annotated[Suppression, Field(strict=False)] = Suppression.WITHHOLD
    suppression_reason: Text | None = None
    """Why this system must have a protected person's address; needed with ``capable``."""
    legal_basis: Text
    purpose: Text
    approver: Text
    approved_on: date
    expires_on: date
    """The last day on which the grant is in force."""


class Subscription(BaseModel):
    """One business system and what it may receive."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    system: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    ja: Text
    business_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] | None
    """業務ID. The site's configuration; null where it has not been set."""
    ministry: Text
    separate_organ: Text | None
    """The organ that runs the system where it is not the mayor's (教育委員会 …)."""
    streams: dict[str, Grant]


def load_subscriptions(
    catalog: Catalog, folder: Path | None = None, *, today: date | None = None
) -> Mapping[str, Subscription]:
    """Every subscription, by system, in alphabetical order.

    Args:
        catalog: The streams that may be granted.
        folder: The schemas folder with ``subscriptions`` in it; by default the catalogue's.
        today: If given, a grant that is not in force on this day is a fault too. Without it
            an expired grant loads, and stops only the views that hang on it.

    Raises:
        FilesRefused: Files have faults; ``faults`` holds all of them.
    """
    loaded, faults = _examine(catalog, folder, today)
    if faults:
        raise FilesRefused(
            "the subscriptions have faults", faults=faults, count=len(faults), folder=folder
        )
    return loaded


def check_subscriptions(
    catalog: Catalog, folder: Path | None = None, *, today: date
) -> list[Fault]:
    """Every fault of every file, in the order of files and lines; empty if all are good."""
    return _examine(catalog, folder, today)[1]


def _examine(
    catalog: Catalog, folder: Path | None, today: date | None
) -> tuple[dict[str, Subscription], list[Fault]]:
    folder = (catalog.folder if folder is None else folder) / FOLDER
    loaded: dict[str, Subscription] = {}
    faults: list[Fault] = []
    files = sorted(folder.glob("*.yaml"))
    if not files:
        expected = "a folder with one .yaml file per system"
        return {}, [Fault(code="no-files", expected=expected, file=str(folder))]
    seen: set[str] = set()
    for file in files:
        subscription, found = _read(file, catalog, today, seen)
        if subscription is not None:
            loaded[subscription.system] = subscription
        faults += sorted(found, key=lambda fault: fault.line or 0)
    return dict(sorted(loaded.items())), faults


def _read(
    file: Path, catalog: Catalog, today: date | None, seen: set[str]
) -> tuple[Subscription | None, list[Fault]]:
    """The subscription in *file*, if it has the right form, and all faults; notes its system."""
    document, faults = read(file, f"{FOLDER}/{file.name}")
    if document is None:
        return None, faults
    if not isinstance(document.value, dict):
        return None, [*faults, document.fault("type", (), "a mapping")]
    faults += _naming(document, file.stem, seen)
    faults += _content(document, catalog, today)
    try:
        return Subscription.model_validate(document.value), faults
    except ValidationError as error:
        return None, [*faults, *_shape(document, error)]


def _naming(document: Document, stem: str, seen: set[str]) -> Iterator[Fault]:
    """Faults of the system's name: one file per system, called like it."""
    system = document.value.get("system")
    if not isinstance(system, str):
        return
    if system in RESERVED:
        yield document.fault("reserved", ("system",), "no name of the bus's own", field="system")
    if system != stem:
        yield document.fault("file-name", ("system",), "the name of the file", field="system")
    if system in seen:
        yield document.fault("duplicate-system", ("system",), "one file per system", field="system")
    seen.add(system)


_EXPECTED = {
    "missing": "a value; it is required",
    "extra_forbidden": "no such key",
    "string_type": "a text in quotes",
    "string_too_short": "a text that is not blank",
    "string_pattern_mismatch": "a name of the right form",
    "date_type": "a date, 2029-03-31",
    "too_short": "at least one entry",
    "enum": "withhold or capable",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


def _shape(document: Document, error: ValidationError) -> Iterator[Fault]:
    """Faults of form, found by the model; never with the value that was there."""
    for found in error.errors(include_input=False, include_url=False, include_context=False):
        place = tuple(found["loc"])
        code = "missing" if found["type"] == "missing" else "form"
        expected = _EXPECTED.get(found["type"], found["type"].replace("_", " "))
        if found["type"] == "extra_forbidden":
            code = "unknown-key"
        yield document.fault(code, place, expected, field=_dotted(place))


def _content(document: Document, catalog: Catalog, today: date | None) -> Iterator[Fault]:
    """Faults of meaning, on whatever of the file has the right form."""
    streams = document.value.get("streams")
    if not isinstance(streams, dict):
        return
    for name, grant in streams.items():
        place: Place = ("streams", str(name))
        stream = catalog.streams.get(str(name))
        if stream is None or stream.is_internal:
            known = ", ".join(n for n, s in catalog.streams.items() if not s.is_internal)
            yield document.fault("unknown-stream", place, f"one of {known}", field=str(name))
        elif isinstance(grant, dict):
            yield from _granted(document, place, grant, stream)
            yield from _terms(document, place, grant, today)


def _granted(
    document: Document, place: Place, grant: dict[str, Any], stream: Stream
) -> Iterator[Fault]:
    """Faults of what is granted: its event types and fields."""
    for at, event_type in _entries(grant, "event_types", place):
        if event_type not in stream.event_types:
            yield document.fault(
                "unknown-event-type", at, f"an event type of {stream.name}", field=_dotted(at)
            )
    granted = list(_entries(grant, "fields", place))
    for at, path in granted:
        covered = [item for item in stream.items if covers(path, item.path)]
        if path == HEADER or path.startswith(f"{HEADER}."):
            yield document.fault(
                "header-field", at, "an item of the body; the header is always there", field=path
            )
        elif not covered:
            yield document.fault("unknown-field", at, f"an item of {stream.name}", field=path)
        elif any(item.sensitivity is Sensitivity.RESTRICTED for item in covered):
            yield document.fault(
                "restricted", at, "no restricted item in a general stream", field=path
            )
    for message, at in _repeated(granted):
        yield document.fault("repeated", at, message, field=_dotted(at))
    paths = [path for _, path in granted]
    locations = [item.path for item in stream.items if item.sensitivity is Sensitivity.LOCATION]
    if FLAG not in paths and any(covers(p, item) for p in paths for item in locations):
        yield document.fault(
            "flag-missing", (*place, "fields"),
            f"the item {FLAG} wherever a location is granted", field=_dotted((*place, "fields")),
        )  # fmt: skip


def _terms(
    document: Document, place: Place, grant: dict[str, Any], today: date | None
) -> Iterator[Fault]:
    """Faults of the terms: the reason for an address, and the days it is in force."""
    if grant.get("suppression") == Suppression.CAPABLE and not grant.get("suppression_reason"):
        at = (*place, "suppression")
        yield document.fault(
            "reason-missing", at, "suppression_reason: why this system must have the address",
            field=_dotted((*place, "suppression_reason")),
        )  # fmt: skip
    approved, expires = grant.get("approved_on"), grant.get("expires_on")
    if not isinstance(approved, date) or not isinstance(expires, date):
        return
    at = (*place, "expires_on")
    if expires < approved:
        yield document.fault("expiry", at, "a day after the approval", field=_dotted(at))
    elif today is not None and expires < today:
        yield document.fault("expired", at, "a day that has not passed", field=_dotted(at))
    if today is not None and approved > today:
        at = (*place, "approved_on")
        yield document.fault("not-yet-approved", at, "a day that has come", field=_dotted(at))


def _entries(grant: dict[str, Any], key: str, place: Place) -> Iterator[tuple[Place, str]]:
    """The texts of a list, each with its place; what is no text is a fault of form."""
    entries = grant.get(key)
    if isinstance(entries, list):
        for index, entry in enumerate(entries):
            if isinstance(entry, str):
                yield (*place, key, index), entry


def _repeated(granted: list[tuple[Place, str]]) -> Iterator[tuple[str, Place]]:
    for position, (at, path) in enumerate(granted):
        earlier = [other for _, other in granted[:position]]
        if any(covers(other, path) or covers(path, other) for other in earlier):
            yield "a field that is not granted already", at


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)
