"""Numbers as municipalities give them out.

Source: 住民記録システム標準仕様書 v1.0, 1.1.13 (モジュラス11, weights 2 to 7; remainder 1
gives 0 in practice); 総務省 全国地方公共団体コード仕様; 総務省令第85号(平成26年) 第5条; 国税庁
法人番号; 保険者番号等設定要領.
"""

from __future__ import annotations

_WEIGHTS = (2, 3, 4, 5, 6, 7) * 3
_WIDTH = 15


def numbered(body: int) -> str:
    """The 宛名番号 or 世帯番号 whose body is *body*: 15 digits, the last one checks."""
    total, rest = 0, body
    for weight in _WEIGHTS:
        if not rest:
            break
        rest, digit = divmod(rest, 10)
        total += digit * weight
    remainder = total % 11
    check = 0 if remainder <= 1 else 11 - remainder
    return f"{body}{check}".zfill(_WIDTH)


def municipality_code(first_five: str) -> str:
    """The whole 全国地方公共団体コード: the five digits and their check digit."""
    weighted = sum(int(d) * w for d, w in zip(first_five, (6, 5, 4, 3, 2), strict=True))
    return f"{first_five}{(11 - weighted % 11) % 10}"


def individual_number(body: int) -> str:
    """The 個人番号 whose first eleven digits are *body*."""
    weights = (2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6)
    total = sum(int(d) * w for d, w in zip(f"{body:011d}"[::-1], weights, strict=True))
    remainder = total % 11
    return f"{body:011d}{0 if remainder <= 1 else 11 - remainder}"


def corporate_number(body: int) -> str:
    """The 法人番号 whose last twelve digits are *body*; the check digit comes first."""
    total = sum(int(d) * (1 + i % 2) for i, d in enumerate(f"{body:012d}"[::-1]))
    return f"{9 - total % 9}{body:012d}"


def insurer_number(body: str) -> str:
    """The 保険者番号 that begins with the digits *body* (five or seven)."""
    doubled = [int(digit) * (2 - i % 2) for i, digit in enumerate(reversed(body))]
    return f"{body}{-sum(n // 10 + n % 10 for n in doubled) % 10}"


def full_width(number: int) -> str:
    """The number in full-width digits, as lots and rooms are written."""
    return str(number).translate(_FULL_WIDTH)


_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
