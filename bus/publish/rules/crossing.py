"""Rules of what crosses between systems: applications from マイナポータル, and milestones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bus.publish.finding import Records
from bus.publish.kernels import Mask
from bus.publish.kernels import kernels as pc
from bus.publish.rules.columns import happened, one_of
from bus.publish.rules.forms import closes_with, each_once, key_of, needs
from bus.publish.rules.statement import Statement

_STATE_AFTER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "arrived": ("RECEIVED", "IDENTIFIED"),  # a known certificate is identified at once
        "identified": ("IDENTIFIED",),
        "returned": ("RETURNED",),
        "withdrawn": ("WITHDRAWN",),
        "completed": ("COMPLETED",),
    }
)


def _another_state(records: Records) -> Mask:
    state = records.column("state")
    wrong = None
    for event, states in _STATE_AFTER.items():
        unfit = pc.and_not(happened(records, event), one_of(state, *states))
        wrong = unfit if wrong is None else pc.or_(wrong, unfit)
    return wrong


def _is_identified(records: Records) -> Mask:
    return one_of(records.column("state"), "IDENTIFIED")


APPLICATION = (
    *closes_with("withdrawn", "completed", always=False),
    Statement(
        ja="申請状態はイベントの後の状態である",
        code="state",
        path="state",
        expected="the state after this event",
        fails=_another_state,
    ),
    needs(
        "applicant_subject_id",
        _is_identified,
        "宛名特定済の申請には申請者の宛名番号がある",
        "once the applicant is identified",
    ),
    each_once("concerned", "subject_id", ja="対象者は一人一度だけ挙げる"),
    Statement(
        ja="受付日時は処理日時より後ではない",
        code="date-ahead",
        path="received_at",
        expected="no time after processed_at",
        fails=lambda records: pc.greater(
            records.column("received_at"), records.column("header.processed_at")
        ),
    ),
)

MILESTONE = (
    *closes_with("withdrawn", always=False),
    key_of(
        lambda records: (records.column("person_subject_id"), records.column("milestone")),
        "<person_subject_id>-<milestone>",
        "期日番号は宛名番号-期日区分である",
    ),
)
