"""Rules of 住登外者 and 個人番号: who a number is about.

Source: 共通機能標準仕様書 第2.1版 (住登外者宛名番号管理: 名寄せ links two numbers and
never renumbers).
"""

from __future__ import annotations

from bus.publish.finding import Records
from bus.publish.kernels import Mask
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import absent, given, happened
from bus.publish.rules.forms import (
    another_than,
    closes_with,
    flag_after,
    has_none,
    needs,
    not_ahead,
)


def _birth_without_day(records: Records) -> Mask:
    day, said = absent(records, "birth_date.date"), absent(records, "birth_date.text")
    return pc.and_(given(records, "birth_date"), pc.and_(day, said))


NONRESIDENT = (
    *closes_with("closed"),
    needs(
        "birth_date.date",
        _birth_without_day,
        "生年月日は日付又は不詳表記を持つ",
        "or a text where a date of birth is said",
    ),
    not_ahead("birth_date.date", "生年月日は処理日より後ではない"),
    flag_after("linked_source", "linked", is_set=True, ja="名寄せの後は名寄せ元である"),
    flag_after("linked_source", "unlinked", is_set=False, ja="名寄せ解除の後は名寄せ元でない"),
    has_none(
        "linked_to",
        lambda records: pc.invert(records.column("linked_source")),
        "名寄せ先は名寄せ元だけが持つ",
        "unless linked_source is set",
    ),
    another_than("linked_to", "header.subject_id", "名寄せ先は自分自身ではない"),
    needs(
        "closed_on",
        lambda records: happened(records, "closed"),
        "消除には消除日がある",
        "after closed",
    ),
)

INDIVIDUAL_NUMBER = (
    *closes_with(),
    not_ahead("assigned_on", "付番日は処理日より後ではない"),
)
