"""One change from one JSON text: what is none, is said to be none, and why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.model import Change
from bus.publish.parse import parse
from tests.support.changes import change, record

GOOD = json.dumps(change(), ensure_ascii=False).encode()


def nested(levels: int) -> bytes:
    """A change whose body has lists inside lists."""
    deep = b"[" * levels + b"]" * levels
    return GOOD.replace(b'"body": {', b'"body": {"deep": ' + deep + b", ")


def said(data: bytes, **options: Any) -> list[tuple[str, int | None, str | None]]:
    """Code, record and field of each fault."""
    found = parse(data, **options)
    assert isinstance(found, list)
    return [(fault.code, fault.record, fault.field) for fault in found]


def test_a_change_is_read() -> None:
    """What a core system writes becomes a change."""
    found = parse(GOOD)

    assert isinstance(found, Change)
    assert found.records[0].body["sex"] == "2"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not-json"),
        (b"hello", "not-json"),
        (b"[]", "not-json"),
        (b"null", "not-json"),
        (b'"change"', "not-json"),
        (GOOD[:-7], "not-json"),
        (GOOD + GOOD, "not-json"),
        (GOOD + b",", "not-json"),
        (b"{'a': 1}", "not-json"),
        (b"\xef\xbb\xbf" + GOOD, "byte-order-mark"),
        (GOOD.decode().encode("utf-16"), "byte-order-mark"),
        (GOOD.decode().replace("\U000e0100", "").encode("shift_jis"), "encoding"),
        (GOOD.decode().replace("\U000e0100", "").encode("euc_jp"), "encoding"),
        (GOOD.replace(b"resident", b"resi\xffdent", 1), "encoding"),
        (GOOD.replace("花子".encode(), b"\xed\xa1\x82"), "encoding"),  # CESU-8
        (GOOD.replace("花子".encode(), b"\x00"), "nul"),
        (GOOD.replace("花子".encode(), b"a\tb"), "not-json"),  # a raw control character
        (GOOD.replace("花子".encode(), b"\\ud842"), "encoding"),
        (b"[" * 100_000, "nesting"),
        (nested(250), "nesting"),  # the model's own parser ends before Python's does
        (nested(500), "nesting"),
        (b'{"a":' * 100_000, "nesting"),
        (GOOD.replace(b'"version": 1', b'"version": NaN'), "not-json"),
        (GOOD.replace(b'"version": 1', b'"version": -Infinity'), "not-json"),
        (GOOD.replace(b'"version": 1', b'"version": ' + b"9" * 5000), "not-json"),
    ],
)
def test_a_text_that_is_no_change(data: bytes, code: str) -> None:
    """Each is told apart by its code."""
    assert [found[0] for found in said(data)] == [code]


def test_half_a_line_is_called_that() -> None:
    """A file that was cut off in the middle of a line says so."""
    assert said(GOOD[: len(GOOD) // 2], is_whole=False) == [("half-line", None, None)]
    assert isinstance(parse(GOOD, is_whole=False), Change)


def test_a_key_that_comes_twice_is_refused() -> None:
    """One reader would take the first, another the last."""
    twice = GOOD.replace(b'"version": 1', b'"version": 1, "version": 1')
    deep = GOOD.replace(b'"full":', b'"full": null, "full":')

    assert said(twice) == [("repeated-key", None, "version")]
    assert said(deep) == [("repeated-key", None, "full")]
    assert said(b'{"\xe5\xb1\xb1": 1, "\xe5\xb1\xb1": 2}') == [("repeated-key", None, "…")]


def without(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """*value* without one field."""
    return {key: inner for key, inner in value.items() if key != name}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {},
            [
                ("missing", None, n)
                for n in ("municipality_code", "source", "processed_at", "records")
            ],
        ),
        (without("source", change()), [("missing", None, "source")]),
        (change(records=[]), [("missing", None, "records")]),
        (change(records={}), [("type", None, "records")]),
        (change(records=[None]), [("type", 0, None)]),
        (change(record(), without("body", record())), [("missing", 1, "body")]),
        (change(record(), without("version", record())), [("missing", 1, "version")]),
        (change(operator="yamada"), [("unknown-field", None, "operator")]),
        (change(**{"山田": 1}), [("unknown-field", None, "…")]),
        (change(**{"n123456789018": 1}), [("unknown-field", None, "…")]),
        (change({**record(), "table": "x"}), [("unknown-field", 0, "table")]),
        (change(record(version="1")), [("type", 0, "version")]),
        (change(record(version=1.0)), [("type", 0, "version")]),
        (change(record(version=True)), [("type", 0, "version")]),
        (change(record(nature="SHIFT")), [("type", 0, "nature")]),
        (change(record(body=[])), [("type", 0, "body")]),
        (change(record(effective_date="2026-04-01")), [("type", 0, "effective_date")]),
        (
            change(record(effective_date={"date": "yesterday"})),
            [("type", 0, "effective_date.date")],
        ),
        (
            change(record(effective_date={"date": "0000-01-01"})),
            [("type", 0, "effective_date.date")],
        ),
        (change(notified_on="2026-02-30"), [("type", None, "notified_on")]),
        (change(processed_at="2026-04-02T09:30:00"), [("type", None, "processed_at")]),
        (change(processed_at="2 April"), [("type", None, "processed_at")]),
        (change(municipality_code=131016), [("type", None, "municipality_code")]),
    ],
)
def test_a_change_without_a_part(
    value: dict[str, Any], expected: list[tuple[str, int | None, str | None]]
) -> None:
    """Everything that is missing, unknown or of another type, at once."""
    assert said(json.dumps(value).encode()) == expected


def test_a_fault_has_the_items_name_and_no_value() -> None:
    """Names and codes, never what stood there."""
    found = parse(json.dumps(change(record(version="秘密"))).encode())

    assert isinstance(found, list)
    assert found[0].item == "履歴番号"
    assert "秘密" not in str(found)


def test_a_day_of_no_calendar_is_carried() -> None:
    """An 異動日 that no calendar has moves into its text."""
    found = parse(json.dumps(change(record(effective_date={"date": "2023-02-29"}))).encode())

    assert isinstance(found, Change)
    assert found.records[0].effective_date.date is None
    assert found.records[0].effective_date.text == "2023-02-29"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.integers(0, len(GOOD)).map(lambda at: GOOD[:at]))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    """Whatever comes is a change or has faults."""
    found = parse(data)

    assert isinstance(found, Change) or found


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_no_flipped_byte_breaks_the_parser(place: int, byte: int) -> None:
    """A changed byte is a change or has faults."""
    found = parse(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])

    assert isinstance(found, Change) or found
