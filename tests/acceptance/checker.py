"""An independent judge of a run: was anything lost, doubled, reordered, unmasked or unproven?

It compares what the core system committed with what sixteen stores hold, from the words of
``docs/delivery.md`` alone. It shares no code with the product (a test holds it to that), and its
own tests plant faults that it must find.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from typing import Any

from tests.acceptance.evidence import Entry, Evidence, Grant, Lane, Logged

LOCATIONS = ("address", "previous_address", "forwarding_address")
TOWN = ("municipality_code", "town_code", "prefecture", "municipality", "town")
IN_FORCE = ("PROVISIONAL", "ACTIVE")
ALWAYS = frozenset(
    [
        *("municipality_code", "subject_id", "version", "event_id", "event_type", "nature"),
        *("change_id", "change_size", "change_index", "reason", "effective_date"),
        *("effective_date_unknown", "effective_date_text", "notified_on", "processed_at"),
        *("source", "cancels", "protected", "renkei_applied_at"),
    ]
)
"""Columns that every store has, whatever is granted."""
NO_PREVIOUS = "0" * 64
_DAY = {"date", "unknown", "text"}  # a date that may be unknown


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that may not be. ``what`` holds identifiers only."""

    kind: str  # lost, invented, doubled, reordered, differs, unmasked, unproven
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


def judge(evidence: Evidence) -> list[Finding]:
    """Everything that is wrong; an empty list if all that was promised was kept."""
    return [
        *_log_has_what_was_sent(evidence),
        *_log_is_in_order(evidence),
        *_stores_hold_the_newest(evidence),
        *_stores_never_went_back(evidence),
        *_receipts_prove_it(evidence),
        *_ledger_saw_it(evidence),
    ]


# -- source and log ------------------------------------------------------------------------


def _log_has_what_was_sent(evidence: Evidence) -> Iterator[Finding]:
    if evidence.pending:
        yield Finding("lost", f"{evidence.pending} changes are still in the outbox")
    logged: dict[tuple[str, str, int], list[Logged]] = defaultdict(list)
    for record in evidence.log:
        header = record.header
        logged[record.stream, header["subject_id"], header["version"]].append(record)
    entered = {(e.stream, e.subject, e.version): e for e in evidence.entries}
    for key, entry in entered.items():
        if entry.change_id not in evidence.sent:
            continue
        found = logged.get(key, [])
        if not found:
            yield Finding("lost", f"{_name(entry)} is not in the log")
        for record in found:
            if not _says_the_same(entry, record):
                yield Finding("differs", f"{_name(entry)} at offset {record.offset}")
    for key, found in logged.items():
        if len(found) > 1:
            yield Finding("doubled", f"{_joined(key)} is {len(found)} times in the log")
        if key not in entered:
            yield Finding("invented", f"{_joined(key)} is in the log and in no source")
    ids = Counter(record.header["event_id"] for record in evidence.log)
    for event_id, count in ids.items():
        if count > 1:
            yield Finding("doubled", f"event {event_id} is {count} times in the log")


def _says_the_same(entry: Entry, record: Logged) -> bool:
    return (
        record.header["change_id"] == entry.change_id
        and record.header["event_type"] == entry.event_type
        and all(_plain(record.event[name]) == value for name, value in entry.body.items())
    )


def _log_is_in_order(evidence: Evidence) -> Iterator[Finding]:
    versions: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for record in sorted(evidence.log, key=lambda each: (each.partition, each.offset)):
        header = record.header
        if record.key != f"{header['municipality_code']}/{header['subject_id']}":
            yield Finding("reordered", f"{record.stream} {record.offset} has another's key")
        versions[record.stream, record.key].append((record.partition, header["version"]))
    for key, found in versions.items():
        if len({partition for partition, _ in found}) > 1:
            yield Finding("reordered", f"{_joined(key)} is in several partitions")
        if any(after < before for (_, before), (_, after) in pairwise(found)):
            yield Finding("reordered", f"{_joined(key)}: a lower version follows in the log")


# -- stores --------------------------------------------------------------------------------


def _stores_hold_the_newest(evidence: Evidence) -> Iterator[Finding]:
    protected = _under_protection(evidence)
    for system, granted in evidence.grants.items():
        for stream, grant in granted.items():
            newest: dict[str, Entry] = {}
            for entry in evidence.entries:
                if (
                    entry.stream == stream
                    and entry.event_type in grant.event_types
                    and entry.change_id in evidence.sent
                    and (
                        entry.subject not in newest or entry.version > newest[entry.subject].version
                    )
                ):
                    newest[entry.subject] = entry
            rows = evidence.rows[system][stream]
            for subject, count in Counter(row["subject_id"] for row in rows).items():
                if count > 1:
                    yield Finding("doubled", f"{system} has {stream} {subject} {count} times")
            held = {row["subject_id"]: row for row in rows}
            for subject in held.keys() - newest.keys():
                yield Finding("invented", f"{system} has {stream} {subject}, no source has")
            for subject, entry in newest.items():
                if subject not in held:
                    yield Finding("lost", f"{system} lacks {_name(entry)}")
                else:
                    is_protected = bool(entry.body.get("protected")) or subject in protected
                    yield from _row_is_right(system, grant, entry, held[subject], is_protected)


def _is_masked(column: str, masks: Mapping[str, str]) -> bool:
    """Whether a mask leaves nothing of a column. These streams are granted under one kind alone."""
    for masked, kind in masks.items():
        flat = masked.replace(".", "_")
        if column.startswith(f"{flat}_"):
            assert kind == "town_only"
            return column.removeprefix(f"{flat}_") not in TOWN
    return False


def _row_is_right(
    system: str, grant: Grant, entry: Entry, row: Mapping[str, Any], is_protected: bool
) -> Iterator[Finding]:
    if row["version"] != entry.version:
        kind = "lost" if row["version"] < entry.version else "invented"
        yield Finding(kind, f"{system} has version {row['version']} instead of {_name(entry)}")
        return
    if (row["event_type"], row["change_id"]) != (entry.event_type, entry.change_id):
        yield Finding("differs", f"{system}: {_name(entry)} under another change")
    for column, value in row.items():
        path = _granted_path(column, grant.fields)
        if path is None:
            if column not in ALWAYS:
                yield Finding("unmasked", f"{system}: {_name(entry)} shows {column}, not granted")
            continue
        is_location = path.split(".")[0] in LOCATIONS
        if (is_location and is_protected and not grant.is_capable) or _is_masked(
            column, grant.masks
        ):
            if value is not None:
                yield Finding("unmasked", f"{system}: {_name(entry)} shows {column}")
        elif path == "protected":
            if value is not is_protected:
                yield Finding("unmasked", f"{system}: the flag of {_name(entry)} is {value}")
        elif _plain(value) != _expected(column, path, entry.body):
            yield Finding("differs", f"{system}: {column} of {_name(entry)}")


def _under_protection(evidence: Evidence) -> set[str]:
    newest = {e.subject: e for e in evidence.entries if e.stream == "protection"}  # ascending
    return {subject for subject, e in newest.items() if e.body["status"] in IN_FORCE}


@cache
def _granted_path(column: str, paths: tuple[str, ...]) -> str | None:
    """Which granted field a flat column belongs to: the one with the longest name that fits."""
    fitting = [
        path
        for path in paths
        if column == (flat := path.replace(".", "_")) or column.startswith(f"{flat}_")
    ]
    return max(fitting, key=len, default=None)


def _expected(column: str, path: str, body: Mapping[str, Any]) -> Any:
    value: Any = body
    for part in path.split("."):
        value = None if value is None else value[part]
    flat = dict(_flat(path.replace(".", "_"), value))
    return flat.get(column, [] if value == [] else None)


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Columns of a body's value, as ``docs/delivery.md`` and the subscriptions describe them."""
    if isinstance(value, Mapping) and value.keys() == _DAY:
        yield name, value["date"]
        yield f"{name}_unknown", value["unknown"]
        yield f"{name}_text", value["text"]
    elif isinstance(value, Mapping):
        for part, below in value.items():
            yield from _flat(f"{name}_{part}", below)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for part in value[0]:
            yield f"{name}_{part}", [each[part] for each in value]
    else:
        yield name, value


def _stores_never_went_back(evidence: Evidence) -> Iterator[Finding]:
    for system, steps in evidence.steps.items():
        for step in steps:
            where = f"{system}: {step.stream} {step.subject}"
            if step.operation == "DELETE":
                yield Finding("lost", f"{where} was deleted")
            elif step.operation == "UPDATE" and step.before is not None and step.after is not None:
                if step.after < step.before:
                    yield Finding("reordered", f"{where}: {step.after} over {step.before}")
                elif step.after == step.before:
                    yield Finding("doubled", f"{where}: {step.after} written again")


# -- proof ---------------------------------------------------------------------------------


def _receipts_prove_it(evidence: Evidence) -> Iterator[Finding]:
    lanes: dict[Lane, dict[str, dict[str, Any]]] = defaultdict(dict)
    for receipt in evidence.receipts:
        if chain_value(receipt) != receipt["chain"]:
            yield Finding("unproven", f"a receipt of {_lane_name(receipt)} was altered")
        lane = (receipt["system"], receipt["stream"], receipt["partition"])
        lanes[lane][receipt["chain"]] = receipt  # one that is owed after a crash is sent again
    log: dict[tuple[str, int], dict[int, Logged]] = defaultdict(dict)
    for record in evidence.log:
        log[record.stream, record.partition][record.offset] = record
    for system, granted in evidence.grants.items():
        for stream, grant in granted.items():
            for (of, partition), end in evidence.ends.items():
                if of == stream:
                    receipts = lanes.pop((system, stream, partition), {})
                    records = log[stream, partition]
                    wanted = {
                        offset
                        for offset, record in records.items()
                        if record.header["event_type"] in grant.event_types
                    }
                    for what in _lane_is_proven(receipts, records, wanted, end, evidence.keys):
                        yield Finding("unproven", f"{system}/{stream}/{partition}: {what}")
    for lane in lanes:
        yield Finding("unproven", f"receipts of {_joined(lane)}, which has no grant")


def _lane_is_proven(
    receipts: Mapping[str, dict[str, Any]],
    records: Mapping[int, Logged],
    wanted: set[int],
    end: int,
    keys: Mapping[str, bytes],
) -> Iterator[str]:
    """What is wrong with the receipts of one lane."""
    following = {receipt["previous"]: receipt for receipt in receipts.values()}
    link, at, seen = NO_PREVIOUS, 0, 0
    delivered: set[int] = set()
    while (receipt := following.get(link)) is not None and seen <= len(receipts):
        offsets = _offsets(receipt["delivered"])
        if receipt["start"] != at:
            yield f"a receipt starts at {receipt['start']}, the one before ended at {at}"
        is_replay = receipt["start"] == receipt["end"]
        within = range(at) if is_replay else range(receipt["start"], receipt["end"])
        if any(offset not in within for offset in offsets):
            yield f"the receipt that ends at {receipt['end']} speaks of offsets outside it"
        if receipt["rows"] != len(offsets):
            yield f"the receipt that ends at {receipt['end']} counts {receipt['rows']} rows"
        values = b"".join(records[o].value if o in records else b"?" for o in offsets)
        if not is_keyed_digest(receipt["digest"], values, keys):
            yield f"the digest of the receipt that ends at {receipt['end']} is another"
        delivered |= set(offsets)
        link, at, seen = receipt["chain"], receipt["end"], seen + 1
    if seen != len(receipts):
        yield f"the chain has {seen} of {len(receipts)} receipts"
    if at != end:
        yield f"the receipts end at {at}, the log at {end}"
    if delivered != wanted:
        yield f"receipts lack {len(wanted - delivered)} events, {len(delivered - wanted)} too many"


def is_keyed_digest(said: str, values: bytes, keys: Mapping[str, bytes]) -> bool:
    """Whether this is the HMAC of *values* under the key that it names: a bare digest would let
    whoever has the ledger try out what they may have been."""
    kind, _, rest = said.partition(":")
    name, _, made = rest.partition(":")
    if kind != "hmac-sha256" or name not in keys:
        return False
    own = hmac.new(keys[name], b"renkei digest", hashlib.sha256).digest()
    return hmac.new(own, values, hashlib.sha256).hexdigest() == made


def chain_value(receipt: Mapping[str, Any]) -> str:
    """SHA-256 in hex over the previous value and everything that a receipt states."""
    names = (
        "previous", "system", "stream", "partition", "start", "end", "delivered", "view", "rows",
        "digest",
    )  # fmt: skip
    said = "\x1f".join(str(receipt[name]) for name in names)
    return hashlib.sha256(said.encode()).hexdigest()


def _offsets(ranges: str) -> list[int]:
    return [
        offset
        for first, end in re.findall(r"\[(\d+),(\d+)\)", ranges)
        for offset in range(int(first), int(end))
    ]


def _ledger_saw_it(evidence: Evidence) -> Iterator[Finding]:
    told = {receipt["chain"] for receipt in evidence.receipts}
    if told != evidence.ledger_chains:
        lacking, more = len(told - evidence.ledger_chains), len(evidence.ledger_chains - told)
        yield Finding("unproven", f"the ledger lacks {lacking} receipts and has {more} too many")
    logged = Counter(
        (record.stream, record.partition, record.offset, record.header["event_id"])
        for record in evidence.log
    )
    known = Counter(evidence.ledger_events)
    if logged != known:
        lacking, more = len(logged - known), len(known - logged)
        yield Finding("unproven", f"the ledger lacks {lacking} events and has {more} too many")


# -- small things --------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """*value* as JSON has it."""
    if isinstance(value, Mapping):
        return {name: _plain(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    return value.isoformat() if isinstance(value, date) else value


def _name(entry: Entry) -> str:
    return f"{entry.stream} {entry.subject} version {entry.version}"


def _lane_name(receipt: Mapping[str, Any]) -> str:
    return f"{receipt['system']}/{receipt['stream']}/{receipt['partition']}"


def _joined(parts: Sequence[Any]) -> str:
    return "/".join(map(str, parts))
