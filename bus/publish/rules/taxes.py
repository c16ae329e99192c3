"""Rules of the four taxes.

Source: 地方税法 35条 and 314条の3 (所得割: 4 % to the prefecture and 6 % to the municipality; 2 %
and 8 % in a designated city), 292条 (合計所得金額 and 総所得金額等), 318条 and 359条 (賦課期日: 1
January), 463条の16 (1 April), 9条の2 (one representative); 法人税法 13条 (a business year is no
longer than a year). The articles are from general knowledge and to be held against the law.
"""

from __future__ import annotations

import re
from fractions import Fraction

import pyarrow as pa

from bus.model import Severity
from bus.publish.finding import Records
from bus.publish.kernels import Column, Mask
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import any_entry, entries, happened, year
from bus.publish.rules.forms import (
    another_than,
    closes_with,
    each_once,
    has_none,
    key_of,
    needs,
)
from bus.publish.rules.statement import Statement

_LEAST_TOLD_APART = 100  # both shares are rounded down to 100 yen: below, they may be equal
_FRACTION = "[1-9][0-9]{0,14}/[1-9][0-9]{0,14}"
_LONGEST_TERM = 365  # days from the first to the last of a leap year


def _levy_key(records: Records) -> tuple[Column, ...]:
    return records.column("taxpayer_subject_id"), records.column("fiscal_year")


def _decided_too_early(records: Records) -> Mask:
    return pc.less(year(records.column("decided_on")), records.column("fiscal_year"))


_LEVY_KEY = key_of(
    _levy_key, "<taxpayer_subject_id>-<fiscal_year>", "賦課番号は宛名番号-年度である"
)
_FISCAL_YEAR = Statement(
    ja="賦課決定日は賦課期日（課税年度の1月1日）より前ではない",
    code="fiscal-year",
    path="fiscal_year",
    expected="a year that had begun on decided_on",
    fails=_decided_too_early,
)

# -- 個人住民税 ----------------------------------------------------------------------------------


def _shares_look_swapped(records: Records) -> Mask:
    prefectural = records.column("prefectural_income_levy")
    told_apart = pc.greater(prefectural, _LEAST_TOLD_APART)
    return pc.and_(
        told_apart, pc.greater_equal(prefectural, records.column("municipal_income_levy"))
    )


def _more_than_aggregate(records: Records) -> Mask:
    return pc.greater(records.column("total_income"), records.column("aggregate_income"))


ASSESSMENT = (
    *closes_with("cancelled"),
    _LEVY_KEY,
    _FISCAL_YEAR,
    Statement(
        ja="市町村民税所得割額は道府県民税所得割額を上回る（標準税率 6:4、指定都市 8:2）",
        code="levy-ratio",
        path="municipal_income_levy",
        expected="more than prefectural_income_levy, as the standard rates have it",
        fails=_shares_look_swapped,
        severity=Severity.WARNING,
    ),
    Statement(
        ja="総所得金額等は合計所得金額（繰越控除前）を超えない",
        code="income-order",
        path="total_income",
        expected="not more than aggregate_income, which is before losses carried over",
        fails=_more_than_aggregate,
        severity=Severity.WARNING,
    ),
)

# -- 固定資産税 ----------------------------------------------------------------------------------


def _no_fraction(records: Records) -> Mask:
    _, share = entries(records, "co_owners", "share")
    return pc.invert(pc.match_substring_regex(share, rf"\A{_FRACTION}\z"))


def _more_than_whole(records: Records) -> Mask:
    """Where the shares of a levy are all fractions and together more than one."""
    if not pc.any(given_shares := any_entry(records, "co_owners", _has_share(records))).as_py():
        return given_shares
    rows, shares = entries(records, "co_owners", "share")
    sums: dict[int, Fraction] = {}
    for row, share in zip(rows.to_pylist(), shares.to_pylist(), strict=True):
        sums[row] = sums.get(row, Fraction(0)) + _fraction(share)
    return pa.array([sums.get(row, 0) > 1 for row in range(len(given_shares))], pa.bool_())


def _has_share(records: Records) -> Mask:
    _, share = entries(records, "co_owners", "share")
    return pc.is_valid(share)


def _fraction(share: str | None) -> Fraction:
    """The share; nothing where there is none, or where it is no fraction (a fault of its own)."""
    if share is None or not re.fullmatch(_FRACTION, share):
        return Fraction(0)
    return Fraction(share)


def _second_representative(records: Records) -> Mask:
    rows, representative = entries(records, "co_owners", "representative")
    several = pc.filter(rows, representative)
    counts = pc.value_counts(several)
    doubled = pc.filter(counts.field("values"), pc.greater(counts.field("counts"), 1))
    return pc.and_(representative, pc.is_in(rows, value_set=doubled))


FIXED_ASSET = (
    *closes_with("cancelled"),
    _LEVY_KEY,
    _FISCAL_YEAR,
    another_than(
        "tax_agent_subject_id", "taxpayer_subject_id", "納税管理人は納税義務者本人ではない"
    ),
    each_once("co_owners", "subject_id", ja="共有者は一人一度だけ挙げる"),
    Statement(
        ja="持分は分数（n/m）である",
        code="share",
        path="co_owners.share",
        expected="a fraction as 1/2",
        fails=_no_fraction,
        entries="co_owners",
    ),
    Statement(
        ja="持分の合計は1を超えない",
        code="share-sum",
        path="co_owners.share",
        expected="shares of at most 1 together",
        fails=_more_than_whole,
    ),
    Statement(
        ja="共有者の代表者は一人である",
        code="representative",
        path="co_owners.representative",
        expected="at most one representative",
        fails=_second_representative,
        entries="co_owners",
    ),
)

# -- 法人住民税 ----------------------------------------------------------------------------------


def _corporate_key(records: Records) -> tuple[Column, ...]:
    month = pc.strftime(records.column("term_end"), format="%Y%m")
    return records.column("corporation_subject_id"), month


def _longer_than_a_year(records: Records) -> Mask:
    first, last = (pc.cast(records.column(f"term_{end}"), pa.int32()) for end in ("start", "end"))
    return pc.greater(pc.subtract(last, first), _LONGEST_TERM)


CORPORATE = (
    *closes_with("cancelled"),
    key_of(
        _corporate_key,
        "<corporation_subject_id>-<year and month of term_end>",
        "賦課番号は宛名番号-事業年度末年月である",
    ),
    Statement(
        ja="事業年度は1年を超えない",
        code="term",
        path="term_end",
        expected="a day within a year from term_start",
        fails=_longer_than_a_year,
    ),
)

# -- 軽自動車税 ----------------------------------------------------------------------------------


def _taxed_without_year(records: Records) -> Mask:
    return pc.greater(records.column("annual_tax"), 0)


def _acquired_after_the_day(records: Records) -> Mask:
    acquired = records.column("acquired_on")
    month_day = pc.add(pc.multiply(pc.month(acquired), 100), pc.day(acquired))
    first_year = pc.add(year(acquired), pc.cast(pc.greater(month_day, 401), pa.int64()))
    taxed = pc.greater(records.column("annual_tax"), 0)
    return pc.and_(taxed, pc.less(records.column("fiscal_year"), first_year))


VEHICLE = (
    *closes_with("disposed"),
    needs(
        "disposed_on",
        lambda records: happened(records, "disposed"),
        "廃車には廃車日がある",
        "after disposed",
    ),
    has_none(
        "disposed_on",
        lambda records: happened(records, "registered"),
        "登録時に廃車日はない",
        "after registered",
    ),
    needs("fiscal_year", _taxed_without_year, "税額には課税年度がある", "where a tax is levied"),
    Statement(
        ja="賦課期日（4月1日）より後に取得した車両には当年度の税がない",
        code="fiscal-year",
        path="fiscal_year",
        expected="a year on whose 1 April the vehicle had been acquired",
        fails=_acquired_after_the_day,
        severity=Severity.WARNING,
    ),
)
