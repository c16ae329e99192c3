"""Which processes run: who delivers to which system, who publishes which source, since when.

Nothing beats for this, and no machine's clock is held against another's. Whoever works holds a
lease already: a place in its consumer group, which Kafka takes away when its session has run out
by Kafka's clock, or the lease of a source, which runs out by its database's. Both are gone some
ten seconds after a process died or was cut off; who stops by itself gives them back at once.

Who *should* run is what the settings name: each system of theirs that may have anything, and the
ledger; each source that can be looked at; the monitor, where it has a port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bus.app import sources
from bus.app.deliverers import expected_systems, hosting
from bus.errors import BusError, SourceUnavailable, Unavailable
from bus.model import Edition
from bus.observe.runner import ProcessName, runner_of
from bus.operate.naming import source_names
from bus.operate.session import ANSWER_WITHIN, Session
from bus.settings import Settings

_MONITOR = "monitor"  # which has a group as each system has
DELIVER, RELAY, MONITOR = "deliver", "relay run", "monitor run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A duty: work that some process must do by the settings, and the processes that do it."""

    command: str  # that does it, after ``renkei``
    system: str | None  # for which; None: there is one for all
    runners: Sequence[ProcessName] = ()
    is_done: bool = False
    unseen: BusError | None = None  # why nobody can say

    def __str__(self) -> str:
        """What is wrong, in one line."""
        what = {
            DELIVER: f"delivers to {self.system}",
            RELAY: f"sends what waits in the source of {self.system}",
            MONITOR: "watches the receipts",
        }[self.command]
        if self.unseen is not None:
            return f"who {what} cannot be seen: {self.unseen.code} {self.unseen.message}"
        return f"nobody {what}; start: renkei {self.command}"


async def hosted(session: Session, systems: Collection[str]) -> dict[str, Duty]:
    """Who delivers to each of *systems*; if Kafka does not answer, why that is unknown."""
    members = await _members(session, systems)
    return {system: _in_group(DELIVER, system, members) for system in systems}


async def duties(session: Session, systems: Collection[str]) -> list[Duty]:
    """All duties by the session's settings, and who does each.

    Args:
        systems: That are to be delivered to (:func:`expected_systems`).
    """
    settings = session.settings
    watched = settings.monitor_port is not None
    members = await _members(session, [*systems, *([_MONITOR] if watched else [])])
    found = [_in_group(DELIVER, system, members) for system in systems]
    sent = await asyncio.gather(*(_sent(settings, s) for s in source_names(settings)))
    found += [duty for duty in sent if duty is not None]
    if watched:
        found.append(_in_group(MONITOR, None, members))
    return found


async def all_duties(session: Session) -> list[Duty]:
    """All duties by the editions that were applied, as far as the log says."""
    applied: Mapping[str, Edition | BusError] = {}
    with suppress(Unavailable):  # then who runs cannot be seen either, and that is said of each
        applied = (await session.editions()).newest
    return await duties(session, expected_systems(session.settings, applied))


async def _members(
    session: Session, systems: Collection[str]
) -> Mapping[str, Sequence[str]] | Unavailable:
    if not systems:
        return {}
    try:
        return await hosting(await session.broker(), systems)
    except Unavailable as error:
        return error


def _in_group(
    command: str, system: str | None, members: Mapping[str, Sequence[str]] | Unavailable
) -> Duty:
    if isinstance(members, Unavailable):
        return Duty(command=command, system=system, unseen=members)
    names = members[system or _MONITOR]
    runners = sorted({runner for name in names if (runner := runner_of(name)) is not None})
    return Duty(command=command, system=system, runners=runners, is_done=bool(names))


async def _sent(settings: Settings, system: str) -> Duty | None:
    """The duty to publish a source; None for a source that cannot be looked at."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
            status = await sources.status(settings, system)
    except TimeoutError:
        error = SourceUnavailable("the source does not answer", system=system)
        return Duty(command=RELAY, system=system, unseen=error)
    except BusError as error:
        return Duty(command=RELAY, system=system, unseen=error)
    if status is None:
        return None
    runner = runner_of(status.leader or "")
    runners = [runner] if status.is_led and runner is not None else []
    return Duty(command=RELAY, system=system, runners=runners, is_done=status.is_led)
