"""Rules between the items of a record of the register: resident, household, protection.

Source: 住民記録システム標準仕様書 v1.0: 1.1.6 (what is never blank), 1.1.10 (a household without a
head), 2.11's states after an event, 3.1 (支援措置), 4.0.3 (異動日 is not after today except for
転出), 4.6 (取消し).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from bus.model import ENDED, Nature, Severity
from bus.policy.cases import SUPPRESSED
from bus.publish.finding import Finding, Records
from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import again, one_of, parents, text, today

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
        incoherent = pc.and_(one_of(event, *events), pc.not_equal(state, expected))
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
    day = today(records)
    event, path = records.column("header.event_type"), "header.effective_date.date"
    ahead = pc.greater(records.column(path), day)
    ahead = pc.and_not(ahead, one_of(event, *_MOVING_OUT, "resident.change_cancelled"))
    expected = "no day after the day of processing, except for 転出"
    yield from records.find(ahead, "effective-date", expected, path)
    unknown = records.column("header.effective_date.unknown")
    odd = pc.and_not(unknown, one_of(event, *_MAY_BE_UNKNOWN))
    expected = "a known day, except for 出生, 死亡 and 職権"
    path = "header.effective_date.unknown"
    yield from records.find(odd, "effective-date", expected, path, Severity.WARNING)
    unborn = pc.greater(records.column("birth_date.date"), day)
    yield from records.find(unborn, "birth-date", "no day after processing", "birth_date.date")


# -- household ----------------------------------------------------------------------------------

_HEAD = "02"  # 続柄 世帯主


def household_members(records: Records, _now: datetime) -> Iterator[Finding]:
    """The members are as many as said, each once, and the head is one of them or absent."""
    head, members = records.column("head_subject_id"), records.column("members")
    miscounted = pc.not_equal(pc.list_value_length(members), records.column("member_count"))
    yield from records.find(miscounted, "member-count", "the number of members", "member_count")

    household = parents(members)
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

    path = "members.subject_id"
    yield from _in_lists(
        records, household, again(household, member), "repeated", "each once", path
    )


# -- protection ---------------------------------------------------------------------------------


def protection_state(records: Records, _now: datetime) -> Iterator[Finding]:
    """Ended is ended, by an act and not by a date; while it lasts, something is suppressed.

    The record's state is the person's: an end leaves it while another case is open.
    """
    event, status = records.column("header.event_type"), records.column("status")
    ends = pc.equal(event, "protection.ended")
    ended = pc.equal(text(status), "ENDED")
    is_one = pc.equal(pc.list_value_length(records.column("cases")), 0)
    incoherent = pc.or_(pc.and_(is_one, pc.xor(ends, ended)), pc.and_not(ended, ends))
    expected = "ENDED with protection.ended, and only there"
    yield from records.find(incoherent, "state", expected, "status")
    nothing = pc.equal(pc.list_value_length(records.column("suppresses")), 0)
    idle = pc.and_not(nothing, ended)
    yield from records.find(idle, "missing", "what is suppressed", "suppresses")
    nature = pc.and_(pc.invert(ends), one_of(records.column("header.nature"), Nature.CESSATION))
    expected = "CESSATION with protection.ended alone"
    yield from records.find(nature, "nature", expected, "header.nature")


def protection_dates(records: Records, _now: datetime) -> Iterator[Finding]:
    """A protection does not end before it starts, and nobody has decided that tomorrow."""
    reversed_ = pc.less(records.column("ends_on"), records.column("started_on"))
    yield from records.find(reversed_, "date-order", "a day not before started_on", "ends_on")
    ahead = pc.greater(records.column("decided_on"), today(records))
    yield from records.find(ahead, "date-order", "no day after processing", "decided_on")


def protection_cases(records: Records, _now: datetime) -> Iterator[Finding]:
    """What a record says of a person's cases holds together, where it has them."""
    listed = pc.list_value_length(records.column("cases"))
    sharers = pc.list_value_length(records.column("sharers"))
    some = pc.indices_nonzero(pc.greater(pc.add(listed, sharers), 0)).to_pylist()
    try:
        rows = records.batch.take(pa.array(some, pa.int64())).to_pylist() if some else []
    except (ValueError, OverflowError):  # a day beyond all calendars is refused as that
        return
    found: dict[tuple[str, str, str], list[int]] = {}
    for at, row in zip(some, rows, strict=True):
        for wrong in _of_cases(row):
            found.setdefault(wrong, []).append(at)
    for (code, expected, path), where in found.items():
        yield Finding(code, expected, path, records.ja(path), pa.array(where, pa.int64()))


def _of_cases(row: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Code, what was expected, and path, of each thing wrong with a record's cases."""
    cases = [case for case in row["cases"] or () if case is not None]
    by_day = {case["started_on"]: case for case in cases}
    opened = [case for case in by_day.values() if case["status"] != ENDED]
    named = by_day.get(row["started_on"])
    ends = row["header"]["event_type"] == "protection.ended"
    if len(by_day) < len(cases):
        yield "repeated", "each case once, by the day on which it began", "cases.started_on"
    if named is None:
        yield "case", "one of the cases: the one that the event is about", "started_on"
    elif ends is not (named["status"] == ENDED):
        expected = "ENDED of the case that protection.ended is about, and of no other event's"
        yield "state", expected, "cases.status"
    if ends and row["decided_on"] is None:
        yield "missing", "the day on which the end was decided", "decided_on"
    states = {case["status"] for case in opened}
    state = "ACTIVE" if "ACTIVE" in states else "PROVISIONAL" if states else ENDED
    if row["status"] != state:
        expected = "ACTIVE if a case is, PROVISIONAL if one is open, else ENDED"
        yield "state", expected, "status"
    if any(not any(case[flag] for flag in SUPPRESSED) for case in opened):
        yield "missing", "what each open case suppresses", "cases.current_address"
    together = {SUPPRESSED[flag] for case in opened for flag in SUPPRESSED if case[flag]}
    if set(row["suppresses"] or ()) != together:
        yield "cases", "what the open cases suppress together", "suppresses"
    entries = [each for each in row["sharers"] or () if each is not None]
    if any(each["started_on"] not in by_day for each in entries):
        yield "case", "one of the cases", "sharers.started_on"
    days = {case["started_on"] for case in opened}
    shared = {each["subject_id"] for each in entries if each["started_on"] in days}
    if set(row["shared_with"] or ()) != shared:
        yield "cases", "everybody whom the open cases name together", "shared_with"


# -- columns ------------------------------------------------------------------------------------


def _nature(
    records: Records,
    events: tuple[str, ...],
    natures: set[Nature],
    *,
    except_named: bool = False,
) -> Iterator[Finding]:
    among = one_of(records.column("header.event_type"), *events)
    if except_named:
        among = pc.invert(among)
    unfit = pc.and_not(among, one_of(records.column("header.nature"), *natures))
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
