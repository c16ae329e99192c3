"""Rules of the insurances and the pension: qualification, care level.

Source: 高齢者の医療の確保に関する法律 (法別番号 39), 国民健康保険 (保険者番号 of six digits); the
longest validity of a care level, 48 months, is 介護保険法施行規則 as of 2021, from general
knowledge.
"""

from __future__ import annotations

import pyarrow as pa

from bus.model import Severity
from bus.publish.finding import Records
from bus.publish.kernels import Mask
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import given, happened, one_of
from bus.publish.rules.forms import (
    closes_with,
    flag_after,
    has_none,
    needs,
    not_past,
)
from bus.publish.rules.statement import Statement

_NOT_ELIGIBLE = "NOT_ELIGIBLE"
_LONGEST_VALIDITY = 49 * 31  # days: 48 months from the first of the month after


def _qualification(flag: str) -> tuple[Statement, ...]:
    """What holds of every qualification; *flag* says whether it is held."""
    return (
        *closes_with("lost"),
        flag_after(flag, "acquired", is_set=True, ja="資格取得の後は該当である"),
        flag_after(flag, "lost", is_set=False, ja="資格喪失の後は非該当である"),
        not_past(flag, "lost_on", "喪失日が到来した者は非該当である"),
        needs(
            "acquired_on",
            lambda records: records.column(flag),
            "該当者には資格取得日がある",
            f"where {flag} is set",
        ),
        needs(
            "lost_on",
            lambda records: pc.and_not(given(records, "acquired_on"), records.column(flag)),
            "資格を失った者には資格喪失日がある",
            f"where acquired_on is given and {flag} is not set",
        ),
    )


def _not_six_digits(records: Records) -> Mask:
    return pc.not_equal(pc.utf8_length(records.column("insurer_number")), 6)


def _another_law(records: Records) -> Mask:
    return pc.invert(pc.starts_with(records.column("insurer_number"), "39"))


NATIONAL_HEALTH = (
    *_qualification("insured"),
    Statement(
        ja="国民健康保険の保険者番号は6桁である",
        code="insurer",
        path="insurer_number",
        expected="6 digits",
        fails=_not_six_digits,
    ),
)

LATE_ELDERLY = (
    *_qualification("insured"),
    needs(
        "ground",
        lambda records: records.column("insured"),
        "該当者には資格取得事由がある",
        "where insured is set",
    ),
    Statement(
        ja="後期高齢者医療の保険者番号は法別番号39で始まる",
        code="insurer",
        path="insurer_number",
        expected="a number that begins with 39 (法別番号)",
        fails=_another_law,
    ),
)

LONG_TERM_CARE = (
    *_qualification("insured"),
    needs(
        "insured_class",
        lambda records: records.column("insured"),
        "該当者には被保険者区分がある",
        "where insured is set",
    ),
)

PENSION = (
    *_qualification("enrolled"),
    needs(
        "insured_kind",
        lambda records: records.column("enrolled"),
        "該当者には種別がある",
        "where enrolled is set",
    ),
)

# -- 要介護認定 ----------------------------------------------------------------------------------


def _is_eligible(records: Records) -> Mask:
    return pc.invert(_is_not_eligible(records))


def _is_not_eligible(records: Records) -> Mask:
    return one_of(records.column("care_level"), _NOT_ELIGIBLE)


def _longer_than_four_years(records: Records) -> Mask:
    first, last = (pc.cast(records.column(f"valid_{end}"), pa.int32()) for end in ("from", "to"))
    return pc.greater(pc.subtract(last, first), _LONGEST_VALIDITY)


CARE_LEVEL = (
    *closes_with("ended"),
    needs("valid_from", _is_eligible, "認定者には有効期間開始日がある", "with a care level"),
    needs("valid_to", _is_eligible, "認定者には有効期間終了日がある", "with a care level"),
    has_none("valid_from", _is_not_eligible, "非該当には有効期間がない", "where not eligible"),
    has_none("valid_to", _is_not_eligible, "非該当には有効期間がない", "where not eligible"),
    Statement(
        ja="終了は要介護・要支援の認定に限る",
        code="state",
        path="care_level",
        expected="a care level that can end",
        fails=lambda records: pc.and_(happened(records, "ended"), _is_not_eligible(records)),
    ),
    Statement(
        ja="有効期間は48か月を超えない",
        code="validity",
        path="valid_to",
        expected="a day within 48 months",
        fails=_longer_than_four_years,
        severity=Severity.WARNING,
    ),
)
