"""Whom something is about is shown by a key, or by a digest of what stands in its place."""

from __future__ import annotations

import pytest

from bus.model.subject import NARROW_KEY, is_digest, shown, subject_digest


@pytest.mark.parametrize(
    ("said", "is_key", "is_narrow"),
    [
        ("131016/000000000000001", True, True),
        ("131016/丸の内一丁目", True, False),
        ("131016/" + "1" * 16, True, False),
        ("131016/" + "1" * 65, False, False),
        ("131016/", False, False),
        ("１３１０１６/1", False, False),
        ("131016/1 2", False, False),
        ("", False, False),
    ],
)
def test_what_is_no_key_is_shown_by_a_digest(said: str, is_key: bool, is_narrow: bool) -> None:
    """What nobody has checked is held to a narrower form: a name could stand there."""
    assert (shown(said.encode()) == said) is is_key
    assert is_digest(shown(said.encode())) is not is_key
    assert (shown(said.encode(), NARROW_KEY) == said) is is_narrow


def test_two_that_are_no_text_are_told_apart() -> None:
    """A digest is of the bytes, not of what is left of them as text."""
    assert shown(b"\xff") != shown(b"\xfe")


def test_a_person_is_digested_under_a_key() -> None:
    """The same person by the same key alone."""
    found = subject_digest(b"k" * 32, "131016", "1")

    assert found == subject_digest(b"k" * 32, "131016", "1")
    assert found != subject_digest(b"l" * 32, "131016", "1")
    assert found != subject_digest(b"k" * 32, "131024", "1")
