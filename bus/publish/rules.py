"""Rules between items of one record: a small registry, by stream, of functions over columns.

The header's rules hold for every stream. Each rule is a generator of findings; adding one is a
function and its line in ``RULES``. What needs other records (versions, the rest of a change) is
in :mod:`bus.publish.versions` and :mod:`bus.publish.whole`.

Source: 住民記録システム標準仕様書 v1.0: 1.1.6 (what is never blank), 1.1.10 (a household without a
head), 2.11's states after an event, 3.1 (支援措置), 4.0.3 (異動日 is not after today except for
転出), 4.6 (取消し).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from bus.model import Nature, Severity, Stream
from bus.publish.finding import Finding, Records
from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc

Rule = Callable[[Records, datetime], Iterator[Finding]]

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a publisher's clock may run ahead unmentioned."""
CLOCK_LIMIT = timedelta(hours=24)
"""How far it may run ahead at all; between the two it is a warning: nothing is ordered by it."""

_JAPAN_AHEAD = timedelta(hours=9)
_EARLIEST_PROCESSING = datetime(1950, 1, 1)  # noqa: DTZ001 - compared as UTC


def find(stream: Stream, records: Records, now: datetime) -> Iterator[Finding]:
    """What the header's rules and those of *stream* find."""
    for rule in (*HEADER_RULES, *RULES.get(stream.name, ())):
        yield from rule(records, now)


# -- the header ---------------------------------------------------------------------------------


def place_in_change(records: Records, _now: datetime) -> Iterator[Finding]:
    """A record's index lies within the size of its change."""
    index, size = (records.column(f"header.change_{name}") for name in ("index", "size"))
    beyond = pc.greater_equal(index, size)
    yield from records.find(
        beyond, "change-index", "an index below change_size", "header.change_index"
    )


def processing_time(records: Records, now: datetime) -> Iterator[Finding]:
    """処理日時 is the system's own clock: it may be wrong, but not absurd.

    A clock an hour ahead is reported and passes: it must not stop a municipality, and order
    hangs on versions. A clock behind cannot be told from a change that waited.
    """
    at, path = records.column("header.processed_at"), "header.processed_at"
    latest = pc.max(at).value
    if latest is not None and latest > _micros(now + CLOCK_TOLERANCE):
        ahead = pc.greater(at, _moment(now + CLOCK_TOLERANCE, at.type))
        absurd = pc.greater(at, _moment(now + CLOCK_LIMIT, at.type))
        doubtful = pc.and_not(ahead, absurd)
        expected = "no time ahead of the bus's clock"
        yield from records.find(doubtful, "clock-ahead", expected, path, Severity.WARNING)
        yield from records.find(absurd, "processed-at", "a time that is not in the future", path)
    early = pc.less(at, pa.scalar(_EARLIEST_PROCESSING, pa.timestamp("us")).cast(at.type))
    yield from records.find(early, "processed-at", "a time since 1950", path)


def reference_to_earlier_event(records: Records, _now: datetime) -> Iterator[Finding]:
    """What corrects or cancels says which event; nothing else does."""
    cancels, path = records.column("header.cancels"), "header.cancels"
    refers = _one_of(records.column("header.nature"), Nature.CORRECTION, Nature.CANCELLATION)
    absent = pc.and_(refers, pc.is_null(cancels))
    expected = "the id of the event that is corrected or cancelled"
    yield from records.find(absent, "cancels", expected, path)
    surplus = pc.and_not(pc.is_valid(cancels), refers)
    expected = "nothing where no event is corrected or cancelled"
    yield from records.find(surplus, "cancels", expected, path)
    itself = pc.equal(cancels, records.column("header.event_id"))
    yield from records.find(itself, "cancels", "the id of an earlier event", path)


HEADER_RULES: tuple[Rule, ...] = (place_in_change, processing_time, reference_to_earlier_event)


# -- resident -----------------------------------------------------------------------------------

_OPENING = ("resident.moved_in", "resident.born", "resident.registered_ex_officio")
_CLOSING = ("resident.moved_out", "resident.died", "resident.removed_ex_officio")
_MOVING_OUT = ("resident.move_out_filed", "resident.moved_out")
_MAY_BE_UNKNOWN = (
    *_OPENING, "resident.died", "resident.removed_ex_officio", "resident.corrected",
    "resident.reissued", "resident.change_cancelled",
)  # fmt: skip
_STATE_AFTER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "1": (*_OPENING, "resident.move_out_filed", "resident.address_changed"),
        "2": ("resident.moved_out",),
        "3": ("resident.died",),
        "9": ("resident.removed_ex_officio",),
    }
)


def nature_of_resident_event(records: Records, _now: datetime) -> Iterator[Finding]:
    """What kind of entry an event is fits what happened.

    RECORD goes with every event, because a first load hands over each subject's newest entry,
    whatever that was; only a cancellation is always called one.
    """
    yield from _nature(records, _OPENING, {Nature.RECORD, Nature.CORRECTION})
    yield from _nature(records, _CLOSING, {Nature.CESSATION, Nature.CORRECTION, Nature.RECORD})
    yield from _nature(records, ("resident.change_cancelled",), {Nature.CANCELLATION})
    others = {Nature.CHANGE, Nature.CORRECTION, Nature.RECORD}
    named = (*_OPENING, *_CLOSING, "resident.change_cancelled")
    yield from _nature(records, named, others, except_named=True)


def state_after_event(records: Records, _now: datetime) -> Iterator[Finding]:
    """住民状態 is what the event leaves behind."""
    event, state = records.column("header.event_type"), records.column("resident_state")
    for expected, events in _STATE_AFTER.items():
        incoherent = pc.and_(_one_of(event, *events), pc.not_equal(state, expected))
        said = f"the state after this event, {expected}"
        yield from records.find(incoherent, "state", said, "resident_state")


def never_blank(records: Records, _now: datetime) -> Iterator[Finding]:
    """A resident has an address, and everybody a date of birth, if only as text."""
    is_resident = pc.equal(records.column("resident_state"), "1")
    homeless = pc.and_(is_resident, pc.is_null(records.column("address")))
    yield from records.find(homeless, "missing", "a resident's address", "address")
    date, text = records.column("birth_date.date"), records.column("birth_date.text")
    unborn = pc.and_(pc.is_null(date), pc.is_null(text))
    yield from records.find(unborn, "missing", "a date, or its text", "birth_date.date")


def dates_of_resident(records: Records, _now: datetime) -> Iterator[Finding]:
    """Nothing has happened tomorrow, except that somebody will have moved out."""
    today = _day_in_japan(records.column("header.processed_at"))
    event, path = records.column("header.event_type"), "header.effective_date.date"
    ahead = pc.greater(records.column(path), today)
    ahead = pc.and_not(ahead, _one_of(event, *_MOVING_OUT, "resident.change_cancelled"))
    expected = "no day after the day of processing, except for 転出"
    yield from records.find(ahead, "effective-date", expected, path)
    unknown = records.column("header.effective_date.unknown")
    odd = pc.and_not(unknown, _one_of(event, *_MAY_BE_UNKNOWN))
    expected = "a known day, except for 出生, 死亡 and 職権"
    path = "header.effective_date.unknown"
    yield from records.find(odd, "effective-date", expected, path, Severity.WARNING)
    unborn = pc.greater(records.column("birth_date.date"), today)
    yield from records.find(unborn, "birth-date", "no day after processing", "birth_date.date")


# -- household ----------------------------------------------------------------------------------

_HEAD = "02"  # 続柄 世帯主


def household_members(records: Records, _now: datetime) -> Iterator[Finding]:
    """The members are as many as said, each once, and the head is one of them or absent."""
    head, members = records.column("head_subject_id"), records.column("members")
    miscounted = pc.not_equal(pc.list_value_length(members), records.column("member_count"))
    yield from records.find(miscounted, "member-count", "the number of members", "member_count")

    household = pc.cast(pc.list_parent_indices(members), pa.int64())
    entries = pc.list_flatten(members)
    member = pc.struct_field(entries, "subject_id")
    is_head = pc.fill_null(pc.equal(member, pc.take(head, household)), False)
    headed = pc.filter(household, is_head)
    row = pa.array(range(len(head)), pa.int64())
    stranger = pc.and_not(pc.is_valid(head), pc.is_in(row, value_set=headed))
    yield from records.find(stranger, "head", "one of the members, or none", "head_subject_id")

    relationship = pc.struct_field(entries, "relationship")
    called_head = pc.and_not(pc.equal(relationship, _HEAD), is_head)
    yield from _in_lists(records, household, called_head, "head", "世帯主 for the head alone")
    otherwise = pc.and_(is_head, pc.not_equal(relationship, _HEAD))
    yield from _in_lists(records, household, otherwise, "head", "世帯主 for the head")

    named = pc.binary_join_element_wise(pc.cast(household, pa.string()), member, "/")
    if pc.count_distinct(named).as_py() < len(named):
        seen: set[str] = set()
        again = []
        for name in named.to_pylist():
            again.append(name in seen)
            seen.add(name)
        path = "members.subject_id"
        yield from _in_lists(records, household, pa.array(again), "repeated", "each once", path)


# -- protection ---------------------------------------------------------------------------------


def protection_state(records: Records, _now: datetime) -> Iterator[Finding]:
    """Ended is ended, by an act and not by a date; while it lasts, something is suppressed."""
    event, status = records.column("header.event_type"), records.column("status")
    ends = pc.equal(event, "protection.ended")
    ended = pc.equal(_text(status), "ENDED")
    incoherent = pc.xor(ends, ended)
    expected = "ENDED with protection.ended, and only there"
    yield from records.find(incoherent, "state", expected, "status")
    nothing = pc.equal(pc.list_value_length(records.column("suppresses")), 0)
    idle = pc.and_not(nothing, ended)
    yield from records.find(idle, "missing", "what is suppressed", "suppresses")
    nature = pc.and_(pc.invert(ends), _one_of(records.column("header.nature"), Nature.CESSATION))
    expected = "CESSATION with protection.ended alone"
    yield from records.find(nature, "nature", expected, "header.nature")


def protection_dates(records: Records, _now: datetime) -> Iterator[Finding]:
    """A protection does not end before it starts."""
    reversed_ = pc.less(records.column("ends_on"), records.column("started_on"))
    yield from records.find(reversed_, "date-order", "a day not before started_on", "ends_on")


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "resident": (nature_of_resident_event, state_after_event, never_blank, dates_of_resident),
        "household": (household_members,),
        "protection": (protection_state, protection_dates),
    }
)


# -- columns ------------------------------------------------------------------------------------


def _nature(
    records: Records,
    events: tuple[str, ...],
    natures: set[Nature],
    *,
    except_named: bool = False,
) -> Iterator[Finding]:
    among = _one_of(records.column("header.event_type"), *events)
    if except_named:
        among = pc.invert(among)
    unfit = pc.and_not(among, _one_of(records.column("header.nature"), *natures))
    expected = "with this event type " + ", ".join(sorted(natures))
    yield from records.find(unfit, "nature", expected, "header.nature")


def _in_lists(
    records: Records,
    parents: Column,
    mask: Mask,
    code: str,
    expected: str,
    path: str = "members.relationship",
) -> Iterator[Finding]:
    rows = pc.filter(parents, pc.fill_null(mask, False))
    if len(rows):
        yield Finding(code, expected, path, records.ja(path), rows)


def _one_of(column: Column, *values: str) -> Mask:
    return pc.is_in(_text(column), value_set=pa.array([str(value) for value in values]))


def _text(column: Column) -> Column:
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())


def _micros(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def _moment(at: datetime, type_: pa.DataType) -> Any:
    return pa.scalar(_micros(at), pa.int64()).cast(pa.timestamp("us")).cast(type_)


def _day_in_japan(at: Column) -> Column:
    """The day on which a moment falls in Japan, which has no summer time."""
    micros = pc.add(pc.cast(at, pa.int64()), round(_JAPAN_AHEAD.total_seconds() * 1_000_000))
    return pc.cast(pc.cast(micros, pa.timestamp("us")), pa.date32(), safe=False)
