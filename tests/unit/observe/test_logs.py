"""Logs carry identifiers, and no value that a record may hold, whatever is thrown at them."""

from __future__ import annotations

import errno
import io
import json
import logging
import sys
from typing import Any

import pytest
import structlog

from bus.errors import ConfigurationError, EventRefused
from bus.observe import logs

CANARY = "髙橋カナリア太郎"
ASCII_CANARY = "Canary-Street 4711"


@pytest.fixture(params=["json", "text"])
def written(request: pytest.FixtureRequest) -> io.StringIO:
    """What is logged, in both formats."""
    to = io.StringIO()
    logs.configure(request.param, to=to)
    return to


def fail(value: str) -> None:
    """Raise as a driver would: with the value in the message, and in a local."""
    row = {"name": value}
    raise ValueError(f"invalid row {row}")


def refused(value: str) -> EventRefused:
    try:
        try:
            fail(value)
        except ValueError as error:
            raise EventRefused("the table refuses a row", offset=7, secret=value) from error
    except EventRefused as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("canary", [CANARY, ASCII_CANARY])
def test_an_exception_shows_no_value(written: io.StringIO, canary: str) -> None:
    """Class, code, offset and frames are told; messages, locals and strange fields are not."""
    structlog.get_logger().error("lane-stopped", exc_info=refused(canary), name_of_person=canary)

    text = written.getvalue()
    assert canary not in text
    assert "EventRefused" in text
    assert "RK-202" in text
    assert "ValueError" in text
    assert "test_logs.py" in text
    assert "name_of_person" in text


@pytest.mark.parametrize("canary", [CANARY, ASCII_CANARY])
def test_a_defect_that_nobody_caught_shows_no_value(written: io.StringIO, canary: str) -> None:
    """The last words of a dying process are no exception to the rule."""
    try:
        fail(canary)
    except ValueError:
        sys.excepthook(*sys.exc_info())

    assert canary not in written.getvalue()
    assert "ValueError" in written.getvalue()


@pytest.mark.parametrize("canary", [CANARY, ASCII_CANARY])
def test_libraries_show_no_value(written: io.StringIO, canary: str) -> None:
    """Their wording is told, what they fill in is not, nor wording that was filled in before."""
    log = logging.getLogger("aiokafka.somewhere")
    log.warning("cannot send %s to %s", canary, "node")
    log.error(f"cannot send {canary}")
    try:
        fail(canary)
    except ValueError:
        log.exception("unexpected")

    text = written.getvalue()
    assert canary not in text
    assert "cannot send %s to %s" in text
    assert "aiokafka.somewhere" in text
    assert text.count("library") >= 3


def test_an_event_name_is_a_name(written: io.StringIO) -> None:
    """A sentence with a value in it is not an event name."""
    structlog.get_logger().info(f"applied {ASCII_CANARY}")

    assert ASCII_CANARY not in written.getvalue()
    assert "unnamed" in written.getvalue()


@pytest.mark.parametrize(
    ("given", "shown"),
    [(7, 7), (True, True), (None, None), ("RK-401", "RK-401"), (["a", CANARY], ["a", "…"])],
)
def test_values_of_listed_fields(given: Any, shown: Any) -> None:
    """Numbers and identifiers pass as they are; other text is cut down."""
    event = logs.only_identifiers(None, "info", {"event": "x", "codes": given})

    assert event["codes"] == shown


def test_a_json_line_has_time_level_and_fields() -> None:
    """One object a line, for machines."""
    to = io.StringIO()
    logs.configure("json", to=to)
    structlog.get_logger().warning("lane-retries", system="school", partition=3, code="RK-404")

    line = json.loads(to.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "lane-retries",
        "level": "warning",
        "system": "school",
        "partition": 3,
        "code": "RK-404",
    }


def test_an_unknown_format() -> None:
    """A setting that means nothing is refused."""
    with pytest.raises(ConfigurationError):
        logs.configure("xml")


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_full_disk_loses_lines_and_stops_nobody(written: io.StringIO, log_format: str) -> None:
    """Whoever tells something goes on, whether the line can be written or not."""
    full = Full()
    logs.configure(log_format, to=full)

    structlog.get_logger().info("lane-open", offset=1)
    logging.getLogger("library").error("no room")

    assert full.getvalue() == written.getvalue() == ""


class Seconds:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_same_line_within_a_second_is_counted_and_not_written(written: io.StringIO) -> None:
    """A library that says the same 36,500 times while Kafka is away fills no disk."""
    clock = Seconds()
    logs.configure(to=written, clock=clock)
    library = logging.getLogger("aiokafka.conn")
    for attempt in range(1_000):
        library.error("Unable connect to node with id %s: %s", attempt, CANARY)
        clock.now += 0.000_5
    structlog.get_logger().info("lane-open", offset=1)
    clock.now = 1.0
    structlog.get_logger().info("lane-open", offset=2)
    library.error("Unable connect to node with id %s: %s", 7, CANARY)

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["event"], line.get("offset"), line.get("repeated")) for line in lines] == [
        ("library", None, None),
        ("lane-open", 1, None),
        ("library", None, 999),
        ("lane-open", 2, None),
        ("library", None, None),
    ]
    assert CANARY not in written.getvalue()


def test_a_line_that_comes_again_and_again_is_one_a_second(written: io.StringIO) -> None:
    """It says how often it came since it was last written."""
    clock = Seconds()
    logs.configure(to=written, clock=clock)
    for _ in range(12):
        structlog.get_logger().warning("relay-interrupted", code="RK-403")
        clock.now += 0.25

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line.get("repeated") for line in lines] == [None, 3, 3]


def test_lines_that_differ_are_all_written(written: io.StringIO) -> None:
    """Another lane, another offset, another level or another place is another line."""
    logs.configure(to=written, clock=lambda: 0.0)
    log = structlog.get_logger()
    for offset in range(50):
        log.warning("lane-retries", offset=offset)
    log.error("lane-retries", offset=1)
    log.warning("lane-retries", offset=1)

    assert len(written.getvalue().splitlines()) == 51
