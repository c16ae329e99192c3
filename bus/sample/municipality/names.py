"""Names, common and rare, with characters that break programs.

Some family names hold variation selectors (葛󠄀 is 葛 and U+E0100), some lie outside the basic plane
(𠮷), some are variants that a careless program folds into another (髙, 﨑, 邉). Nothing may
normalise them. Source: 文字情報基盤; ``domain.md`` 4 in spirit: carried byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

IVS = "\U000e0100"  # the first variation of the character before

_FAMILIES = (
    ("佐藤", "サトウ"), ("鈴木", "スズキ"), ("田中", "タナカ"), ("伊藤", "イトウ"),
    ("渡辺", "ワタナベ"), ("山本", "ヤマモト"), ("中村", "ナカムラ"), ("小林", "コバヤシ"),
    ("加藤", "カトウ"), ("吉田", "ヨシダ"), ("山田", "ヤマダ"), ("佐々木", "ササキ"),
    ("山口", "ヤマグチ"), ("松本", "マツモト"), ("井上", "イノウエ"), ("木村", "キムラ"),
    ("林", "ハヤシ"), ("斎藤", "サイトウ"), ("清水", "シミズ"), ("山崎", "ヤマザキ"),
    ("森", "モリ"), ("池田", "イケダ"), ("橋本", "ハシモト"), ("阿部", "アベ"),
    ("石川", "イシカワ"), ("山下", "ヤマシタ"), ("中島", "ナカジマ"), ("石井", "イシイ"),
    ("小川", "オガワ"), ("前田", "マエダ"), ("岡田", "オカダ"), ("長谷川", "ハセガワ"),
    ("藤田", "フジタ"), ("後藤", "ゴトウ"), ("近藤", "コンドウ"), ("村上", "ムラカミ"),
    ("遠藤", "エンドウ"), ("青木", "アオキ"), ("坂本", "サカモト"), ("福田", "フクダ"),
    ("太田", "オオタ"), ("西村", "ニシムラ"), ("藤井", "フジイ"), ("金子", "カネコ"),
    ("岡本", "オカモト"), ("藤原", "フジワラ"), ("三浦", "ミウラ"), ("中野", "ナカノ"),
    ("原田", "ハラダ"), ("松田", "マツダ"), ("竹内", "タケウチ"), ("小野", "オノ"),
    ("田村", "タムラ"), ("中山", "ナカヤマ"), ("和田", "ワダ"), ("石田", "イシダ"),
    ("森田", "モリタ"), ("上田", "ウエダ"), ("原", "ハラ"), ("内田", "ウチダ"),
)  # fmt: skip
RARE_FAMILIES = (
    ("𠮷田", "ヨシダ"), ("𠮷野", "ヨシノ"), ("髙橋", "タカハシ"), ("髙木", "タカギ"),
    ("山﨑", "ヤマサキ"), ("濵田", "ハマダ"), ("渡邊", "ワタナベ"), ("渡邉", "ワタナベ"),
    ("齋藤", "サイトウ"), ("齊藤", "サイトウ"), ("德永", "トクナガ"), ("栁", "ヤナギ"),
    (f"葛{IVS}城", "カツラギ"), (f"辻{IVS}", "ツジ"), (f"辻{IVS}本", "ツジモト"),
    (f"祇{IVS}園", "ギオン"), (f"榊{IVS}原", "サカキバラ"), (f"渡邉{IVS}", "ワタナベ"),
)  # fmt: skip
_MALE = (
    ("太郎", "タロウ"), ("健一", "ケンイチ"), ("誠", "マコト"), ("隆", "タカシ"),
    ("浩", "ヒロシ"), ("学", "マナブ"), ("大輔", "ダイスケ"), ("翔太", "ショウタ"),
    ("拓也", "タクヤ"), ("直樹", "ナオキ"), ("蓮", "レン"), ("湊", "ミナト"),
    ("悠真", "ユウマ"), ("大翔", "ヒロト"), ("正雄", "マサオ"), ("清", "キヨシ"),
    ("茂", "シゲル"), ("一郎", "イチロウ"), ("颯太", "ソウタ"), ("樹", "イツキ"),
    ("和夫", "カズオ"), ("勝", "マサル"), ("修", "オサム"), ("陽翔", "ハルト"),
)  # fmt: skip
_FEMALE = (
    ("花子", "ハナコ"), ("幸子", "サチコ"), ("和子", "カズコ"), ("洋子", "ヨウコ"),
    ("恵子", "ケイコ"), ("由美子", "ユミコ"), ("真由美", "マユミ"), ("陽子", "ヨウコ"),
    ("愛", "アイ"), ("美咲", "ミサキ"), ("葵", "アオイ"), ("陽葵", "ヒマリ"),
    ("凛", "リン"), ("結衣", "ユイ"), ("さくら", "サクラ"), ("千代", "チヨ"),
    ("キヨ", "キヨ"), ("久美子", "クミコ"), ("智子", "トモコ"), ("菜々子", "ナナコ"),
    ("ゆい", "ユイ"), ("莉子", "リコ"), ("ハル", "ハル"), ("節子", "セツコ"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Origin:
    """A nationality, and how its names are written."""

    nationality: str
    families: tuple[tuple[str, str | None], ...]  # roman, kanji
    male: tuple[tuple[str, str | None], ...]
    female: tuple[tuple[str, str | None], ...]


ORIGINS = (
    Origin(
        "中国",
        (("ＬＩ", "李"), ("ＷＡＮＧ", "王"), ("ＺＨＡＮＧ", "張"), ("ＣＨＥＮ", "陳")),
        (("ＷＥＩ", "偉"), ("ＪＵＮ", "軍"), ("ＭＩＮＧ", "明")),
        (("ＦＡＮＧ", "芳"), ("ＬＩＮＧ", "玲"), ("ＸＩＡＯＹＡＮ", "暁燕")),
    ),
    Origin(
        "ベトナム",
        (("ＮＧＵＹＥＮ", None), ("ＴＲＡＮ", None), ("ＰＨＡＭ", None)),
        (("ＶＡＮ　ＡＮ", None), ("ＤＵＣ　ＭＩＮＨ", None), ("ＱＵＡＮＧ　ＨＵＹ", None)),
        (("ＴＨＩ　ＭＡＩ", None), ("ＴＨＩ　ＨＯＡ", None), ("ＮＧＯＣ　ＡＮＨ", None)),
    ),
    Origin(
        "韓国",
        (("ＫＩＭ", "金"), ("ＬＥＥ", "李"), ("ＰＡＲＫ", "朴")),
        (("ＭＩＮＪＵＮ", "民俊"), ("ＳＵＮＧＨＯ", "成浩")),
        (("ＳＥＯＹＥＯＮ", "書姸"), ("ＥＵＮＪＵ", "恩珠")),
    ),
    Origin(
        "フィリピン",
        (("ＤＥＬＡ　ＣＲＵＺ", None), ("ＳＡＮＴＯＳ", None), ("ＲＥＹＥＳ", None)),
        (("ＪＵＡＮ　ＣＡＲＬＯＳ", None), ("ＭＡＲＫ", None)),
        (("ＭＡＲＩＡ　ＣＬＡＲＡ", None), ("ＡＮＧＥＬＡ", None)),
    ),
    Origin(
        "ネパール",
        (("ＳＨＲＥＳＴＨＡ", None), ("ＧＵＲＵＮＧ", None)),
        (("ＢＩＳＨＮＵ", None), ("ＳＵＮＩＬ", None)),
        (("ＳＩＴＡ", None), ("ＡＮＩＴＡ", None)),
    ),
    Origin(
        "ブラジル",
        (("ＳＩＬＶＡ　ＴＡＮＡＫＡ", None), ("ＯＬＩＶＥＩＲＡ", None)),
        (("ＪＯＳＥ　ＣＡＲＬＯＳ", None), ("ＬＵＣＡＳ", None)),
        (("ＡＮＡ　ＰＡＵＬＡ", None), ("ＪＵＬＩＡＮＡ", None)),
    ),
)  # fmt: skip
RESIDENCE_STATUSES = (
    ("永住者", False), ("特別永住者", False), ("技術・人文知識・国際業務", True), ("留学", True),
    ("家族滞在", True), ("定住者", True), ("日本人の配偶者等", True), ("特定技能１号", True),
)  # fmt: skip
"""Name, and whether it runs out."""

Name = dict[str, str | None]
"""The items of a person's name, ready for a body."""

Family = tuple[str, str]
_EMPTY: Name = dict.fromkeys(
    ("full", "family", "given", "kana", "roman", "kanji", "alias", "alias_kana")
)


def family_name(random: Random) -> Family:
    """A family's name and its reading; one in twelve is rare."""
    return random.choice(RARE_FAMILIES if random.random() < 0.08 else _FAMILIES)


def japanese(family: Family, sex: str, random: Random) -> Name:
    """A Japanese resident's name."""
    given, kana = random.choice(_MALE if sex == "1" else _FEMALE)
    return {
        **_EMPTY,
        "full": f"{family[0]}　{given}",
        "family": family[0],
        "given": given,
        "kana": f"{family[1]}　{kana}",
    }


def foreign(origin: Origin, family: tuple[str, str | None], sex: str, random: Random) -> Name:
    """A foreign resident's name: roman letters, characters where there are any, maybe an alias."""
    given = random.choice(origin.male if sex == "1" else origin.female)
    roman = f"{family[0]}　{given[0]}"
    kanji = f"{family[1]}　{given[1]}" if family[1] and given[1] else None
    name = {**_EMPTY, "full": roman, "roman": roman, "kanji": kanji}
    if random.random() < 0.2:
        alias = japanese(family_name(random), sex, random)
        name |= {"alias": alias["full"], "alias_kana": alias["kana"]}
    return name
