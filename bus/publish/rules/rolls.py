"""Rules of what other offices keep of a person: electoral roll, school register, vaccinations.

Source: 公職選挙法 27条 and 28条 (表示 and 抹消); 学校教育法 32条, 47条 and 49条の4 (six, three
and nine years of school); articles from general knowledge.
"""

from __future__ import annotations

from bus.publish.finding import Records
from bus.publish.kernels import Mask
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import entries, given, happened, one_of, today
from bus.publish.rules.forms import (
    Where,
    another_than,
    closes_with,
    each_once,
    flag_after,
    has_none,
    needs,
    needs_entry,
    not_past,
    ranged_where,
)
from bus.publish.rules.statement import Statement


def _is_registered(records: Records) -> Mask:
    return records.column("registered")


ELECTORAL_ROLL = (
    *closes_with("struck_off"),
    flag_after("registered", "registered", is_set=True, ja="登録の後は登録有である"),
    flag_after("registered", "struck_off", is_set=False, ja="抹消の後は登録無である"),
    not_past("registered", "struck_off_on", "抹消日が到来した者は登録無である"),
    needs("registered_on", _is_registered, "登録者には登録日がある", "where registered is set"),
    needs(
        "marked_on",
        lambda records: happened(records, "marked"),
        "転出表示には表示日がある",
        "after marked",
    ),
    needs(
        "struck_off_on",
        lambda records: pc.and_not(given(records, "registered_on"), _is_registered(records)),
        "登録を失った者には抹消日がある",
        "where registered_on is given and registered is not set",
    ),
    Statement(
        ja="抹消日は転出表示日より前ではない",
        code="date-order",
        path="struck_off_on",
        expected="a day not before marked_on",
        fails=lambda records: pc.less(records.column("struck_off_on"), records.column("marked_on")),
    ),
)

# -- 就学 ----------------------------------------------------------------------------------------


def _kind(*kinds: str) -> Where:
    return lambda records: one_of(records.column("school_kind"), *kinds)


def _attends(records: Records) -> Mask:
    return happened(records, "enrolled", "transferred")


SCHOOL = (
    *closes_with("left"),
    another_than("guardian_subject_id", "header.subject_id", "保護者は児童本人ではない"),
    has_none(
        "grade",
        _kind("NONE"),
        "就学猶予・免除の者に学年はない",
        "where exempt from school",
    ),
    has_none(
        "school",
        _kind("NONE"),
        "就学猶予・免除の者に学校はない",
        "where exempt from school",
    ),
    ranged_where("grade", 6, _kind("ELEMENTARY"), "小学校は6学年である", "in an elementary school"),
    ranged_where(
        "grade", 3, _kind("JUNIOR_HIGH"), "中学校は3学年である", "in a junior high school"
    ),
    needs("school", _attends, "就学者には学校がある", "after enrolled or transferred"),
    needs("enrolled_on", _attends, "就学者には入学日がある", "after enrolled or transferred"),
    needs(
        "left_on",
        lambda records: happened(records, "left"),
        "卒業・転学にはその日がある",
        "after left",
    ),
)

# -- 予防接種 ------------------------------------------------------------------------------------


def _given_ahead(records: Records) -> Mask:
    rows, given_on = entries(records, "vaccinations", "given_on")
    return pc.greater(given_on, pc.take(today(records), rows))


VACCINATION = (
    *closes_with(),
    needs_entry(
        "vaccinations",
        lambda records: happened(records, "given"),
        "接種の後は接種記録がある",
        "after given",
        "vaccinations.vaccine",
    ),
    each_once("vaccinations", "vaccine", "dose", "given_on", ja="同じ接種は一度だけ挙げる"),
    Statement(
        ja="接種日は処理日より後ではない",
        code="date-ahead",
        path="vaccinations.given_on",
        expected="no day after the day of processing",
        fails=_given_ahead,
        entries="vaccinations",
    ),
)
