"""Subscriptions: what a business system may receive, and why (連携定義).

One reviewed file per system, ``schemas/subscriptions/<system>.yaml``. Nothing that is not
understood, and nothing that a purpose does not cover, is granted: a fault takes out the stream
that it is about, or the whole system where it is about that, and nobody else. Tools read the
folder strictly (:func:`load_subscriptions`); what runs goes on without what is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bus.catalog.documents import Document, KeyPath, parse
from bus.catalog.load import SYSTEMS, Catalog
from bus.errors import FilesRefused
from bus.model import Fault
from bus.policy.check import Found, dotted, found_in, unprotected
from bus.policy.grants import Subscription

FOLDER = "subscriptions"
RESERVED = frozenset({"ledger", "monitor", "publishing"})
"""The bus's own consumer groups are called so (``renkei.<system>``)."""


@dataclass(frozen=True, slots=True)
class GrantRefusal:
    """A grant, or a whole file, that is refused, and all that is wrong with it."""

    system: str  # of a file that cannot be used, the file's name
    stream: str | None  # None: the whole system
    faults: tuple[Fault, ...]

    @property
    def error(self) -> FilesRefused:
        """The same as an error."""
        said = "the subscription has faults" if self.stream is None else "the grant has faults"
        first = self.faults[0]
        return FilesRefused(
            said, self.faults, count=len(self.faults), system=self.system, stream=self.stream,
            file=first.file, line=first.line, fault=first.code,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SubscriptionReport:
    """What a set of files grants, and what of it is refused."""

    subscriptions: Mapping[str, Subscription]  # by system, alphabetically; good grants alone
    refusals: tuple[GrantRefusal, ...]
    faults: tuple[Fault, ...]  # of all files, in order; warnings as well

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults for which something is refused."""
        return tuple(fault for fault in self.faults if fault.is_error)


def load_subscriptions(
    catalog: Catalog, folder: Path | None = None, *, today: date | None = None
) -> Mapping[str, Subscription]:
    """Every subscription, by system, in alphabetical order; all of them or none.

    Args:
        catalog: The streams that may be granted.
        folder: The schemas folder with ``subscriptions`` in it; by default the catalogue's.
        today: If given, a grant that is not in force on this day is a fault too. Without it
            an expired grant loads, and stops only the views that hang on it.

    Raises:
        FilesRefused: Files have faults; ``faults`` holds all of them.
    """
    report = read_subscriptions(catalog, folder, today=today)
    if report.errors:
        raise FilesRefused(
            "the subscriptions have faults",
            faults=report.errors, count=len(report.errors), folder=folder,
        )  # fmt: skip
    return report.subscriptions


def check_subscriptions(
    catalog: Catalog, folder: Path | None = None, *, today: date
) -> list[Fault]:
    """Every fault of every file, in the order of files and lines; empty if all are good."""
    return list(read_subscriptions(catalog, folder, today=today).faults)


def read_subscriptions(
    catalog: Catalog, folder: Path | None = None, *, today: date | None = None
) -> SubscriptionReport:
    """What the files in a folder grant, and what of them is refused; arguments as above."""
    folder = (catalog.folder if folder is None else folder) / FOLDER
    files = sorted(folder.glob("*.yaml"))
    if not files:
        expected = "a folder with one .yaml file per system"
        return SubscriptionReport(
            {}, (), (Fault(code="no-files", expected=expected, file=str(folder)),)
        )
    return read_files(files, catalog, today=today)


def read_files(
    files: Iterable[Path], catalog: Catalog, *, today: date | None = None
) -> SubscriptionReport:
    """As :func:`read_subscriptions`, of the files named."""
    return joined(
        read_subscription(file.stem, _bytes(file), catalog, today=today) for file in files
    )


def read_subscription(
    name: str, data: bytes | None, catalog: Catalog, *, today: date | None = None
) -> SubscriptionReport:
    """What the text of one file called *name* (without its ending) grants, and what is refused.

    Args:
        data: What stands in it; None if it cannot be read.
        catalog: The streams that may be granted.
        today: As of :func:`load_subscriptions`.
    """
    shown = f"{FOLDER}/{name}.yaml"
    if data is None:
        return _nothing(name, [Fault(code="unreadable", expected="a file", file=shown)])
    document, faults = parse(data, shown, is_yaml=True)
    if document is None:
        return _nothing(name, faults)
    if not isinstance(document.value, dict):
        return _nothing(name, [*faults, document.fault("type", (), "a mapping")])
    found: list[Found] = [((), fault) for fault in faults]
    found += _naming(document, name)
    found += _listed(document, catalog)
    subscription, shape = _shaped(document)
    found += shape
    if subscription is not None:
        shapeless = {place[:3] for place, _ in shape}
        found += [
            each
            for each in found_in(document, subscription, catalog, today)
            if each[0][:3] not in shapeless
        ]
        good = _good(subscription, found)
        found += unprotected(document, good.streams, catalog)
        subscription = _good(good, found)
    return _report(name, subscription, found)


def joined(reports: Iterable[SubscriptionReport]) -> SubscriptionReport:
    """Several reports as one; each must be about other systems."""
    subscriptions: dict[str, Subscription] = {}
    refusals: list[GrantRefusal] = []
    faults: list[Fault] = []
    for report in reports:
        subscriptions.update(report.subscriptions)
        refusals += report.refusals
        faults += report.faults
    return SubscriptionReport(dict(sorted(subscriptions.items())), tuple(refusals), tuple(faults))


def _bytes(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _naming(document: Document, stem: str) -> list[Found]:
    """Faults of the system's name: it must be the file's."""
    system, place = document.value.get("system"), ("system",)
    found: list[Found] = []
    if isinstance(system, str) and system in RESERVED:
        expected = "no name of the bus's own"
        found.append((place, document.fault("reserved", place, expected, field="system")))
    if isinstance(system, str) and system != stem:
        expected = "the name of the file"
        found.append((place, document.fault("file-name", place, expected, field="system")))
    return found


def _listed(document: Document, catalog: Catalog) -> list[Found]:
    """Faults where a subscription contradicts the list of systems; an unlisted system is free."""
    named, found = document.value.get("system"), list[Found]()
    system = catalog.systems.get(named) if isinstance(named, str) else None
    for key in ("ja", "ministry", "separate_organ") if system else ():
        if key in document.value and document.value[key] != getattr(system, key):
            expected = f"what {SYSTEMS} says"
            found.append(((key,), document.fault("system", (key,), expected, field=key)))
    return found


_EXPECTED = {
    "missing": "a value; it is required",
    "extra_forbidden": "no such key",
    "string_type": "a text in quotes",
    "string_too_short": "a text that is not blank",
    "string_pattern_mismatch": "a name of the right form",
    "date_type": "a date, 2029-03-31",
    "too_short": "at least one entry",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


def _shaped(document: Document) -> tuple[Subscription | None, list[Found]]:
    """The subscription without the parts of the wrong form, and the faults of those.

    A grant with faults of form is there without what is wrong, so that the rest of it can be
    looked at in the same run; its faults see to it that it is never used.
    """
    value = document.value
    try:
        return Subscription.model_validate(value), []
    except ValidationError as error:
        found = _shape(document, error)
    if any(_stream_of(place) is None for place, _ in found):
        return None, found
    streams = dict(value["streams"])
    for place, _ in found:
        grant = streams[place[1]]
        kept = grant if isinstance(grant, dict) else {}
        wrong = place[2:3]
        streams[place[1]] = {**_BLANK, **{k: v for k, v in kept.items() if k not in wrong}}
    try:
        return Subscription.model_validate({**value, "streams": streams}), found
    except ValidationError:
        return None, found


_BLANK: dict[str, Any] = {
    "event_types": ["unknown.unknown"],
    "legal_basis": [{"law": "-"}],
    "purpose": "-",
    "approver": "-",
    "approved_on": date.min,
    "expires_on": date.max,
}
"""What stands in for what is missing in a grant, so that the rest of it can be looked at."""


def _shape(document: Document, error: ValidationError) -> list[Found]:
    """Faults of form that the model found; never with the value that was there."""
    found: dict[tuple[KeyPath, str], Fault] = {}
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        place = _in_file(document.value, each["loc"])
        code = {"missing": "missing", "extra_forbidden": "unknown-key"}.get(each["type"], "form")
        expected = _EXPECTED.get(each["type"], each["type"].replace("_", " "))
        if each["type"] == "value_error":
            expected = each["msg"].removeprefix("Value error, ")
        elif each["type"] in ("enum", "literal_error"):
            expected = each["msg"].replace("Input should be ", "one of ")
        fault = document.fault(code, place, expected, field=dotted(place))
        found.setdefault((place, code), fault)  # a union says so once for each of its types
    places = [place for place, _ in found]
    return [
        (place, fault)
        for (place, _), fault in found.items()
        # a list is too short as well if what is in it has not the right form
        if not any(other != place and other[: len(place)] == place for other in places)
    ]


def _in_file(value: Any, location: Sequence[str | int]) -> KeyPath:
    """*location* without the parts that only the model has: union members, keys of mappings."""
    place: list[str | int] = []
    for index, part in enumerate(location):
        is_there = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if is_there:
            value = value[part]
            place.append(part)
        elif index == len(location) - 1 and isinstance(value, dict) and part != "[key]":
            place.append(part)  # what is missing
    return tuple(place)


def _stream_of(place: KeyPath) -> str | None:
    """The stream whose grant a fault at *place* refuses; None if it refuses the system."""
    return str(place[1]) if len(place) > 1 and place[0] == "streams" else None


def _good(subscription: Subscription, found: Sequence[Found]) -> Subscription:
    """*subscription* without the streams that have faults."""
    bad = {_stream_of(place) for place, fault in found if fault.is_error}
    rest = {name: grant for name, grant in subscription.streams.items() if name not in bad}
    return subscription.model_copy(update={"streams": rest})


def _report(
    name: str, subscription: Subscription | None, found: Sequence[Found]
) -> SubscriptionReport:
    faults = sorted((fault for _, fault in found), key=lambda fault: fault.line or 0)
    refused: dict[str | None, list[Fault]] = defaultdict(list)
    for place, fault in found:
        if fault.is_error:
            refused[_stream_of(place)].append(fault)
    if None in refused or subscription is None:
        return _nothing(name, faults)
    refusals = [GrantRefusal(name, stream, tuple(each)) for stream, each in refused.items()]
    return SubscriptionReport({subscription.system: subscription}, tuple(refusals), tuple(faults))


def _nothing(name: str, faults: Sequence[Fault]) -> SubscriptionReport:
    errors = tuple(fault for fault in faults if fault.is_error)
    return SubscriptionReport({}, (GrantRefusal(name, None, errors),), tuple(faults))
