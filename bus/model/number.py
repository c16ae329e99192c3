"""宛名番号 and 世帯番号: the form that a site writes them in, and when two are the same.

Vendors' systems write the same number as ``12345674``, ``000000012345674`` or with blanks behind
it. A site has one form, which is what may be published. Where somebody is looked for, numbers are
compared by :func:`bare`, which no spelling changes: what was published before the form was kept,
or under another, is found all the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LONGEST = 15
"""Characters of a number in 基本データリスト (X15)."""
_BETWEEN = re.compile(r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f\u2010-\u2015\u2212]")
"""What is no part of a number, as far as comparing goes: blanks, hyphens and other signs."""


@dataclass(frozen=True, slots=True)
class NumberForm:
    """How a site writes its numbers.

    ``width`` is how many digits they have, at most 15; where they are not ``is_padded`` with
    zeros to that width, it is how many they have at most, and none begins with a zero.
    """

    width: int = LONGEST
    is_padded: bool = True

    @property
    def expected(self) -> str:
        """The form in words, for a fault."""
        if self.is_padded:
            return f"{self.width} digits, with zeros in front: the site's form of a number"
        return f"1 to {self.width} digits, without zeros in front: the site's form of a number"

    @property
    def pattern(self) -> str:
        """A regular expression (RE2) that matches the whole number."""
        if self.is_padded:
            return rf"\A[0-9]{{{self.width}}}\z"
        return rf"\A[1-9][0-9]{{0,{self.width - 1}}}\z"

    def of(self, number: str) -> str:
        """*number* in the site's form; unchanged if it has no such form."""
        digits = bare(number)
        if not digits.isdecimal() or len(digits) > self.width:
            return number
        return digits.zfill(self.width) if self.is_padded else digits


AS_SHIPPED = NumberForm()
"""The form that holds where a site sets none: 15 digits, with zeros in front."""


def bare(number: str) -> str:
    """The part of *number* that all its spellings share: from the first character that is not 0.

    Two numbers of one municipality are the same person's if this is the same.
    """
    if number.isascii() and number.isdecimal():
        return number.lstrip("0")
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", number)).lstrip("0")


def comparable(number: str) -> str:
    """:func:`bare`, padded with zeros in front to the greatest length."""
    return bare(number).rjust(LONGEST, "0")


def comparable_key(key: str) -> str:
    """*key*, ``<municipality_code>/<number>``, with its number as :func:`comparable` has it."""
    municipality, slash, number = key.partition("/")
    return f"{municipality}/{comparable(number)}" if slash else key


def spellings(number: str, longest: int = LONGEST) -> Iterator[str]:
    """The ways to write *number* with zeros in front and blanks around, the shortest first.

    For stores that find by equality; what else somebody may have put between the digits is not
    among them.
    """
    digits = bare(number)
    yield number
    for width in range(max(len(digits), 1), longest + 1):
        padded = digits.zfill(width)
        for blanks in range(longest - width + 1):
            for before in range(blanks + 1):
                spelled = " " * before + padded + " " * (blanks - before)
                if spelled != number:
                    yield spelled


INDIVIDUAL = (2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6)
"""What the digits of a 個人番号 weigh in its check digit, from the lowest of the body."""


def is_individual_number(text: str) -> bool:
    """Whether twelve digits have the check digit of a 個人番号.

    Source: 総務省令第85号(平成26年) 第5条.
    """
    rest = weighed(text[:-1], INDIVIDUAL) % 11
    return int(text[-1]) == (0 if rest <= 1 else 11 - rest)


def weighed(body: str, weights: Sequence[int]) -> int:
    """The sum of weight times digit; the first weight is for the lowest digit."""
    return sum(int(sign) * weight for sign, weight in zip(body[::-1], weights, strict=False))
