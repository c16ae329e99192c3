"""Change ids and the event ids that follow from them."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.publish.identity import change_id_from, event_id_of, is_uuid7, new_change_id

AT = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


def test_a_change_id_is_a_uuid7_of_its_time() -> None:
    """The first 48 bits are the Unix time in milliseconds (RFC 9562, 5.7)."""
    made = uuid.UUID(new_change_id(AT))

    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == int(AT.timestamp() * 1000)


def test_two_change_ids_differ() -> None:
    """Two changes entered in the same millisecond are two changes."""
    assert new_change_id(AT) != new_change_id(AT)


def test_randomness_may_be_seeded() -> None:
    """Ids come from the source that was passed in."""
    assert new_change_id(AT, bytes) == new_change_id(AT, bytes)


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(0, 2**31 - 1),
)
def test_an_event_id_follows_from_the_change(at: datetime, index: int) -> None:
    """The same change and index give the same UUIDv7, of the change's time."""
    change = new_change_id(at.replace(tzinfo=UTC))

    event = event_id_of(change, index)

    assert event == event_id_of(change, index)
    assert is_uuid7(event)
    assert uuid.UUID(event).int >> 80 == uuid.UUID(change).int >> 80
    assert event != event_id_of(change, index + 1)
    assert event != change


def test_the_recipe_is_the_documented_one() -> None:
    """Somebody who follows the docstring by hand arrives at the same id."""
    change = "0195f0a2-7c00-7abc-8def-0123456789ab"
    digest = hashlib.sha256(f"{change}/2".encode()).digest()
    by_hand = bytearray(bytes.fromhex("0195f0a27c00") + digest[6:16])
    by_hand[6] = 0x70 | by_hand[6] & 0x0F
    by_hand[8] = 0x80 | by_hand[8] & 0x3F

    assert event_id_of(change, 2) == str(uuid.UUID(bytes=bytes(by_hand)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0195f0a2-7c00-4abc-8def-0123456789ab",  # version 4
        "0195f0a2-7c00-7abc-0def-0123456789ab",  # another variant
        "0195F0A2-7C00-7ABC-8DEF-0123456789AB",  # upper case
        "0195f0a27c007abc8def0123456789ab",  # no hyphens
        "{0195f0a2-7c00-7abc-8def-0123456789ab}",
        "0195f0a2-7c00-7abc-8def-0123456789ab\n",
        "０195f0a2-7c00-7abc-8def-0123456789ab",  # a full-width digit
    ],
)
def test_other_forms_are_no_ids(text: str) -> None:
    """Ids are compared as text downstream, so one form only is let in."""
    assert not is_uuid7(text)
    with pytest.raises(ValueError, match="UUIDv7"):
        event_id_of(text, 0)


def test_an_id_that_is_made_hangs_on_the_sites_key() -> None:
    """Who has the ledger and not the key cannot try out which change an id was made of."""
    at, content = datetime(2026, 11, 20, tzinfo=UTC), b'{"records": []}'
    made = change_id_from(content, at, bytes(32))

    assert made == change_id_from(content, at, bytes(32))
    assert made != change_id_from(content, at, bytes([1]) * 32)
    assert is_uuid7(made)
