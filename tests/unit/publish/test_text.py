"""What text may hold, and how its size is counted."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.publish.text import longer_than, with_control, with_private_use

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=20)
AWKWARD = TEXTS | st.lists(
    st.text(
        st.sampled_from(
            "\x00\t\n\x1f\x7f\x80\x9f\xa0Â髙﨑𠮷０ｱ\ue000\ueffff\uf000\uf8ff"
            "\U000f0000\U000ffffd\U00100000\U0010fffd\ufe00\U000e0100\U000e01ef゙"
        )
    ),
    max_size=20,
)


def plain(mask: pa.BooleanArray | None, size: int) -> list[bool]:
    """The answer per row, absent values counted as fine."""
    return [False] * size if mask is None else [found is True for found in mask.to_pylist()]


@settings(deadline=None)
@given(AWKWARD)
def test_control_characters_are_found(texts: list[str | None]) -> None:
    """Exactly the general category Cc is refused."""
    many = texts * 200  # long columns are searched in another way

    expected = [any(unicodedata.category(c) == "Cc" for c in text or "") for text in texts]
    assert plain(with_control(pa.array(texts, pa.string())), len(texts)) == expected
    assert plain(with_control(pa.array(many, pa.string())), len(many)) == expected * 200


@settings(deadline=None)
@given(AWKWARD)
def test_private_use_characters_are_found(texts: list[str | None]) -> None:
    """Exactly the general category Co is told apart."""
    column = pa.array(texts, pa.string())

    found = plain(with_private_use(column), len(texts))

    assert found == [any(unicodedata.category(c) == "Co" for c in text or "") for text in texts]


@settings(deadline=None)
@given(AWKWARD, st.integers(0, 12))
def test_sizes_count_characters_without_selectors(texts: list[str | None], most: int) -> None:
    """A code point is one, a variation selector nothing, whatever the bytes."""
    column = pa.array(texts, pa.string())

    def size(text: str) -> int:
        return sum(not (0xFE00 <= ord(c) <= 0xFE0F or 0xE0100 <= ord(c) <= 0xE01EF) for c in text)

    found = plain(longer_than(column, most), len(texts))

    assert found == [size(text or "") > most for text in texts]


def test_a_part_of_a_column_is_judged_alone() -> None:
    """A slice does not see its neighbours' bytes."""
    column = pa.array(["bad\x00", "辻\U000e0100", "bad\ue000"])[1:2]

    assert with_control(column) is None
    assert with_private_use(column) is None


@pytest.mark.parametrize("text", ["髙橋", "﨑", "𠮷野家", "葛\U000e0100城", "ＡＢＣ　ＤＥＦ", "é"])
def test_ordinary_names_pass(text: str) -> None:
    """Rare kanji, supplementary planes, selectors and full-width letters are text."""
    column = pa.array([text])

    assert with_control(column) is None
    assert with_private_use(column) is None
