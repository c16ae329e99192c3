"""Examine this machine and whatever it reaches, and which processes run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import bus
from bus.app.configured import topic_specs
from bus.broker.topics import LAG
from bus.errors import BusError
from bus.ledger.keeper import Owed, owed_in
from bus.local.checkup import CheckContext, CheckResult, Verdict, examine, kafka_entered
from bus.observe.moments import local_time
from bus.operate.engines import Engines
from bus.operate.running import Duty, all_duties
from bus.operate.session import Session
from bus.publish.agreement import living, written
from bus.settings import LEAST_LAG

__all__ = ["CheckResult", "Verdict"]

_LOCK = Path(bus.__file__).parents[1] / "requirements" / "lock.txt"
_NAMED = 3  # of what is wrong; of more it is said how many


async def examined(session: Session, engines: Engines) -> list[CheckResult]:
    """Everything that can be examined, each with the command that mends it; nothing is changed."""
    settings = session.settings
    entered = await kafka_entered(settings, session.broker)
    owing: list[Owed] | None = None

    async def ask(ledger: Any) -> None:
        nonlocal owing
        with suppress(BusError):
            owing = await owed_in(ledger)

    outside = CheckContext(lock=_LOCK, settings=settings, kafka=entered, asks_ledger=ask)
    found = await asyncio.to_thread(examine, engines.stack, outside)
    if settings.kafka is None or not (settings.systems or settings.outboxes or settings.sources):
        return found
    zone = ZoneInfo(settings.time_zone)
    return [
        *found,
        *at_work(await all_duties(session), zone),
        *await publishing(session),
        *await logs(session),
        *debts(owing),
    ]


async def publishing(session: Session) -> list[CheckResult]:
    """Whether all who publish, and these settings, have the same ``RENKEI_INTAKE``; nothing where
    nobody can be asked, which is a finding by itself."""
    try:
        found = await living(await session.broker())
    except BusError:
        return []
    here = written(session.settings.intake)
    says = [f"{each.place} has {each.intake}" for each in found]
    if any(each.intake != here for each in found):
        answer = _brief([f"here it is {here}", *says])
        mend = "give every process that publishes the same RENKEI_INTAKE, and restart it"
        return [CheckResult("intake", Verdict.FAIL, answer, mend)]
    answer = f"{here}; {len(found)} that publish have the same" if found else here
    return [CheckResult("intake", Verdict.OK, answer)]


async def logs(session: Session) -> list[CheckResult]:
    """Whether Kafka keeps every state that is compacted for as long as it may be needed; nothing
    where nobody can be asked."""
    wanted = [spec for spec in topic_specs(session.settings) if LAG in spec.config]
    try:
        broker = await session.broker()
        there = await broker.partitions([spec.name for spec in wanted])
        lags = {name: int((await broker.topic_config(name)).get(LAG, "0")) for name in there}
    except BusError:
        return []
    short = [name for name, lag in sorted(lags.items()) if timedelta(milliseconds=lag) < LEAST_LAG]
    if not short:
        return [
            CheckResult("logs", Verdict.OK, f"{len(there)}, compacted after {LEAST_LAG.days} days")
        ]
    too_short = [f"{name} after {timedelta(milliseconds=lags[name]).days} days" for name in short]
    says = f"compacted before {LEAST_LAG.days} days: {_brief(too_short)}"
    return [CheckResult("logs", Verdict.FAIL, says, "renkei topics apply")]


def debts(found: Sequence[Owed] | None) -> Iterator[CheckResult]:
    """Whether somebody has to take something out of a store by hand; nothing where nobody can say,
    because there is no database or it does not answer, which is a finding by itself."""
    if found is None:
        return
    by_system = sorted(Counter(each.system for each in found).items())
    if by_system:
        says = ", ".join(f"{count} by {system}" for system, count in by_system)
        yield CheckResult(
            "owed", Verdict.WARN, f"to be taken out by hand: {says}", "renkei owed list"
        )
    else:
        yield CheckResult("owed", Verdict.OK, "nothing")


def at_work(duties: Sequence[Duty], zone: ZoneInfo) -> Iterator[CheckResult]:
    """Which processes deliver, relay and monitor, and which are missing."""
    for command in dict.fromkeys(duty.command for duty in duties):
        mine = [duty for duty in duties if duty.command == command]
        wrong = [str(duty) for duty in mine if not duty.is_done]
        name = command.partition(" ")[0]
        if wrong:
            yield CheckResult(
                name, Verdict.FAIL, _brief(wrong), f"renkei {command}, and see its log"
            )
        else:
            runners = sorted({runner for duty in mine for runner in duty.runners})
            where = ", ".join(f"{each} since {local_time(each.since, zone)}" for each in runners)
            yield CheckResult(
                name, Verdict.OK, f"{len(mine)} of {len(mine)}, by {where or 'others'}"
            )


def is_ill(findings: Sequence[CheckResult]) -> bool:
    """Whether any finding is a failure."""
    return any(finding.verdict is Verdict.FAIL for finding in findings)


def _brief(wrong: Sequence[str]) -> str:
    """The first few of what is wrong, and how many more there are."""
    more = len(wrong) - _NAMED
    return "; ".join(wrong[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
