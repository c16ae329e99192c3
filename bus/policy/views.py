"""Subscription x stream = view: which rows, which columns, which masks.

A view is compiled from a reviewed subscription and the stream's newest schema, and is a value:
the same two give the same fingerprint on every machine, and any change of what a system would
see gives another. Whatever is not understood is not let out: an item without a sensitivity, a
restricted item, a location without the flag that protects it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import date

import pyarrow as pa

from bus.catalog.columns import arrow_schema
from bus.catalog.load import INDIVIDUAL_NUMBERS
from bus.errors import FieldWithheld, NotEntitled
from bus.model import Keeping, Sensitivity, Stream, Suppression, View, ViewColumn
from bus.policy.leaves import HEADER, Leaf, covers, leaves_of
from bus.policy.subscriptions import FLAG, Subscription

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


def compile_view(subscription: Subscription, stream: Stream, today: date) -> View:
    """What *subscription* lets its system see of *stream*.

    Args:
        subscription: A loaded subscription; what it grants of *stream* is used, nothing else.
        stream: The stream, with its newest version last.
        today: The day on which the grant must be in force, both ends included.

    Raises:
        NotEntitled: The subscription has no grant for this stream, or none in force *today*.
        FieldWithheld: An item that was granted, or one beside it, may not go out.
    """
    where = {"system": subscription.system, "stream": stream.name}
    grant = subscription.streams.get(stream.name)
    if grant is None:
        raise NotEntitled("no subscription covers this system and stream", **where)
    if today > grant.expires_on:
        raise NotEntitled("the subscription has expired", expired=grant.expires_on, **where)
    if today < grant.approved_on:
        raise NotEntitled("the subscription is not in force yet", **where)

    columns = _columns(stream)
    for path in grant.fields:
        if not any(covers(path, column.path) for column in columns):
            raise FieldWithheld("the stream has no such field", field=path, **where)
    chosen = [
        column
        for column in columns
        if _is_header(column.path)
        or column.path == FLAG
        or any(covers(path, column.path) for path in grant.fields)
    ]
    if stream.has_location and not any(column.path == FLAG for column in chosen):
        raise FieldWithheld("a stream with a location has no protection flag", **where)
    return _view(
        system=subscription.system,
        stream=stream,
        keeping=Keeping.STATE,
        columns=chosen,
        event_types=grant.event_types,
        suppression=grant.suppression,
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
    """Leaf path -> how carefully it is handled: the strictest of the item and what holds it.

    Raises:
        FieldWithheld: A leaf of the newest schema has no item, so that nobody has judged it.
    """
    known = {item.path: item.sensitivity for item in stream.items}
    found = {}
    for leaf in leaves_of(arrow_schema(stream.latest)):
        judged = [known[path] for path in _upwards(leaf.path) if path in known]
        if not judged:
            raise FieldWithheld("an item has no sensitivity", stream=stream.name, field=leaf.path)
        found[leaf.path] = max(judged, key=_STRICTNESS.index)
    return found


_STRICTNESS = (
    Sensitivity.PLAIN, Sensitivity.PERSONAL, Sensitivity.LOCATION, Sensitivity.RESTRICTED
)  # fmt: skip


def _columns(stream: Stream) -> list[ViewColumn]:
    """Every column that a view of *stream* may have: header first, then flag, then the body."""
    judged = sensitivities(stream)
    names = {item.path: item.ja for item in stream.items}
    columns = []
    for leaf in sorted(leaves_of(arrow_schema(stream.latest)), key=_place):
        sensitivity = judged[leaf.path]
        if sensitivity is Sensitivity.RESTRICTED and stream.name != INDIVIDUAL_NUMBERS:
            raise FieldWithheld(
                "a restricted item is in a general stream", stream=stream.name, field=leaf.path
            )
        ja = next((names[path] for path in _upwards(leaf.path) if path in names), "")
        nullable = leaf.is_nullable or sensitivity is Sensitivity.LOCATION
        columns.append(ViewColumn(leaf.name, leaf.path, leaf.type, sensitivity, ja, nullable))
    return columns


def _place(leaf: Leaf) -> tuple[int, int]:
    """Where a leaf stands: the header in its own order, the flag, then the body as declared."""
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
) -> View:
    _refuse_restricted(stream, columns)
    _refuse_doubles(stream, columns)
    selected = frozenset(event_types)
    return View(
        system=system,
        stream=stream.name,
        keeping=keeping,
        columns=tuple(columns),
        event_types=selected,
        suppression=suppression,
        fingerprint=_fingerprint(system, stream, keeping, columns, selected, suppression),
    )


def _refuse_restricted(stream: Stream, columns: Sequence[ViewColumn]) -> None:
    for column in columns:
        if column.sensitivity is Sensitivity.RESTRICTED:
            raise FieldWithheld(
                "a restricted item may not go out", stream=stream.name, field=column.path
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


def _fingerprint(
    system: str,
    stream: Stream,
    keeping: Keeping,
    columns: Sequence[ViewColumn],
    event_types: frozenset[str],
    suppression: Suppression,
) -> str:
    """SHA-256 in hex of everything that decides what the system would see.

    Japanese names are labels and decide nothing; they are left out.
    """
    said = {
        "system": system,
        "stream": stream.name,
        "schema": stream.latest.fingerprint,
        "keeping": keeping.value,
        "columns": [
            [c.name, c.path, str(c.type), c.sensitivity.value, c.is_nullable] for c in columns
        ],
        "event_types": sorted(event_types),
        "suppression": suppression.value,
    }
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_header(path: str) -> bool:
    return path.startswith(f"{HEADER}.")


def _upwards(path: str) -> list[str]:
    """*path* and every path that holds it, innermost first."""
    parts = path.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
