"""What the contract of a protection leaves unsaid, on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from bus.catalog import load

CATALOG = load()
ABUSER = ("abuser", "offender", "perpetrator", "assailant", "加害", "相手方", "kagai")


@pytest.mark.parametrize("stream", CATALOG.streams)
def test_nothing_about_the_abuser_is_in_any_stream(stream: str) -> None:
    """Neither an item nor an event type of his: no name, no number, no address."""
    known = CATALOG.stream(stream)
    said = [text for item in known.items for text in (item.path, item.ja, item.romaji)]

    assert not [t for t in (*said, *known.event_types) if any(word in t for word in ABUSER)]


def test_there_is_no_word_for_a_temporary_lift() -> None:
    """A receiving system would take it for a real one: it starts, is extended, or is over."""
    protection = CATALOG.stream("protection")
    (status,) = (
        field["type"]["symbols"]
        for field in protection.latest.schema["fields"]
        if field["name"] == "status"
    )

    assert protection.event_types == (
        "protection.started", "protection.extended", "protection.ended",
    )  # fmt: skip
    assert status == ["PROVISIONAL", "ACTIVE", "ENDED"]


def test_versions_read_each_other() -> None:
    """What the second version adds has a default: nobody is released for want of it."""
    added: dict[str, Any] = {"household_number": None, "shared_with": []}
    fields = {f["name"]: f for f in CATALOG.stream("protection").latest.schema["fields"]}

    assert {name: fields[name]["default"] for name in added} == added
