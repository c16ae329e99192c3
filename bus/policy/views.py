"""Compile a subscription and a stream into a view: which rows, which columns, which masks.

A view is compiled from a reviewed subscription and the stream's newest schema, and is a value:
the same two give the same fingerprint on every machine, and any change of what a system would
see, or of the ground on which it may, gives another. A key is in it by its id alone. Whatever is
not understood is not let out: an item without a sensitivity, a restricted item without its
ordinance, a location without the flag that protects it, a mask without its key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from types import MappingProxyType

import pyarrow as pa

from bus.catalog.columns import arrow_schema
from bus.catalog.load import INDIVIDUAL_NUMBERS
from bus.errors import FieldWithheld, NotEntitled
from bus.model import (
    FLAG,
    HEADER,
    PROTECTION,
    Condition,
    Ground,
    Keeping,
    Mask,
    MaskKey,
    MaskKind,
    Mode,
    Sensitivity,
    Stream,
    Suppression,
    View,
    ViewColumn,
    in_header,
)
from bus.policy.check import judged, unfindable, withholds
from bus.policy.grants import Grant, Subscription
from bus.policy.leaves import Leaf, covers, leaves_of
from bus.policy.masking import effect, left_of

LEDGER = "ledger"
PARTITION = "log_partition"
OFFSET = "log_offset"

_LEDGER_HEADER = frozenset(
    f"{HEADER}.{name}"
    for name in (
        "municipality_code", "subject_id", "version", "event_id", "event_type", "nature",
        "change_id", "change_size", "change_index", "processed_at", "source", "cancels",
    )
)  # fmt: skip
_HEADER_ORDER = (
    "municipality_code", "subject_id", "version", "event_id", "event_type", "nature", "change_id",
    "change_size", "change_index", "reason", "effective_date", "notified_on", "processed_at",
    "source", "cancels",
)  # fmt: skip


def compile_view(
    subscription: Subscription,
    stream: Stream,
    today: date,
    keys: Mapping[str, MaskKey] = MappingProxyType({}),
) -> View:
    """The view of *stream* that *subscription* gives its system.

    Args:
        subscription: A loaded subscription; what it grants of *stream* is used, nothing else.
        stream: The stream, with its newest version last.
        today: The day on which the grant must be in force, both ends included.
        keys: System -> its own key for the mask ``keyed_hash``.

    Raises:
        NotEntitled: The subscription has no grant for this stream, or none in force *today*; or
            it withholds a location and has none for protection.
        FieldWithheld: An item that was granted, or one beside it, may not go out.
    """
    where = {"system": subscription.system, "stream": stream.name}
    grant = subscription.streams.get(stream.name)
    if grant is None:
        raise NotEntitled("no subscription covers this system and stream", **where)
    _refuse_out_of_force(grant, today, where)
    if withholds(grant, stream):
        protection = subscription.streams.get(PROTECTION)
        if protection is None:
            raise NotEntitled("a location is granted without the stream protection", **where)
        _refuse_out_of_force(protection, today, {**where, "needs": PROTECTION})

    columns = columns_of(grant, stream, keys.get(subscription.system))
    restricted = [c.path for c in columns if c.sensitivity is Sensitivity.RESTRICTED]
    if restricted and grant.number_use is None:
        raise FieldWithheld("a restricted item has no ordinance", field=restricted[0], **where)
    if stream.has_location and not any(column.path == FLAG for column in columns):
        raise FieldWithheld("a stream with a location has no protection flag", **where)
    _refuse_unfindable(stream, columns, where)
    for column in columns:
        mask = column.mask
        if mask is not None and mask.kind is MaskKind.KEYED_HASH and mask.key is None:
            raise FieldWithheld(
                "a mask needs a key that is not configured", field=column.path, **where
            )
    return _view(
        system=subscription.system,
        stream=stream,
        keeping=Keeping.STATE,
        columns=columns,
        event_types=grant.event_types,
        suppression=grant.suppression,
        conditions=_conditions(grant, stream, where),
        mode=grant.mode,
        may_have_restricted=bool(restricted),
        system_ja=subscription.ja,
        ground=_ground(grant),
    )


def _ground(grant: Grant) -> Ground:
    return Ground(
        legal_basis=str(grant.legal_basis),
        number_use="" if grant.number_use is None else str(grant.number_use),
        purpose=grant.purpose,
        approver=grant.approver,
        approved_on=grant.approved_on,
        expires_on=grant.expires_on,
    )


def last_day(subscription: Subscription, stream: Stream) -> date:
    """The last day on which a view of *stream* may be used: the grant's, or protection's before.

    Raises:
        NotEntitled: The subscription does not grant this stream.
    """
    grant = subscription.streams.get(stream.name)
    if grant is None:
        raise NotEntitled(
            "no subscription covers this system and stream",
            system=subscription.system, stream=stream.name,
        )  # fmt: skip
    needed = [grant]
    if withholds(grant, stream) and PROTECTION in subscription.streams:
        needed.append(subscription.streams[PROTECTION])
    return min(each.expires_on for each in needed)


def columns_of(grant: Grant, stream: Stream, key: MaskKey | None = None) -> list[ViewColumn]:
    """The columns of *stream* that *grant* shows, as its masks leave them.

    Args:
        key: The system's own; without it a keyed hash has none, and no view may be made of it.

    Raises:
        FieldWithheld: The stream has no such item, nobody has judged one, or a mask does not fit.
    """
    columns = _columns(stream)
    for path in grant.fields:
        if not any(covers(path, column.path) for column in columns):
            raise FieldWithheld("the stream has no such field", stream=stream.name, field=path)
    chosen = [
        column
        for column in columns
        if in_header(column.path) or column.path == FLAG or grant.grants(column.path)
    ]
    return _masked(chosen, grant, stream, key)


def _refuse_out_of_force(grant: Grant, today: date, where: Mapping[str, str]) -> None:
    if today > grant.expires_on:
        raise NotEntitled("the subscription has expired", expired=grant.expires_on, **where)
    if today < grant.approved_on:
        raise NotEntitled("the subscription is not in force yet", **where)


def _conditions(grant: Grant, stream: Stream, where: Mapping[str, str]) -> tuple[Condition, ...]:
    known = sensitivities(stream)
    for condition in grant.conditions:
        if known.get(condition.path) not in (Sensitivity.PLAIN, Sensitivity.PERSONAL):
            raise FieldWithheld("a condition may not ask this", field=condition.path, **where)
    return grant.conditions


def _masked(
    columns: Sequence[ViewColumn], grant: Grant, stream: Stream, key: MaskKey | None
) -> list[ViewColumn]:
    """*columns* as the masks of *grant* leave them."""
    if not grant.masks:
        return list(columns)
    leaves = {leaf.path: leaf for leaf in leaves_of(arrow_schema(stream.latest))}
    effects: dict[str, MaskKind] = {}
    for path, kind in grant.masks.items():
        found = effect(kind, path, list(leaves.values()), frozenset(stream.sealed))
        if found is None or path == FLAG or not grant.grants(path):
            raise FieldWithheld(
                "a mask does not fit the item", stream=stream.name, field=path, mask=kind.value
            )
        effects |= found
    return [
        _under(column, effects[column.path], leaves[column.path], key)
        if column.path in effects
        else column
        for column in columns
    ]


def _under(column: ViewColumn, kind: MaskKind, leaf: Leaf, key: MaskKey | None) -> ViewColumn:
    left, is_nullable = left_of(leaf, kind)
    return replace(
        column,
        type=left,
        is_nullable=is_nullable or column.sensitivity is Sensitivity.LOCATION,
        mask=Mask(kind, key if kind is MaskKind.KEYED_HASH else None),
        is_sealed=False,  # what such a mask leaves, it leaves of the sealed text
    )


def ledger_view(stream: Stream) -> View:
    """What the ledger keeps of *stream*: one row per event, identifiers only.

    An internal stream (receipts, exceptions, operations) holds nothing else and is kept whole.

    Raises:
        FieldWithheld: The stream has an item that may not go out.
    """
    columns = _columns(stream)
    if not stream.is_internal:
        columns = [column for column in columns if column.path in _LEDGER_HEADER]
    place = [
        ViewColumn(PARTITION, "", pa.int32(), Sensitivity.PLAIN, "区画", is_nullable=False),
        ViewColumn(OFFSET, "", pa.int64(), Sensitivity.PLAIN, "位置", is_nullable=False),
    ]
    return _view(
        system=LEDGER,
        stream=stream,
        keeping=Keeping.HISTORY,
        columns=[*columns, *place],
        event_types=(),
        suppression=Suppression.WITHHOLD,
    )


def sensitivities(stream: Stream) -> dict[str, Sensitivity]:
    """Leaf path -> sensitivity: the strictest of the item and what holds it.

    Raises:
        FieldWithheld: A leaf of the newest schema has no item, so that nobody has judged it.
    """
    known = {item.path: item.sensitivity for item in stream.items}
    found = {}
    for leaf in leaves_of(arrow_schema(stream.latest)):
        if not any(path in known for path in _upwards(leaf.path)):
            raise FieldWithheld("an item has no sensitivity", stream=stream.name, field=leaf.path)
        found[leaf.path] = judged(leaf.path, known)
    return found


def _columns(stream: Stream) -> list[ViewColumn]:
    """Every column that a view of *stream* may have: header first, then flag, then the body."""
    words = sensitivities(stream)
    names = {item.path: item.ja for item in stream.items}
    columns = []
    for leaf in sorted(leaves_of(arrow_schema(stream.latest)), key=_place):
        sensitivity = words[leaf.path]
        if sensitivity is Sensitivity.RESTRICTED and stream.name != INDIVIDUAL_NUMBERS:
            raise FieldWithheld(
                "a restricted item is in a general stream", stream=stream.name, field=leaf.path
            )
        ja = next((names[path] for path in _upwards(leaf.path) if path in names), "")
        nullable = leaf.is_nullable or sensitivity is Sensitivity.LOCATION
        columns.append(
            ViewColumn(
                leaf.name,
                leaf.path,
                leaf.type,
                sensitivity,
                ja,
                nullable,
                is_sealed=leaf.path in stream.sealed,
            )
        )
    return columns


def _place(leaf: Leaf) -> tuple[int, int]:
    """A leaf's place in the order of columns: header, flag, then the body as declared."""
    if leaf.path == FLAG:
        return (1, 0)
    head, _, rest = leaf.path.partition(".")
    if head != HEADER:
        return (2, 0)
    name = rest.partition(".")[0]
    return (0, _HEADER_ORDER.index(name) if name in _HEADER_ORDER else len(_HEADER_ORDER))


def _view(
    *,
    system: str,
    stream: Stream,
    keeping: Keeping,
    columns: Sequence[ViewColumn],
    event_types: Iterable[str],
    suppression: Suppression,
    conditions: tuple[Condition, ...] = (),
    mode: Mode = Mode.AUTO_APPLY,
    may_have_restricted: bool = False,
    system_ja: str = "",
    ground: Ground | None = None,
) -> View:
    _refuse_doubles(stream, columns)
    view = View(
        system=system,
        stream=stream.name,
        keeping=keeping,
        columns=tuple(columns),
        event_types=frozenset(event_types),
        suppression=suppression,
        fingerprint="",
        conditions=conditions,
        mode=mode,
        may_have_restricted=may_have_restricted,
        located=stream.located,
        ground=ground,
        schema_version=stream.latest.version,
        system_ja=system_ja,
        stream_ja=stream.ja,
    )
    said = _statement(view, stream)
    return replace(view, statement=said, fingerprint=hashlib.sha256(said.encode()).hexdigest())


def _refuse_unfindable(
    stream: Stream, columns: Sequence[ViewColumn], where: Mapping[str, str]
) -> None:
    shown = {column.path for column in columns if column.mask is None}
    is_located = any(column.sensitivity is Sensitivity.LOCATION for column in columns)
    for path in unfindable(stream, shown, has_location=is_located):
        raise FieldWithheld(
            "a location, or the flag, is granted without the ids by which its rows are found under"
            " protection",
            field=path,
            **where,
        )


def _refuse_doubles(stream: Stream, columns: Sequence[ViewColumn]) -> None:
    seen: dict[str, str] = {}
    for column in columns:
        if column.name in seen:
            raise FieldWithheld(
                "two items flatten to one column name",
                stream=stream.name,
                field=column.path,
                other=seen[column.name] or column.name,
            )
        seen[column.name] = column.path


def _statement(view: View, stream: Stream) -> str:
    """Everything that decides what the system would see, and its ground, as canonical JSON.

    Its SHA-256 is the view's fingerprint, so that a receipt says both. Japanese names are labels
    and decide nothing; they are left out. A key is named by its id.
    """
    said: dict[str, object] = {
        "system": view.system,
        "stream": stream.name,
        "schema": stream.latest.fingerprint,
        "keeping": view.keeping.value,
        "columns": [
            [
                c.name, c.path, str(c.type), c.sensitivity.value, c.is_nullable,
                None if c.mask is None else str(c.mask),
            ]
            for c in view.columns
        ],
        "event_types": sorted(view.event_types),
        "conditions": [
            [c.path, c.comparison.value, [str(value) for value in c.values]]
            for c in view.conditions
        ],
        "suppression": view.suppression.value,
        "mode": view.mode.value,
        "located": list(view.located),
    }  # fmt: skip
    if view.ground is not None:
        said["ground"] = {
            "legal_basis": view.ground.legal_basis,
            "number_use": view.ground.number_use,
            "purpose": view.ground.purpose,
            "approver": view.ground.approver,
            "approved_on": view.ground.approved_on.isoformat(),
            "expires_on": view.ground.expires_on.isoformat(),
        }
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _upwards(path: str) -> list[str]:
    """*path* and every path that holds it, innermost first."""
    parts = path.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
