"""What text may hold, and how its size is counted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.publish.kernels import kernels
from bus.publish.text import (
    blank_at_an_end,
    longer_than,
    of_numbers_alone,
    with_control,
    with_private_use,
    without_kana,
)

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


NUMBERS_AND_BLANKS = st.lists(
    st.none()
    | st.text(st.sampled_from("1９Ⅱ〇①一山ｱァん゙ーA \t\u3000\u00a0\v辻\U000e0100\U0002ebf0")),
    max_size=20,
)


@settings(deadline=None)
@given(TEXTS | NUMBERS_AND_BLANKS)
@pytest.mark.parametrize("test", [of_numbers_alone, without_kana, blank_at_an_end])
def test_few_rows_are_judged_as_many(
    test: Callable[[pa.StringArray], pa.BooleanArray | None], texts: list[str | None]
) -> None:
    """Short columns are looked at in another way; the answer is the same."""
    many = [*texts, "x" * 2_000]  # and so no short column

    found = plain(test(pa.array(texts, pa.string())), len(texts))

    assert found == plain(test(pa.array(many, pa.string())), len(many))[:-1]


def test_one_record_needs_no_table_of_unicode() -> None:
    """A pattern of Unicode's classes takes a millisecond to make ready: too much for each name."""
    names = pa.array(["山田　太郎", None, "ヤマダ　タロウ"], pa.string())

    assert _kernels_asked(of_numbers_alone, names) == []
    assert _kernels_asked(without_kana, names[2:]) == []
    assert _kernels_asked(blank_at_an_end, pa.array(["山田"], pa.string())) == []


def _kernels_asked(
    test: Callable[[pa.StringArray], pa.BooleanArray | None], column: pa.StringArray
) -> list[str]:
    asked = []

    class Kernels:
        def __getattr__(self, name: str) -> Callable[..., object]:
            asked.append(name)
            return getattr(kernels, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bus.publish.text.pc", Kernels())
        test(column)
    return asked
