"""Check digits: the worked examples, and the columns against the rules in plain Python."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.publish import digits

Wrong = Callable[[pa.StringArray], pa.BooleanArray]


def city(text: str) -> bool:
    """The rule of 全国地方公共団体コード, as its specification puts it."""
    a, b, c, d, e, check = (int(sign) for sign in text)
    return check == (11 - (6 * a + 5 * b + 4 * c + 3 * d + 2 * e) % 11) % 10


def individual(text: str) -> bool:
    """The rule of 個人番号, as the ordinance puts it."""
    total = 0
    for n in range(1, 12):
        total += int(text[11 - n]) * (n + 1 if n <= 6 else n - 5)
    return int(text[11]) == (0 if total % 11 <= 1 else 11 - total % 11)


def corporate(text: str) -> bool:
    """The rule of 法人番号, as the ordinance puts it."""
    total = sum(int(text[13 - n]) * (1 if n % 2 else 2) for n in range(1, 13))
    return int(text[0]) == 9 - total % 9


def insurer(text: str) -> bool:
    """The rule of 保険者番号, as the procedure puts it."""
    total = 0
    for place, sign in enumerate(reversed(text[:-1])):
        product = int(sign) * (2 if place % 2 == 0 else 1)
        total += product // 10 + product % 10
    return int(text[-1]) == (10 - total % 10) % 10


def atena(text: str) -> bool:
    """Modulus 11 with the weights 2 to 7, remainder 1 giving 0."""
    total = sum(int(sign) * (2 + place % 6) for place, sign in enumerate(reversed(text[:-1])))
    return int(text[-1]) == (0 if total % 11 <= 1 else 11 - total % 11)


def of_width(*widths: int) -> st.SearchStrategy[str]:
    """Digits of one of *widths*."""
    return st.one_of(*(st.text("0123456789", min_size=w, max_size=w) for w in widths))


RULES: dict[str, tuple[Wrong, Callable[[str], bool], st.SearchStrategy[str]]] = {
    "city": (digits.wrong_municipality_code, city, of_width(6)),
    "individual": (digits.wrong_individual_number, individual, of_width(12)),
    "corporate": (digits.wrong_corporate_number, corporate, of_width(13)),
    "insurer": (digits.wrong_insurer_number, insurer, of_width(6, 8)),
    "atena": (digits.wrong_atena, atena, of_width(2, 7, 10, 15, 18)),
}

RIGHT: list[tuple[Wrong, str]] = [
    *(
        (digits.wrong_municipality_code, code)
        for code in (
            "131016", "011002", "141003", "231002", "271004", "131041", "131130", "011011",
            "012025", "131032",
        )
    ),
    *(
        (digits.wrong_individual_number, number)
        for number in ("123456789018", "983205673214", "000000000060")
    ),
    *((digits.wrong_corporate_number, number) for number in ("7000012050002", "9000020110002")),
    *((digits.wrong_atena, number) for number in ("000000012345674", "123456789012340")),
    (digits.wrong_insurer_number, "33120015"),
]  # fmt: skip

WRONG: list[tuple[Wrong, str]] = [
    *((digits.wrong_municipality_code, code) for code in ("131017", "13101", "999999", "")),
    (digits.wrong_municipality_code, "１３１０１６"),  # full width
    (digits.wrong_municipality_code, "+13101"),
    (digits.wrong_municipality_code, " 31016"),
    (digits.wrong_individual_number, "123456789012"),
    (digits.wrong_individual_number, "1234567890180"),
    *((digits.wrong_corporate_number, number) for number in ("1000012050002", "0000012050002")),
    (digits.wrong_atena, "000000012345675"),
    (digits.wrong_atena, "A00000012345674"),
    (digits.wrong_atena, "1" * 40),
    (digits.wrong_insurer_number, "33120016"),
]


@pytest.mark.parametrize(("wrong", "text"), RIGHT)
def test_worked_examples_pass(wrong: Wrong, text: str) -> None:
    """Every valid number of the field's test vectors is let through."""
    assert wrong(pa.array([text])).to_pylist() == [False]
    assert set(wrong(pa.array([text] * 99)).to_pylist()) == {False}


@pytest.mark.parametrize(("wrong", "text"), WRONG)
def test_wrong_and_misshapen_numbers_are_found(wrong: Wrong, text: str) -> None:
    """A wrong digit, a wrong width and anything but ASCII digits are found."""
    assert wrong(pa.array([text])).to_pylist() == [True]
    assert set(wrong(pa.array([text] * 99)).to_pylist()) == {True}


@pytest.mark.parametrize("name", RULES)
def test_absent_numbers_are_not_judged(name: str) -> None:
    """Where there is no number there is nothing to find, also between misshapen ones."""
    wrong = RULES[name][0]

    assert wrong(pa.array([None, None], pa.string())).null_count == 2
    assert wrong(pa.array([None, "x"])).to_pylist() == [None, True]
    assert wrong(pa.array([None, "x"] * 50)).to_pylist() == [None, True] * 50


@pytest.mark.parametrize("name", RULES)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_columns_agree_with_the_plain_rule(name: str, data: st.DataObject) -> None:
    """Column arithmetic says of every number what the rule says of it alone."""
    wrong, rule, numbers = RULES[name]
    texts = data.draw(st.lists(numbers, min_size=1, max_size=50))

    many = texts * (digits.FEW // len(texts) + 1)

    expected = [not rule(text) for text in texts]
    assert wrong(pa.array(texts)).to_pylist() == expected
    assert wrong(pa.array(many)).to_pylist()[: len(texts)] == expected


@pytest.mark.parametrize("name", RULES)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_exactly_one_check_digit_fits(name: str, data: st.DataObject) -> None:
    """Of the ten digits in the check's place one is right (none, for a 法人番号 of 0)."""
    wrong, _, numbers = RULES[name]
    text = data.draw(numbers)
    place = 0 if name == "corporate" else len(text) - 1
    ten = [text[:place] + str(check) + text[place + 1 :] for check in range(10)]

    assert wrong(pa.array(ten)).to_pylist().count(False) == 1


def test_digits_of_a_width() -> None:
    """町字コード and 郵便番号: as many ASCII digits as the item says."""
    values = pa.array(
        ["0000000", "9999999", "123456", "12345678", "１２３４５６７", "12-4567", None]
    )

    assert digits.not_digits(values, 7).to_pylist() == [False, False, *[True] * 4, None]
