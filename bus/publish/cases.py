"""Which cases of protection (申出) a person has, and what an event may do to them.

Learnt from the topic, like versions, and judged in the order of the log: an event changes the one
case that it names. A snapshot that leaves out, ends or narrows another open case is refused, and
so is the end of a case that nobody knows or that has ended. An end that was decided no later than
the day on which its case began means another case: it is refused as well where the person has had
another, also one that ended and is listed no more. That is how a list of ended protections, drawn
up before a second one was filed, must not lift the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from bus.model import Case, Fault
from bus.policy.cases import NOTHING, CaseIndex, CaseRecord, PersonCases, after


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an event is refused: a fault's code, what was expected, the item."""

    code: str
    expected: str
    field: str
    item: str

    @classmethod
    def of(cls, fault: Fault) -> Self:
        """What a publisher said of a change."""
        return cls(fault.code, fault.expected, fault.field or "", fault.item or "")

    def fault(self, record: int) -> Fault:
        """The refusal as a fault of one record."""
        return Fault(
            code=self.code, expected=self.expected, record=record, field=self.field, item=self.item
        )


_UNKNOWN = Refused(
    "case-unknown", "a case that is known, by the day on which it began",
    "started_on", "支援措置開始日",
)  # fmt: skip
_ENDED = Refused("case-ended", "a case that has not ended yet", "started_on", "支援措置開始日")
_NOT_ALL = Refused(
    "case-dropped", "all open cases of the person, also those that the event is not about",
    "cases", "申出",
)  # fmt: skip
_ANOTHER = Refused(
    "case-other", "no end of another case than the one that started_on names", "cases", "申出"
)
_NARROWED = Refused(
    "case-narrowed", "no less of another case than before: the event is about one", "cases", "申出"
)
_UNDECIDED = Refused(
    "missing", "the day of the decision, where the person has had another case",
    "decided_on", "支援措置終了決定日",
)  # fmt: skip
_TOO_EARLY = Refused(
    "case-decided", "a decision after the day on which its case began, where there is another",
    "decided_on", "支援措置終了決定日",
)  # fmt: skip


def judge(before: PersonCases, now: CaseRecord, *, opens: bool) -> Iterator[Refused]:
    """Everything that is wrong with the record *now*, coming after *before*.

    Args:
        before: How the person stands, as far as the log says.
        now: What the event says.
        opens: Whether its nature is RECORD: a first load hands over what the register has reached.
    """
    if not (opens and before == NOTHING):
        yield from _about(before, now)
    others = [case for case in before.open if case.started_on != now.named]
    if others and not now.is_whole:
        yield _NOT_ALL
    elif others:
        yield from dict.fromkeys(
            wrong for case in others if (wrong := _of_another(case, now)) is not None
        )


def _about(before: PersonCases, now: CaseRecord) -> Iterator[Refused]:
    """What is wrong with what the record says of the case that it names."""
    named = before.cases.get(now.named)
    if now.event_type == "protection.started":
        return
    if named is None:
        yield _UNKNOWN
    elif not now.ends:
        return
    elif not named.is_open:
        yield _ENDED
    elif before.has_another(now.named):
        if now.decided_on is None:
            if before.is_by_cases or len(before.cases) > 1:
                yield _UNDECIDED
        elif now.decided_on <= now.named:
            yield _TOO_EARLY


def _of_another(case: Case, now: CaseRecord) -> Refused | None:
    """What is wrong with an open case that the event is not about."""
    known = now.cases.get(case.started_on)
    if known is None:
        return _NOT_ALL
    if not known.is_open:
        return _ANOTHER
    is_less = not (case.shared_with <= known.shared_with and case.suppresses <= known.suppresses)
    return _NARROWED if is_less else None


class CaseDraft:
    """Persons' cases as they would be after the added events; the index itself is not changed.

    A change is all or nothing: :meth:`keep` what was added since the last of these two calls, or go
    :meth:`back`.
    """

    def __init__(self, index: CaseIndex) -> None:
        self._index = index
        self._kept: dict[str, PersonCases] = {}
        self._added: dict[str, PersonCases] = {}

    def add(self, now: CaseRecord, *, opens: bool) -> list[Refused]:
        """What is wrong with an event; if nothing is, it is added as the newest."""
        before = self._added.get(now.key) or self._kept.get(now.key) or self._index.of(now.key)
        wrong = list(judge(before, now, opens=opens))
        if not wrong:
            self._added[now.key] = after(before, now)
        return wrong

    def keep(self) -> None:
        """Keep the events that were added."""
        self._kept |= self._added
        self._added = {}

    def back(self) -> None:
        """Drop the events that were added since the last :meth:`keep`."""
        self._added = {}
