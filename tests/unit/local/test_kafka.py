"""Kafka's settings file and its answer to whether it is ready."""

from __future__ import annotations

import struct

import pytest

from bus.local.kafka import _has_controller, escaped


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/home/user/data", "/home/user/data"),
        ("/home/田中", "/home/\\u7530\\u4e2d"),
        ("𠮷", "\\ud842\\udfb7"),
        ("a\\b", "a\\\\b"),
    ],
)
def test_values_are_written_as_java_reads_them(value: str, expected: str) -> None:
    """A home folder may have any name."""
    assert escaped(value) == expected


def answer(brokers: int, controller: int) -> bytes:
    """A Metadata response, version 2."""
    text = struct.pack(">h", 4) + b"host"
    broker = struct.pack(">i", 1) + text + struct.pack(">ih", 9092, -1)
    return struct.pack(">ii", 1, brokers) + broker * brokers + text + struct.pack(">i", controller)


def test_a_broker_with_a_controller_is_ready() -> None:
    """A broker that has not registered yet names none, or no controller."""
    assert _has_controller(answer(1, 1))
    assert not _has_controller(answer(0, 1))
    assert not _has_controller(answer(1, -1))


def test_half_an_answer_is_none() -> None:
    """The caller takes it for not ready."""
    with pytest.raises(struct.error):
        _has_controller(answer(1, 1)[:12])
