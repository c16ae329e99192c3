"""Examine this machine and whatever it reaches, and which processes run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import bus
from bus.local.checkup import Finding, Outside, Verdict, examine, kafka_entered
from bus.local.stack import LocalStack
from bus.operate.running import Duty, all_duties
from bus.operate.session import Session

__all__ = ["Finding", "Verdict"]

_LOCK = Path(bus.__file__).parents[1] / "requirements" / "lock.txt"
_NAMED = 3  # of what is wrong; of more it is said how many


async def examined(session: Session, stack: LocalStack) -> list[Finding]:
    """Everything that can be examined, each with the command that mends it; nothing is changed."""
    settings = session.settings
    entered = await kafka_entered(settings, session.broker)
    outside = Outside(lock=_LOCK, settings=settings, kafka=entered)
    found = await asyncio.to_thread(examine, stack, outside)
    if settings.kafka is None or not (settings.systems or settings.outboxes or settings.sources):
        return found
    zone = ZoneInfo(settings.time_zone)
    return [*found, *at_work(await all_duties(session), zone)]


def at_work(duties: Sequence[Duty], zone: ZoneInfo) -> Iterator[Finding]:
    """Which processes deliver, relay and monitor, and which are missing."""
    for command in dict.fromkeys(duty.command for duty in duties):
        mine = [duty for duty in duties if duty.command == command]
        wrong = [str(duty) for duty in mine if not duty.is_done]
        name = command.partition(" ")[0]
        if wrong:
            yield Finding(name, Verdict.FAIL, _brief(wrong), f"renkei {command}, and see its log")
        else:
            runners = sorted({runner for duty in mine for runner in duty.runners})
            since = [r.since.astimezone(zone) for r in runners]
            said = [
                f"{r} since {at:%Y-%m-%d %H:%M} {at.tzname()}"
                for r, at in zip(runners, since, strict=True)
            ]
            where = ", ".join(said)
            yield Finding(name, Verdict.OK, f"{len(mine)} of {len(mine)}, by {where or 'others'}")


def is_ill(findings: Sequence[Finding]) -> bool:
    """Whether any finding is a failure."""
    return any(finding.verdict is Verdict.FAIL for finding in findings)


def _brief(wrong: Sequence[str]) -> str:
    """The first few of what is wrong, and how many more there are."""
    more = len(wrong) - _NAMED
    return "; ".join(wrong[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
