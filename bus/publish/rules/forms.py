"""Statements that many streams make, about items of their own: made here, used by each."""

from __future__ import annotations

from collections.abc import Callable

from bus.model import Nature
from bus.publish.finding import Records
from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import (
    absent,
    again,
    empty,
    entries,
    given,
    happened,
    one_of,
    text,
    today,
)
from bus.publish.rules.statement import Statement

Where = Callable[[Records], Mask]


def closes_with(*endings: str, always: bool = True) -> tuple[Statement, ...]:
    """A record closes (消除) with these events alone, and with them nothing merely changes.

    Args:
        always: Whether these events always close; otherwise they may.
    """

    def closes_otherwise(records: Records) -> Mask:
        closes = one_of(records.column("header.nature"), Nature.CESSATION)
        return pc.and_not(closes, happened(records, *endings)) if endings else closes

    def merely_changes(records: Records) -> Mask:
        changes = one_of(records.column("header.nature"), Nature.CHANGE)
        return pc.and_(changes, happened(records, *endings))

    names = ", ".join(endings)
    alone = Statement(
        ja="消除は記録を閉じるイベントに限る",
        code="nature",
        path="header.nature",
        expected=f"CESSATION with {names} alone" if endings else "another nature than CESSATION",
        fails=closes_otherwise,
    )
    if not endings or not always:
        return (alone,)
    closing = Statement(
        ja="記録を閉じるイベントの異動区分は修正ではない",
        code="nature",
        path="header.nature",
        expected=f"CESSATION with {names}, not CHANGE",
        fails=merely_changes,
    )
    return (alone, closing)


def needs(path: str, where: Where, ja: str, when: str) -> Statement:
    """The item has a value where *where* is true."""
    return Statement(
        ja=ja,
        code="missing",
        path=path,
        expected=f"a value {when}",
        fails=lambda records: pc.and_(where(records), absent(records, path)),
    )


def needs_entry(path: str, where: Where, ja: str, when: str, item: str) -> Statement:
    """The list has an entry where *where* is true; *item* of it is what a fault names."""
    return Statement(
        ja=ja,
        code="missing",
        path=item,
        expected=f"an entry {when}",
        fails=lambda records: pc.and_(where(records), empty(records, path)),
    )


def has_none(path: str, where: Where, ja: str, when: str) -> Statement:
    """The item has no value where *where* is true."""
    return Statement(
        ja=ja,
        code="surplus",
        path=path,
        expected=f"no value {when}",
        fails=lambda records: pc.and_(where(records), given(records, path)),
    )


def flag_after(path: str, *endings: str, is_set: bool, ja: str) -> Statement:
    """After these events the flag is set, or is not."""

    def is_otherwise(records: Records) -> Mask:
        flag = records.column(path)
        return pc.and_(happened(records, *endings), pc.invert(flag) if is_set else flag)

    return Statement(
        ja=ja,
        code="state",
        path=path,
        expected=f"{str(is_set).lower()} after {', '.join(endings)}",
        fails=is_otherwise,
    )


def not_past(path: str, end: str, ja: str) -> Statement:
    """What is over is not said to last: where the flag is set, the end does not lie behind."""

    def is_past(records: Records) -> Mask:
        over = pc.less_equal(records.column(end), today(records))
        return pc.and_(records.column(path), over)

    return Statement(
        ja=ja, code="state", path=path, expected=f"false once {end} has come", fails=is_past
    )


def not_ahead(path: str, ja: str) -> Statement:
    """The day is not after the day of processing."""
    return Statement(
        ja=ja,
        code="date-ahead",
        path=path,
        expected="no day after the day of processing",
        fails=lambda records: pc.greater(records.column(path), today(records)),
    )


def first_of_month(path: str, ja: str) -> Statement:
    """A month is given as its first day."""
    return Statement(
        ja=ja,
        code="first-of-month",
        path=path,
        expected="the first day of a month",
        fails=lambda records: pc.not_equal(pc.day(records.column(path)), 1),
    )


def each_once(lists: str, *names: str, ja: str) -> Statement:
    """No two entries of the list say the same in these items; the last is what a fault names."""

    def is_repeated(records: Records) -> Mask:
        return again(*entries(records, lists, *names))

    return Statement(
        ja=ja,
        code="repeated",
        path=f"{lists}.{names[-1]}",
        expected="each once",
        fails=is_repeated,
        entries=lists,
    )


def each_plain_once(path: str, ja: str) -> Statement:
    """No two entries of a list of plain values are the same."""

    def is_repeated(records: Records) -> Mask:
        (rows,) = entries(records, path)
        return again(rows, pc.list_flatten(records.column(path)))

    return Statement(
        ja=ja, code="repeated", path=path, expected="each once", fails=is_repeated, entries=path
    )


def another_than(path: str, other: str, ja: str) -> Statement:
    """Two items of one record do not name the same person."""
    return Statement(
        ja=ja,
        code="itself",
        path=path,
        expected=f"another than {other}",
        fails=lambda records: pc.equal(records.column(path), records.column(other)),
    )


def no_entry_is(lists: str, name: str, other: str, ja: str) -> Statement:
    """No entry of the list names the person whom the record's own item names."""

    def is_other(records: Records) -> Mask:
        rows, named = entries(records, lists, name)
        return pc.equal(named, pc.take(records.column(other), rows))

    return Statement(
        ja=ja,
        code="itself",
        path=f"{lists}.{name}",
        expected=f"another than {other}",
        fails=is_other,
        entries=lists,
    )


def key_of(parts: Callable[[Records], tuple[Column, ...]], form: str, ja: str) -> Statement:
    """The subject's id is made of the record's own items, joined by hyphens."""

    def is_another(records: Records) -> Mask:
        joined = pc.binary_join_element_wise(*(text(part) for part in parts(records)), "-")
        return pc.not_equal(records.column("header.subject_id"), joined)

    return Statement(ja=ja, code="key", path="header.subject_id", expected=form, fails=is_another)


def ranged_where(path: str, most: int, where: Where, ja: str, when: str) -> Statement:
    """The number is at most *most* where *where* is true."""
    return Statement(
        ja=ja,
        code="range",
        path=path,
        expected=f"at most {most} {when}",
        fails=lambda records: pc.and_(where(records), pc.greater(records.column(path), most)),
    )


def zero_where(path: str, where: Where, ja: str, when: str) -> Statement:
    """The amount is zero where *where* is true."""
    return Statement(
        ja=ja,
        code="zero",
        path=path,
        expected=f"0 {when}",
        fails=lambda records: pc.and_(where(records), pc.not_equal(records.column(path), 0)),
    )
