"""Number the keys of persons and households, so that a city's worth of them fits in arrays.

A key is ``<municipality_code>/<number>``. Numbers of up to fifteen digits are what they say, with
the municipality above them. What makes two the same is :func:`bus.model.number.bare`, so that no
spelling makes another of one. What is no such number is given a negative one of its own.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bus.model.number import LONGEST, bare

_SHIFT = 50  # 10**15 < 2**50
_MOST = 1 << (63 - _SHIFT)  # municipalities; a register has one, a joint one a few


class Numbering:
    """Maps keys to whole numbers and back; a number once given stays for the object's life."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._odd: dict[str, int] = {}
        self._municipalities: list[str] = []
        self._odd_keys: list[str] = []

    def of(self, key: str) -> int:
        """The whole number of *key*."""
        code, slash, number = key.partition("/")
        digits = bare(number) or "0"
        is_plain = slash and digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST
        if is_plain and (at := self._at(code)) is not None:
            return at << _SHIFT | int(digits)
        return self._odd_one(f"{code}/{digits}" if slash else key)

    def key(self, number: int) -> str:
        """The key that *number* was made of; zeros in front are put back to the full width."""
        if number < 0:
            return self._odd_keys[-number - 1]
        digits = str(number & (1 << _SHIFT) - 1).zfill(LONGEST)
        return f"{self._municipalities[number >> _SHIFT]}/{digits}"

    def column(self, codes: pa.StringArray, ids: pa.StringArray) -> pa.Int64Array:
        """The whole numbers of many keys, given as two columns."""
        is_plain: Any = pc.and_(
            pc.and_(pc.string_is_ascii(ids), pc.utf8_is_decimal(ids)),
            pc.less_equal(pc.binary_length(ids), pa.scalar(LONGEST, pa.int32())),
        )
        plain: Any = pc.if_else(is_plain, ids, "0").cast(pa.int64())
        encoded = codes.dictionary_encode()
        places = [self._at(str(code)) for code in encoded.dictionary.to_pylist()]
        if None in places or is_plain.false_count:
            return self._one_by_one(codes, ids)
        base = pa.array([(at or 0) << _SHIFT for at in places], pa.int64())
        found: pa.Int64Array = pc.add(plain, base.take(encoded.indices))
        return found

    def _one_by_one(self, codes: pa.StringArray, ids: pa.StringArray) -> pa.Int64Array:
        pairs = zip(codes.to_pylist(), ids.to_pylist(), strict=True)
        return pa.array([self.of(f"{code}/{number}") for code, number in pairs], pa.int64())

    def _at(self, code: str) -> int | None:
        """The place of a municipality among those known; None if there are too many to number."""
        at = self._codes.get(code)
        if at is None and len(self._codes) < _MOST:
            at = self._codes[code] = len(self._codes)
            self._municipalities.append(code)
        return at

    def _odd_one(self, key: str) -> int:
        at = self._odd.get(key)
        if at is None:
            self._odd_keys.append(key)
            at = self._odd[key] = -len(self._odd_keys)
        return at
