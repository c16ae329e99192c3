"""Find what text may not hold, over whole columns; no character is ever changed.

Names and addresses travel byte for byte: no normalisation, no width folding, no replacement. Two
things are looked at. **Control characters** (U+0000 to U+001F, U+007F to U+009F) are no text and
are refused. **Private-use characters** (外字) mean what one site's table says, so they may pass
only where the site has declared its table.

A column's bytes are scanned as one buffer first, and rows are asked only where that finds
something, which in practice is never.

**Sizes** count what the standard counts, characters: a code point each, except variation
selectors (U+FE00 to U+FE0F, U+E0100 to U+E01EF), which count nothing. A base character and its
selector are one glyph and one entry of 行政事務標準文字; a name of fifty characters must not
become too long because its owner writes 辻 with one dot. Receiving columns that are measured in
code points must leave room for that. A combining mark (U+3099) is a character of its own.

Source: 基本データリスト, legend (桁数 counts characters); Unicode 16.0, 23.4 and UTS 37.
"""

from __future__ import annotations

import re
from unicodedata import category

import pyarrow as pa

from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc

_CONTROL = r"[\x00-\x1f\x7f-\x{9f}]"
_CONTROL_BYTES = re.compile(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]")
_SHORT = 1024  # bytes up to which one search is quicker than a kernel
_PRIVATE = r"[\x{e000}-\x{f8ff}\x{f0000}-\x{ffffd}\x{100000}-\x{10fffd}]"
_PRIVATE_3 = re.compile(rb"\xef[\x80-\xa3]")  # U+F000 to U+F8FF
_PRIVATE_15 = re.compile(rb"\xf3[\xb0-\xbf]")  # plane 15; other bytes after F3: selectors
_LETTER = r"\pL"
_DIGIT = r"\pN"
_DIGITS_PERHAPS = {"Nd", "Nl", "No", "Cn"}
_KANA = r"[\p{Hiragana}\p{Katakana}\x{ff66}-\x{ff9d}]"
_SOME_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]")  # not all of it
_BLANK_AT_AN_END = r"^[\s\x{3000}]|[\s\x{3000}]$"
_BLANKS = tuple(each.encode() for each in " \t\n\f\r\u3000")  # all that the pattern has
_SELECTORS = r"[\x{fe00}-\x{fe0f}\x{e0100}-\x{e01ef}]"


def with_control(values: Column) -> Mask | None:
    """Which values hold a control character; None if none does."""
    data = _bytes(values)
    if len(data) <= _SHORT:
        return _found(values, _CONTROL) if _CONTROL_BYTES.search(data) else None
    lowest = pc.min(pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)]))
    if lowest.as_py() >= 0x20 and b"\x7f" not in data and b"\xc2" not in data:
        return None
    return _found(values, _CONTROL)


def with_private_use(values: Column) -> Mask | None:
    """Which values hold a private-use character; None if none does."""
    data = _bytes(values)
    is_suspect = (
        b"\xee" in data  # U+E000 to U+EFFF
        or b"\xf4" in data  # plane 16
        or (b"\xef" in data and _PRIVATE_3.search(data) is not None)
        or (b"\xf3" in data and _PRIVATE_15.search(data) is not None)
    )
    return _found(values, _PRIVATE) if is_suspect else None


def longer_than(values: Column, most: int) -> Mask | None:
    """Which values have more than *most* characters; None if none does."""
    start, end = _ends(values)
    if end - start <= most:
        return None
    longest = pc.max(pc.binary_length(values)).as_py()
    if longest is None or longest <= most:  # a character has at least one byte
        return None
    length = pc.utf8_length(values)
    if pc.max(length).as_py() <= most:
        return None
    length = pc.subtract(length, pc.count_substring_regex(values, _SELECTORS))
    return _some(pc.greater(length, most))


def of_numbers_alone(values: Column) -> Mask | None:
    """Which values have digits and no letter; None if none does."""
    if _is_short(values) and not any(_may_hold_digits(value) for value in _texts(values)):
        return None
    with_digits = _found(values, _DIGIT)
    if with_digits is None:
        return None
    without = pc.invert(pc.match_substring_regex(values, _LETTER))
    return _some(pc.and_(without, with_digits))


def without_kana(values: Column) -> Mask | None:
    """Which values are not empty and have no kana; None if there are none."""
    if _is_short(values) and all(_SOME_KANA.search(value) for value in _texts(values)):
        return None
    without = pc.invert(pc.match_substring_regex(values, _KANA))
    return _some(pc.and_(without, pc.greater(pc.binary_length(values), 0)))


def blank_at_an_end(values: Column) -> Mask | None:
    """Which values begin or end with a blank; None if none does."""
    data = _bytes(values)
    if not any(blank in data for blank in _BLANKS):
        return None
    return _found(values, _BLANK_AT_AN_END)


def _ends(values: Column) -> tuple[int, int]:
    """The offsets in its buffer where the column's text begins and ends."""
    offsets = values.buffers()[1]
    if offsets is None or len(values) == 0:
        return 0, 0
    ends = memoryview(offsets).cast("i")
    return ends[values.offset], ends[values.offset + len(values)]


def _bytes(values: Column) -> bytes:
    """The bytes of the column's text, with those of null values."""
    start, end = _ends(values)
    if start == end:
        return b""
    found: bytes = values.buffers()[2].slice(start, end - start).to_pybytes()
    return found


def _is_short(values: Column) -> bool:
    """Whether a look at each value is quicker than making a pattern of Unicode's classes ready."""
    start, end = _ends(values)
    return end - start <= _SHORT


def _texts(values: Column) -> list[str]:
    """The values that are there and not empty."""
    return [value for value in values.to_pylist() if value]


def _may_hold_digits(value: str) -> bool:
    """Whether a character is a digit, or one that this Python's table of Unicode has not."""
    return any(category(character) in _DIGITS_PERHAPS for character in value)


def _found(values: Column, pattern: str) -> Mask | None:
    return _some(pc.match_substring_regex(values, pattern))


def _some(mask: Mask) -> Mask | None:
    return mask if pc.any(mask).as_py() else None
