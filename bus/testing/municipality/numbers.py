"""Numbers as municipalities give them out.

Source: 住民記録システム標準仕様書 v1.0, 1.1.13 (モジュラス11, weights 2 to 7; remainder 1
gives 0 in practice); 総務省 全国地方公共団体コード仕様.
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


def full_width(number: int) -> str:
    """The number in full-width digits, as lots and rooms are written."""
    return str(number).translate(_FULL_WIDTH)


_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
