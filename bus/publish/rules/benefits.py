"""Rules of benefits and welfare: allowances, 生活保護, 手帳, 教育・保育給付認定.

Source: 児童手当法 and 児童扶養手当法 (paid by the month), 生活保護法 26条 (停止 and 廃止),
子ども・子育て支援法 20条 (保育必要量 of the second and third category). Articles are from general
knowledge.
"""

from __future__ import annotations

from collections.abc import Sequence

from bus.publish.finding import Records
from bus.publish.kernels import Mask
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import absent, any_entry, entries, given, happened, one_of, today
from bus.publish.rules.forms import (
    another_than,
    closes_with,
    each_once,
    each_plain_once,
    first_of_month,
    flag_after,
    has_none,
    needs,
    needs_entry,
    no_entry_is,
    not_ahead,
    not_past,
    zero_where,
)
from bus.publish.rules.statement import Statement


def _receives(records: Records) -> Mask:
    return records.column("receiving")


def _receives_no_longer(records: Records) -> Mask:
    return pc.and_not(given(records, "start_month"), _receives(records))


# -- 手当 ----------------------------------------------------------------------------------------

_ALLOWANCE: Sequence[Statement] = (
    *closes_with("ended"),
    flag_after("receiving", "started", is_set=True, ja="支給開始の後は受給中である"),
    flag_after("receiving", "ended", is_set=False, ja="支給終了の後は受給中でない"),
    needs("start_month", _receives, "受給者には支給開始年月がある", "where receiving is set"),
    first_of_month("start_month", "年月は月の初日で表す"),
    first_of_month("end_month", "年月は月の初日で表す"),
    needs_entry(
        "children",
        _receives,
        "受給者には対象児童がある",
        "where receiving is set",
        "children.subject_id",
    ),
    each_once("children", "subject_id", ja="対象児童は一人一度だけ挙げる"),
    no_entry_is("children", "subject_id", "header.subject_id", "対象児童は受給者本人ではない"),
    not_ahead("decided_on", "決定日は処理日より後ではない"),
)

CHILD_ALLOWANCE = (
    *_ALLOWANCE,
    needs(
        "end_month",
        _receives_no_longer,
        "受給を終えた者には支給終了年月がある",
        "where start_month is given and receiving is not set",
    ),
    zero_where(
        "monthly_amount",
        lambda records: pc.invert(_receives(records)),
        "受給中でない者の支給月額は0である",
        "where receiving is not set",
    ),
)


def _is_suspended(records: Records) -> Mask:
    return pc.fill_null(one_of(records.column("extent"), "SUSPENDED"), False)


CHILD_REARING = (
    *_ALLOWANCE,
    needs("extent", _receives, "受給者には支給区分がある", "where receiving is set"),
    needs(
        "end_month",
        lambda records: pc.and_not(_receives_no_longer(records), _is_suspended(records)),
        "受給を終えた者には支給終了年月がある",
        "where start_month is given, receiving is not set, and nothing is suspended",
    ),
    Statement(
        ja="支給停止の後の支給区分は全部停止である",
        code="state",
        path="extent",
        expected="SUSPENDED after suspended",
        fails=lambda records: pc.and_not(happened(records, "suspended"), _is_suspended(records)),
    ),
    zero_where(
        "monthly_amount",
        lambda records: pc.or_(pc.invert(_receives(records)), _is_suspended(records)),
        "受給中でない者・全部停止の者の支給月額は0である",
        "where receiving is not set, or all is suspended",
    ),
)

# -- 生活保護 ------------------------------------------------------------------------------------


def _unended(records: Records) -> Mask:
    return pc.and_(pc.invert(_receives(records)), absent(records, "suspended_on"))


PUBLIC_ASSISTANCE = (
    *closes_with("ended"),
    flag_after("receiving", "started", is_set=True, ja="保護開始の後は受給中である"),
    flag_after("receiving", "ended", is_set=False, ja="保護廃止の後は受給中でない"),
    not_past("receiving", "ended_on", "廃止日が到来した者は受給中でない"),
    needs(
        "suspended_on",
        lambda records: happened(records, "suspended"),
        "保護停止には停止日がある",
        "after suspended",
    ),
    needs(
        "ended_on",
        lambda records: pc.or_(happened(records, "ended"), _unended(records)),
        "受給中でない者には廃止日又は停止日がある",
        "after ended, or where neither receiving nor suspended",
    ),
    needs_entry("aids", _receives, "受給者には扶助種別がある", "where receiving is set", "aids"),
    each_plain_once("aids", "扶助種別は一度だけ挙げる"),
)

# -- 障害者手帳 ----------------------------------------------------------------------------------


def _holds(records: Records) -> Mask:
    return records.column("holds_certificate")


def _none_unreturned(records: Records) -> Mask:
    _, returned = entries(records, "certificates", "returned_on")
    return pc.invert(any_entry(records, "certificates", pc.is_null(returned)))


def _one_still_valid(records: Records) -> Mask:
    rows, returned, valid_to = entries(records, "certificates", "returned_on", "valid_to")
    expired = pc.fill_null(pc.less(valid_to, pc.take(today(records), rows)), False)
    return any_entry(records, "certificates", pc.and_not(pc.is_null(returned), expired))


def _returned_none(records: Records) -> Mask:
    _, returned = entries(records, "certificates", "returned_on")
    return pc.invert(any_entry(records, "certificates", pc.is_valid(returned)))


CERTIFICATE = (
    *closes_with("returned", always=False),
    flag_after("holds_certificate", "issued", is_set=True, ja="交付の後は手帳を所持する"),
    Statement(
        ja="手帳所持者には返還していない手帳がある",
        code="state",
        path="holds_certificate",
        expected="false where every certificate was returned",
        fails=lambda records: pc.and_(_holds(records), _none_unreturned(records)),
    ),
    Statement(
        ja="有効な手帳のある者は手帳所持者である",
        code="state",
        path="holds_certificate",
        expected="true where a certificate was neither returned nor has expired",
        fails=lambda records: pc.and_not(_one_still_valid(records), _holds(records)),
    ),
    Statement(
        ja="返還の後は返還日のある手帳がある",
        code="missing",
        path="certificates.returned_on",
        expected="a certificate with a value after returned",
        fails=lambda records: pc.and_(happened(records, "returned"), _returned_none(records)),
    ),
)

# -- 教育・保育給付認定 --------------------------------------------------------------------------


def _is_first_category(records: Records) -> Mask:
    return one_of(records.column("category"), "FIRST")


CHILDCARE = (
    *closes_with("ended"),
    another_than("guardian_subject_id", "header.subject_id", "保護者は児童本人ではない"),
    needs(
        "hours",
        lambda records: pc.invert(_is_first_category(records)),
        "2号・3号認定には保育必要量がある",
        "with the second or third category",
    ),
    has_none("hours", _is_first_category, "1号認定には保育必要量がない", "with the first category"),
    needs(
        "valid_to",
        lambda records: happened(records, "ended"),
        "認定終了には認定期間終了日がある",
        "after ended",
    ),
)
