"""Check single items, over columns, against what a stream's schema says of each.

The schema's properties are the rules (``x-check``, ``x-codes``, ``x-max-length``, ``x-minimum``,
``x-form``, ``x-providers``); nothing about a particular stream is written here. A check looks
at a whole column of thousands of records at once and costs microseconds where all is well.

What the properties say of items of one record together is in :mod:`bus.publish.related_items`,
what else spans them in :mod:`bus.publish.rules`; all of it is :meth:`Checker.find`. A finding
has the item's path and Japanese name, what was expected and the rows, never a value.
Nothing is ever changed on the way: no normalisation, no trimming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

import pyarrow as pa

from bus.catalog import Catalog
from bus.catalog.codes import CodeList
from bus.catalog.columns import arrow_schema
from bus.errors import EventInvalid
from bus.model import Fault, NumberForm, Severity, Stream
from bus.model.number import AS_SHIPPED
from bus.publish import digits, rules, text
from bus.publish.finding import Finding, Records, faults_of
from bus.publish.identity import UUID7_PATTERN
from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc
from bus.publish.related_items import Unfit, unfit
from bus.publish.shape import Node, tree_of

Test = Callable[[Column], Mask | None]
"""Where a column is wrong; None if nowhere."""

_EARLIEST, _LATEST = date(1850, 1, 1), date(2150, 1, 1)
_EPOCH = date(1970, 1, 1).toordinal()
_OPEN_START, _OPEN_END = date(1, 1, 2), date(9999, 1, 1)


@dataclass(frozen=True, slots=True)
class Check:
    """A test of one item's column."""

    code: str
    expected: str
    is_wrong: Test
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class _Where:
    """Where the entries of a column inside nested records belong."""

    rows: Column | None = None  # the record of each entry; None: one entry per record
    stands: Mask | None = None  # where the record above it is there; None: everywhere


def check_columns(
    catalog: Catalog, stream: Stream, records: pa.RecordBatch, *, now: datetime | None = None
) -> list[Fault]:
    """Every fault of *records*, warnings included; ``record`` is the row. Ordered by row.

    Args:
        records: In exactly the Arrow schema of the stream's newest version.
        now: What the time is (aware), for dates that must not lie ahead.

    Raises:
        EventInvalid: The columns are not the stream's.
    """
    return faults_of(Checker(catalog, stream).find(records, now or datetime.now(UTC)))


class Checker:
    """All checks of one stream, prepared once. Holds no records; safe to share.

    Args:
        private_use: What a private-use character (外字) is: an error unless the site has
            declared the version of its table, then a warning.
        form: How the site writes 宛名番号 and 世帯番号.
    """

    def __init__(
        self,
        catalog: Catalog,
        stream: Stream,
        *,
        private_use: Severity = Severity.ERROR,
        form: NumberForm = AS_SHIPPED,
    ) -> None:
        self.stream = stream
        self.tree = tree_of(stream)
        self.schema: pa.Schema = arrow_schema(stream.latest)
        self._codes = catalog.codes
        self._private_use = private_use
        self._form = form
        self._checks: dict[str, tuple[Check, ...]] = {}
        self._prepare(self.tree)

    def find(self, records: pa.RecordBatch, now: datetime) -> list[Finding]:
        """Every error and warning in *records*; empty if there is none.

        Raises:
            EventInvalid: The columns are not the stream's own, or hold text that is no UTF-8.
        """
        self._refuse_foreign(records)
        found = list(self._visit_record(self.tree, records.columns, _Where()))
        return found + list(rules.find(self.stream, Records(self.tree, records), now))

    def _refuse_foreign(self, records: pa.RecordBatch) -> None:
        if not records.schema.equals(self.schema):
            raise EventInvalid("the columns are not the stream's own", stream=self.stream.name)
        try:
            records.validate(full=True)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            # the cause quotes the value
            raise EventInvalid(
                "a column holds what is no value of its type (text that is no UTF-8?)",
                stream=self.stream.name,
            ) from None

    def _visit(self, node: Node, array: Column, where: _Where) -> Iterator[Finding]:
        nulls = array.null_count
        if nulls and not node.is_nullable:
            missing = pc.is_null(array)
            if where.stands is not None:
                missing = pc.and_(missing, where.stands)
            yield from _found(Check("missing", "a value", lambda _: None), node, missing, where)
        if nulls == len(array):
            return  # nothing is there to be judged
        if node.kind == "record":
            stands = pc.is_valid(array) if nulls else where.stands
            yield from self._visit_record(node, array.flatten(), _Where(where.rows, stands))
        elif node.element is not None:
            parents = pc.cast(pc.list_parent_indices(array), pa.int64())
            rows = parents if where.rows is None else pc.take(where.rows, parents)
            yield from self._visit(node.element, pc.list_flatten(array), _Where(rows))
        else:
            for check in self._checks[node.path]:
                yield from _found(check, node, check.is_wrong(array), where)

    def _visit_record(self, node: Node, columns: list[Column], where: _Where) -> Iterator[Finding]:
        by_name = dict(zip((child.name for child in node.children), columns, strict=True))
        for child in node.children:
            yield from self._visit(child, by_name[child.name], where)
            for wrong in unfit(child, by_name):
                yield from _found(_beside(wrong), child, wrong.mask, where)
        if node.is_partial_date and by_name["text"].null_count < len(by_name["text"]):
            yield from _found(
                _NO_CALENDAR_DATE, node.child("date"), _no_calendar_date(by_name), where
            )

    def _prepare(self, node: Node) -> None:
        for child in node.children:
            self._prepare(child)
        if node.element is not None:
            self._prepare(node.element)
        elif node.kind != "record":
            self._checks[node.path] = tuple(self._checks_of(node))

    def _checks_of(self, node: Node) -> Iterator[Check]:
        properties = node.properties
        if node.kind == "string":
            yield Check("control-character", "text without control characters", text.with_control)
            yield Check(
                "private-use",
                "no private-use characters (外字) without the site's table",
                text.with_private_use,
                self._private_use,
            )
            yield from _checks_of_text(node, self.stream, self._form)
        elif node.kind == "enum":
            yield Check("code-list", "one of " + ", ".join(node.symbols), _none_of(node.symbols))
        elif node.kind == "date":
            yield Check("open-date", "a date, or none: open ends stay outside", _is_open_date)
            yield Check(
                "implausible-date",
                f"a date between {_EARLIEST.year} and {_LATEST.year}",
                _is_implausible,
                Severity.WARNING,
            )
        if "x-codes" in properties:
            codes = self._codes[properties["x-codes"]]
            yield _check_of_codes(codes, properties.get("x-codes-in-a-row", 1))
        if "x-minimum" in properties:
            least = properties["x-minimum"]
            yield Check("range", f"at least {least}", partial(_less_than, least=least))
        if "x-maximum" in properties:
            most = properties["x-maximum"]
            yield Check("range", f"at most {most}", partial(_greater_than, most=most))


def _beside(wrong: Unfit) -> Check:
    return Check(wrong.code, wrong.expected, lambda _: None)


def _found(check: Check, node: Node, mask: Mask | None, where: _Where) -> Iterator[Finding]:
    if mask is None or not pc.any(mask).as_py():
        return
    rows = pc.cast(pc.indices_nonzero(mask), pa.int64())
    if where.rows is not None:
        rows = pc.take(where.rows, rows)
    yield Finding(check.code, check.expected, node.path, node.ja, rows, check.severity)


# -- text ---------------------------------------------------------------------------------------

_DIGIT_CHECKS: Mapping[str, tuple[str, Test]] = {
    "municipality-code": ("a 全国地方公共団体コード", digits.wrong_municipality_code),
    "individual-number": ("a 個人番号", digits.wrong_individual_number),
    "corporate-number": ("a 法人番号", digits.wrong_corporate_number),
    "insurer-number": ("a 保険者番号", digits.wrong_insurer_number),
}


def _checks_of_text(node: Node, stream: Stream, form: NumberForm) -> Iterator[Check]:
    properties = node.properties
    if node.path == "header.source" and stream.providers:
        expected = f"a system that publishes {stream.name}: " + ", ".join(stream.providers)
        yield Check("provider", expected, _none_of(stream.providers))
    if "x-max-length" in properties:
        most = properties["x-max-length"]
        expected = f"at most {most} characters"
        yield Check("too-long", expected, partial(text.longer_than, most=most))
    if properties.get("x-form", "").startswith("X"):
        yield Check("half-width", "half-width characters", _is_not_half_width)
    kind = properties.get("x-check", "")
    if (
        not kind
        and "x-codes" not in properties
        and not properties.get("x-form", "").startswith("N")
    ):
        yield Check("blank", "no blank before or behind", text.blank_at_an_end)
    if kind in _DIGIT_CHECKS:
        expected, test = _DIGIT_CHECKS[kind]
        allowed = properties.get("x-allow", ())
        yield Check("check-digit", expected, _unless(test, allowed))
    elif kind == "atena":
        yield Check("empty", "a number", _is_empty)
        yield Check("number-form", form.expected, partial(digits.not_in_form, form=form))
        yield Check(
            "check-digit",
            "a check digit by modulus 11 (weights 2 to 7), unless issued before the rule",
            digits.wrong_atena,
            Severity.WARNING,
        )
    elif kind == "postal-code":
        yield Check("digits", "7 digits without a hyphen", partial(digits.not_digits, width=7))
    elif kind == "name":
        yield Check("name", "a name, not numbers alone", text.of_numbers_alone)
    elif kind == "kana":
        yield Check("kana", "text with kana", text.without_kana)
    elif kind.startswith("digits:"):
        width = int(kind.removeprefix("digits:"))
        yield Check("digits", f"{width} digits", partial(digits.not_digits, width=width))
    elif kind == "uuid":
        yield Check("uuid", "a UUIDv7 in lower case", _is_no_uuid7)
    elif kind == "event-type":
        expected = f"an event type of the stream {stream.name}"
        yield Check("event-type", expected, _none_of(stream.event_types))


def _is_not_half_width(values: Column) -> Mask:
    return pc.invert(pc.ascii_is_printable(values))


def _is_empty(values: Column) -> Mask:
    return pc.equal(pc.binary_length(values), 0)


def _is_no_uuid7(values: Column) -> Mask | None:
    if values.null_count == len(values):
        return None
    return pc.invert(pc.match_substring_regex(values, UUID7_PATTERN.replace("$", r"\z")))


def _unless(test: Test, allowed: tuple[str, ...] | list[str]) -> Test:
    """*test*, but values in *allowed* pass."""
    if not allowed:
        return test
    passing = pa.array(allowed, pa.string())

    def is_wrong(values: Column) -> Mask | None:
        mask = test(values)
        if mask is None:
            return None
        return pc.and_(mask, pc.invert(pc.is_in(values, value_set=passing)))

    return is_wrong


# -- codes --------------------------------------------------------------------------------------


def _check_of_codes(codes: CodeList, in_a_row: int) -> Check:
    expected = f"a code of the list {codes.ja} ({codes.name})"
    if in_a_row == 1:
        return Check("code-list", expected, _none_of(tuple(codes.entries)))
    expected = f"one to {in_a_row} codes of the list {codes.ja} ({codes.name}) in a row"
    return Check("code-list", expected, partial(_no_row_of, codes=codes, most=in_a_row))


def _none_of(values: tuple[str, ...]) -> Test:
    """Where a value is present and is none of *values*."""
    allowed = pa.array((*values, None), pa.string())
    known = {*values, None}

    def is_wrong(column: Column) -> Mask | None:
        if len(column) <= digits.FEW and known.issuperset(column.to_pylist()):
            return None
        return pc.invert(pc.is_in(column, value_set=allowed))

    return is_wrong


def _no_row_of(values: Column, codes: CodeList, most: int) -> Mask | None:
    """Where a value is not one to *most* codes of equal width, written without a gap."""
    width = len(next(iter(codes.entries)))

    def is_row(value: str) -> bool:
        parts = [value[at : at + width] for at in range(0, len(value), width)]
        return 1 <= len(parts) <= most and all(part in codes for part in parts)

    distinct = pc.unique(values).to_pylist()
    wrong = [value for value in distinct if value is not None and not is_row(value)]
    return pc.is_in(values, value_set=pa.array(wrong, pa.string())) if wrong else None


# -- numbers and dates --------------------------------------------------------------------------

_NO_CALENDAR_DATE = Check(
    "no-calendar-date", "a calendar date; carried as text", lambda _: None, Severity.WARNING
)


def _less_than(values: Column, least: int) -> Mask:
    return pc.less(values, least)


def _greater_than(values: Column, most: int) -> Mask:
    return pc.greater(values, most)


def _no_calendar_date(columns: Mapping[str, Column]) -> Mask:
    """Where a date in no calendar is given as text and not marked as unknown."""
    text_alone = pc.and_(pc.is_valid(columns["text"]), pc.is_null(columns["date"]))
    return pc.and_(text_alone, pc.invert(columns["unknown"]))


def _outside(values: Column, first: date, after: date) -> Mask | None:
    days = values.view(pa.int32())  # a column may hold days that Python has no date for
    least, most = (date_.toordinal() - _EPOCH for date_ in (first, after))
    ends = pc.min_max(days).as_py()
    if ends["min"] is None or (least <= ends["min"] and ends["max"] < most):
        return None
    return pc.or_(pc.less(days, least), pc.greater_equal(days, most))


def _is_open_date(values: Column) -> Mask | None:
    return _outside(values, _OPEN_START, _OPEN_END)


def _is_implausible(values: Column) -> Mask | None:
    return _outside(values, _EARLIEST, _LATEST)
