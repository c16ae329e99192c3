"""Check digits of the numbers that municipalities use, over whole columns.

Every function takes a string column and gives a boolean column: true where the identifier is
wrong, null where there is none. Digits are had by dividing the number by powers of ten, so a
column costs some twenty arithmetic kernels and no Python per row; identifiers of different
widths go through together, because all rules weigh from the lowest digit.

Source: 総務省 全国地方公共団体コード仕様 (JIS X 0401/0402); 総務省令第85号(平成26年) 第5条 for
個人番号; 国税庁 for 法人番号; 住民記録システム標準仕様書 v1.0, 1.1.13 (モジュラス11)
for 宛名番号 and 世帯番号; 保険者番号等設定要領 for 保険者番号.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from bus.model import NumberForm
from bus.model.number import INDIVIDUAL, is_individual_number, weighed
from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc

_MUNICIPALITY = (2, 3, 4, 5, 6)  # from the lowest digit of the body
_CORPORATE = (1, 2) * 6
_ATENA = (2, 3, 4, 5, 6, 7) * 3
FEW = 16
"""Up to how many values are looked at one by one: what kernels cost however few there are."""
_MOST_DIGITS = 18  # what 64 bits hold


def wrong_municipality_code(values: Column) -> Mask:
    """全国地方公共団体コード: six digits, the last is (11 - Σ mod 11) mod 10."""
    if len(values) <= FEW:
        return _each(values, (6,), is_municipality_code)
    number, misshapen = _numbers(values, (6,))
    body, check = _last_digit(number)
    expected = _modulo(pc.subtract(11, _modulo(_weighted(body, _MUNICIPALITY), 11)), 10)
    return _or(misshapen, pc.not_equal(check, expected))


def wrong_individual_number(values: Column) -> Mask:
    """個人番号: twelve digits; the last is 0 where Σ mod 11 is at most 1, else 11 minus it."""
    if len(values) <= FEW:
        return _each(values, (12,), is_individual_number)
    number, misshapen = _numbers(values, (12,))
    body, check = _last_digit(number)
    return _or(misshapen, pc.not_equal(check, _modulus_11(_weighted(body, INDIVIDUAL))))


def wrong_corporate_number(values: Column) -> Mask:
    """法人番号: thirteen digits; the first is 9 - Σ mod 9 of the other twelve."""
    if len(values) <= FEW:
        return _each(values, (13,), is_corporate_number)
    number, misshapen = _numbers(values, (13,))
    check = pc.divide(number, 10**12)
    body = pc.subtract(number, pc.multiply(check, 10**12))
    expected = pc.subtract(9, _modulo(_weighted(body, _CORPORATE), 9))
    return _or(misshapen, pc.not_equal(check, expected))


def wrong_insurer_number(values: Column) -> Mask:
    """保険者番号: six or eight digits; digit sums of 2,1,2,1… products, to the next ten."""
    if len(values) <= FEW:
        return _each(values, (6, 8), is_insurer_number)
    number, misshapen = _numbers(values, (6, 8))
    body, check = _last_digit(number)
    total = pa.scalar(0, pa.int64())
    for place in range(7):
        digit = _modulo(pc.divide(body, 10**place), 10)
        if place % 2 == 0:  # the digit sum of 2d is 2d, less 9 from d = 5 on
            nines = pc.multiply(pc.cast(pc.greater_equal(digit, 5), pa.int64()), 9)
            digit = pc.subtract(pc.multiply(digit, 2), nines)
        total = pc.add(total, digit)
    expected = _modulo(pc.subtract(10, _modulo(total, 10)), 10)
    return _or(misshapen, pc.not_equal(check, expected))


def wrong_atena(values: Column) -> Mask:
    """宛名番号, 世帯番号: modulus 11, weights 2 to 7. Advisory: old numbers were kept as they were.

    The text is silent on remainder 1; practice makes it 0, and so does this.
    """
    if len(values) <= FEW:
        return _each(values, range(2, _MOST_DIGITS + 1), is_atena)
    number, misshapen = _numbers(values, range(2, _MOST_DIGITS + 1))
    body, check = _last_digit(number)
    return _or(misshapen, pc.not_equal(check, _modulus_11(_weighted(body, _ATENA))))


def is_municipality_code(text: str) -> bool:
    """As :func:`wrong_municipality_code`, of six digits."""
    return int(text[-1]) == (11 - weighed(text[:-1], _MUNICIPALITY) % 11) % 10


def is_municipality(text: str) -> bool:
    """Whether *text* is a 全国地方公共団体コード: six digits, the last of which checks."""
    return len(text) == 6 and text.isascii() and text.isdecimal() and is_municipality_code(text)


def is_corporate_number(text: str) -> bool:
    """As :func:`wrong_corporate_number`, of thirteen digits."""
    return int(text[0]) == 9 - weighed(text[1:], _CORPORATE) % 9


def is_insurer_number(text: str) -> bool:
    """As :func:`wrong_insurer_number`, of six or eight digits."""
    doubled = [int(sign) * (2 - place % 2) for place, sign in enumerate(text[-2::-1])]
    return int(text[-1]) == -sum(product // 10 + product % 10 for product in doubled) % 10


def is_atena(text: str) -> bool:
    """As :func:`wrong_atena`, of at least two digits."""
    rest = weighed(text[:-1], _ATENA) % 11
    return int(text[-1]) == (0 if rest <= 1 else 11 - rest)


def _each(values: Column, widths: Sequence[int], is_right: Callable[[str], bool]) -> Mask:
    """The result of the arithmetic over columns, for a few values."""
    return pa.array(
        [
            None
            if value is None
            else not (
                len(value) in widths and value.isascii() and value.isdecimal() and is_right(value)
            )
            for value in values.to_pylist()
        ],
        pa.bool_(),
    )


def not_digits(values: Column, width: int) -> Mask:
    """Whether each value is something else than *width* ASCII digits."""
    return _not_decimal(values, (width,))


def not_in_form(values: Column, form: NumberForm) -> Mask | None:
    """Whether each value is not a number in the site's *form*; empty values pass."""
    if form.is_padded:
        wrong = not_digits(values, form.width)
    else:
        wrong = pc.invert(pc.match_substring_regex(values, form.pattern))
    if not pc.any(wrong).as_py():
        return None
    return pc.and_(wrong, pc.greater(pc.binary_length(values), 0))


def _numbers(values: Column, widths: Sequence[int]) -> tuple[Column, Mask | None]:
    """The values as integers, and where they are no numbers of one of *widths* (None: nowhere)."""
    misshapen = _not_decimal(values, widths)
    if not pc.any(misshapen).as_py():
        return pc.cast(values, pa.int64()), None
    usable = pc.if_else(misshapen, pa.scalar(None, pa.string()), values)
    return pc.cast(usable, pa.int64()), misshapen


def _not_decimal(values: Column, widths: Sequence[int]) -> Mask:
    length = pc.binary_length(values)
    if len(widths) == 1:
        fits = pc.equal(length, widths[0])
    else:
        fits = pc.is_in(length, value_set=pa.array(widths, length.type))
        fits = pc.if_else(pc.is_null(values), pa.scalar(None, pa.bool_()), fits)
    return pc.invert(pc.and_(fits, pc.ascii_is_decimal(values)))


def _last_digit(number: Column) -> tuple[Column, Column]:
    body = pc.divide(number, 10)
    return body, pc.subtract(number, pc.multiply(body, 10))


def _weighted(number: Column, weights: Sequence[int]) -> Column:
    """The sum of weight times digit, the first weight for the lowest digit.

    A digit is ``n // 10^i - 10 · (n // 10^(i+1))``, so the sum is one over the quotients with
    the coefficients ``w[i] - 10 · w[i-1]``. Intermediate values may wrap; the sum does not.
    """
    total, before = pc.multiply(number, weights[0]), weights[0]
    for place, weight in enumerate(weights[1:], start=1):
        quotient = pc.divide(number, 10**place)
        total = pc.add(total, pc.multiply(quotient, weight - 10 * before))
        before = weight
    return total


def _modulo(number: Column, by: int) -> Column:
    return pc.subtract(number, pc.multiply(pc.divide(number, by), by))


def _modulus_11(total: Column) -> Column:
    rest = _modulo(total, 11)
    return pc.if_else(pc.less_equal(rest, 1), pa.scalar(0, pa.int64()), pc.subtract(11, rest))


def _or(misshapen: Mask | None, wrong: Mask) -> Mask:
    """Where the form or the arithmetic is wrong."""
    return wrong if misshapen is None else pc.or_kleene(misshapen, wrong)
