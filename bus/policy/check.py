"""Check what a subscription grants against the schemas of the streams: faults of meaning.

Nothing that a purpose does not cover, a stream does not have, a law does not allow or a day has
passed is granted. Form was looked at before (:mod:`bus.policy.grants`); these rules look at
whatever of a file has the right form, so that one run finds all there is to mend.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from bus.catalog import Catalog
from bus.catalog.columns import arrow_schema
from bus.catalog.documents import Document, KeyPath
from bus.model import (
    FLAG,
    HEADER,
    HOUSEHOLD,
    PROTECTION,
    Comparison,
    Condition,
    Fault,
    Mode,
    Sensitivity,
    Severity,
    Stream,
    Suppression,
    in_header,
)
from bus.policy.grants import Grant, NumberLaw, Subscription, Zone
from bus.policy.leaves import Leaf, base_of, covers, leaves_of
from bus.policy.masking import FITS, effect

SOON = timedelta(days=60)
"""How long before its expiry a grant is warned of."""
Found = tuple[KeyPath, Fault]
"""A fault and where it is: what it takes out, a stream or the whole system, follows from that."""


def found_in(
    document: Document, subscription: Subscription, catalog: Catalog, today: date | None
) -> Iterator[Found]:
    """The faults of the grants of *subscription*, with the lines of *document*.

    Args:
        today: If given, a grant that is not in force on this day is a fault too, and one that
            soon will not be is a warning.
    """
    for name, grant in subscription.streams.items():
        place: KeyPath = ("streams", name)
        stream = catalog.streams.get(name)
        if stream is None or stream.is_internal:
            known = ", ".join(n for n, s in catalog.streams.items() if not s.is_internal)
            yield _found(document, "unknown-stream", place, f"one of {known}", name)
            continue
        look = _Look(document, place, grant, stream, catalog)
        yield from look.rows()
        yield from look.fields()
        yield from look.masks()
        yield from look.restricted(subscription)
        yield from look.terms(today)


def unprotected(
    document: Document, streams: Mapping[str, Grant], catalog: Catalog
) -> Iterator[Found]:
    """Faults of grants with a withheld location in a system without the whole protection stream.

    A person under protection by another municipality's word is in the stream *protection* alone,
    and a store can bear the masks out only by a protection table of its own.
    """
    protection = streams.get(PROTECTION)
    whole = set(catalog.stream(PROTECTION).event_types) if PROTECTION in catalog.streams else set()
    for name, grant in streams.items():
        if not withholds(grant, catalog.stream(name)):
            continue
        place: KeyPath = ("streams", name)
        if protection is None:
            yield _found(
                document, "protection-missing", place, f"the stream {PROTECTION} beside it", name
            )
        elif protection.where or set(protection.event_types) != whole:
            expected = f"all event types of {PROTECTION} beside it, without conditions"
            yield _found(document, "protection-partial", place, expected, name)


def withholds(grant: Grant, stream: Stream) -> bool:
    """Whether *grant* has a location that is withheld where a subject is under protection."""
    return grant.suppression is not Suppression.CAPABLE and has_location(grant, stream)


def has_location(grant: Grant, stream: Stream) -> bool:
    """Whether *grant* has an item that says where somebody is, masked or not."""
    known = {item.path: item.sensitivity for item in stream.items}
    return any(grant.grants(path) and judged(path, known) is Sensitivity.LOCATION for path in known)


def unfindable(stream: Stream, shown: Container[str], *, has_location: bool) -> list[str]:
    """Items besides *shown* that a store needs to find the rows of somebody who is covered.

    A protection that starts takes locations out of what a store has already, and sets the flag: by
    the ids of all whose location a row may say, and by the household. Whoever has the location, but
    not those, would go on holding it; whoever has the flag, but not the ids, a flag that nobody
    keeps. The members of a household are known by their ids as well: for the flag alone they do.
    """
    has_household = has_location and any(item.path == HOUSEHOLD for item in stream.items)
    needed = (*stream.located, HOUSEHOLD) if has_household else stream.located
    return [path for path in needed if not in_header(path) and path not in shown]


class _Look:
    """Checks one grant of a file."""

    def __init__(
        self, document: Document, place: KeyPath, grant: Grant, stream: Stream, catalog: Catalog
    ) -> None:
        self._document = document
        self._place = place
        self._grant = grant
        self._stream = stream
        self._catalog = catalog
        self._leaves = leaves_of(arrow_schema(stream.latest))
        self._items = {item.path: item for item in stream.items}

    def _fault(self, code: str, key: KeyPath, expected: str, field: str | None = None) -> Found:
        at = (*self._place, *key)
        return _found(self._document, code, at, expected, dotted(at) if field is None else field)

    # -- rows

    def rows(self) -> Iterator[Found]:
        """Faults of the event types and of the conditions on the record."""
        for index, event_type in enumerate(self._grant.event_types):
            if event_type not in self._stream.event_types:
                expected = f"an event type of {self._stream.name}"
                yield self._fault("unknown-event-type", ("event_types", index), expected)
        for index, where in enumerate(self._grant.where):
            yield from self._condition(("where", index), where.condition)

    def _condition(self, key: KeyPath, condition: Condition) -> Iterator[Found]:
        path = condition.path
        leaf = next((leaf for leaf in self._leaves if leaf.path == path), None)
        if leaf is None or in_header(path):
            expected = f"an item of {self._stream.name}, not a record"
            yield self._fault("unknown-field", key, expected, path)
        elif pa.types.is_list(leaf.type):
            yield self._fault("condition", key, "no item in a list", path)
        elif self._judged(path) not in (Sensitivity.PLAIN, Sensitivity.PERSONAL):
            # which rows come would say where somebody is
            expected = "no location and no restricted item"
            yield self._fault("condition", key, expected, path)
        elif condition.comparison is not Comparison.IS_NULL:
            yield from self._comparison(key, condition, leaf)

    def _comparison(self, key: KeyPath, condition: Condition, leaf: Leaf) -> Iterator[Found]:
        kind, path = base_of(leaf.type), condition.path
        wanted = _PYTHON.get(kind)
        if wanted is None or any(type(value) is not wanted for value in condition.values):
            expected = f"a value of the item's type, {kind}"
            yield self._fault("condition", key, expected, path)
        elif condition.comparison is Comparison.AT_LEAST and kind in (pa.string(), pa.bool_()):
            yield self._fault("condition", key, "a number or a date", path)
        codes = self._codes(path)
        if codes is not None and any(value not in codes for value in condition.values):
            yield self._fault("code-list", key, "codes of the item's list", path)

    def _codes(self, path: str) -> Any:
        item = self._items.get(path)
        return self._catalog.codes.get(item.properties.get("x-codes", "")) if item else None

    # -- columns

    def fields(self) -> Iterator[Found]:
        """Faults of the items that are granted."""
        grant, whole = self._grant, ("fields",)
        if grant.mode is Mode.NOTIFY_ONLY and (set(grant.fields) - {FLAG} or grant.masks):
            yield self._fault("notify-only", whole, "no fields: header and flag are all")
        if grant.mode is not Mode.NOTIFY_ONLY and not grant.fields:
            yield self._fault("fields-missing", whole, "fields: at least one")
        for index, path in enumerate(grant.fields):
            key = ("fields", index)
            if path == HEADER or in_header(path):
                expected = "an item of the body; the header is always there"
                yield self._fault("header-field", key, expected, path)
            elif not any(covers(path, leaf.path) for leaf in self._leaves):
                yield self._fault("unknown-field", key, f"an item of {self._stream.name}", path)
            elif any(covers(o, path) or covers(path, o) for o in grant.fields[:index]):
                yield self._fault("repeated", key, "a field that is not granted already")
        if has_location(grant, self._stream) and FLAG not in grant.fields:
            yield self._fault("flag-missing", whole, f"the item {FLAG} wherever a location is")
        shown = [
            leaf.path
            for leaf in self._leaves
            if grant.grants(leaf.path) and not any(covers(m, leaf.path) for m in grant.masks)
        ]
        is_located = has_location(grant, self._stream)
        for path in unfindable(self._stream, shown, has_location=is_located):
            expected = "also, unmasked, whose location it is: a protection finds the rows by it"
            yield self._fault("persons-missing", whole, expected, path)

    def masks(self) -> Iterator[Found]:
        """Faults of the masks: each is on a granted item, comes once, and fits the item's type."""
        seen: list[str] = []
        for path, kind in self._grant.masks.items():
            key = ("masks", path)
            if path == FLAG or not self._grant.grants(path):
                yield self._fault("mask-unknown", key, "an item that is granted", path)
            elif any(covers(other, path) or covers(path, other) for other in seen):
                yield self._fault("mask-twice", key, "one mask for each item", path)
            elif effect(kind, path, self._leaves, frozenset(self._stream.sealed)) is None:
                yield self._fault("mask-type", key, f"{FITS[kind]}, for {kind.value}", path)
            seen.append(path)

    # -- law

    def restricted(self, subscription: Subscription) -> Iterator[Found]:
        """Faults of 個人番号 and of the zone."""
        grant = self._grant
        granted = {self._judged(leaf.path) for leaf in self._leaves if grant.grants(leaf.path)}
        if subscription.zone is Zone.INTERNET and granted - {Sensitivity.PLAIN}:
            expected = "no item about a person in a system that is connected to the internet"
            yield self._fault("zone", ("fields",), expected)
        if Sensitivity.RESTRICTED not in granted:
            if grant.number_use is not None:
                expected = "no number_use without a restricted item"
                yield self._fault("number-use", ("number_use",), expected)
            return
        if grant.number_use is None:
            expected = "number_use: 番号利用事務 and its ordinance, for a restricted item"
            yield self._fault("restricted", ("fields",), expected, "number_use")
            return
        if subscription.zone is not Zone.INDIVIDUAL_NUMBER:
            expected = f"the zone {Zone.INDIVIDUAL_NUMBER.value} for a restricted item"
            yield self._fault("zone", ("number_use",), expected)
        is_other = subscription.separate_organ is not None
        under = NumberLaw.OTHER_ORGAN if is_other else NumberLaw.OWN_USE
        if grant.number_use.under is not under:
            expected = f"an ordinance under 番号法{under.value}"
            yield self._fault("ordinance", ("number_use", "under"), expected)

    def terms(self, today: date | None) -> Iterator[Found]:
        """Faults of the terms: ground, the reason for an address, and the days in force."""
        grant = self._grant
        if not any(ground.is_binding for ground in grant.legal_basis.root):
            expected = "a law or an ordinance: a notice alone grants nothing"
            yield self._fault("legal-basis", ("legal_basis",), expected)
        if grant.suppression is Suppression.CAPABLE and not grant.suppression_reason:
            expected = "suppression_reason: why this system must have the address"
            field = dotted((*self._place, "suppression_reason"))
            yield self._fault("reason-missing", ("suppression",), expected, field)
        if grant.expires_on < grant.approved_on:
            yield self._fault("expiry", ("expires_on",), "a day after the approval")
        elif today is not None and grant.expires_on < today:
            yield self._fault("expired", ("expires_on",), "a day that has not passed")
        elif today is not None and grant.expires_on < today + SOON:
            expected = f"a day at least {SOON.days} days ahead: the grant ends soon"
            place, fault = self._fault("expires-soon", ("expires_on",), expected)
            yield place, replace(fault, severity=Severity.WARNING)
        if today is not None and grant.approved_on > today:
            yield self._fault("not-yet-approved", ("approved_on",), "a day that has come")

    def _judged(self, path: str) -> Sensitivity:
        """The sensitivity of the leaf at *path*; an item without any counts as restricted."""
        return judged(path, {item.path: item.sensitivity for item in self._stream.items})


_PYTHON: Mapping[pa.DataType, type] = {
    pa.string(): str,
    pa.bool_(): bool,
    pa.int32(): int,
    pa.int64(): int,
    pa.date32(): date,
}
_STRICTNESS = tuple(Sensitivity)  # declared from the least careful to the most


def judged(path: str, known: Mapping[str, Sensitivity]) -> Sensitivity:
    """The strictest sensitivity of a leaf and what holds it; RESTRICTED if none has one."""
    parts = path.split(".")
    above = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    words = [known[each] for each in above if each in known]
    return max(words, key=_STRICTNESS.index, default=Sensitivity.RESTRICTED)


def dotted(place: KeyPath) -> str:
    """A place in a file, written as a fault shows it: names joined by dots."""
    return ".".join(str(part) for part in place)


def _found(document: Document, code: str, place: KeyPath, expected: str, field: str) -> Found:
    return place, document.fault(code, place, expected, field=field)
