"""Where a change has arrived, after how long, and who does not have it and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from bus.app.deliverers import expected_systems
from bus.errors import UnknownName
from bus.ledger import Reach, ReachState, SystemReach
from bus.operate.questions import LogTimes, entitled
from bus.operate.running import Duty, hosted
from bus.operate.session import Session
from bus.policy import feed_policy

__all__ = ["Reach", "ReachAnswer", "ReachPoll", "ReachState", "SystemReach"]

HOSTS_EVERY = 3.0  # seconds between two looks at who delivers
UNKNOWN_FOR = 60.0  # seconds that a change may be on its way before anybody knows of it


@dataclass(frozen=True, slots=True)
class ReachAnswer:
    """How a change stands, and the systems that no process delivers to, as far as known."""

    reach: Reach
    unrun: Mapping[str, Duty] = field(default_factory=dict)

    @property
    def starved(self) -> Duty | None:
        """Why the answer may be old: nobody feeds the ledger that it is from.

        None where somebody does, or all is known to be there.
        """
        if self.reach.is_complete:
            return None
        takes_receipts = (name for name in self.unrun if not feed_policy(name).sends_receipts)
        return next((self.unrun[name] for name in takes_receipts), None)

    @property
    def unwatched(self) -> Sequence[SystemReach]:
        """Systems that have it by the ledger, and whose store nobody looks at now: whether one went
        back only a lane at work says."""
        return [
            each
            for each in self.reach.systems
            if each.state.has_it and (each.stands is not None or each.system in self.unrun)
        ]

    @property
    def is_all_clear(self) -> bool:
        """Whether every system has it, and somebody would say if its store went back."""
        return self.reach.is_complete and not self.unwatched

    def insist_on_known(self, change_id: str) -> None:
        """That somebody knows the change.

        Raises:
            UnknownName: The ledger has no event of it.
        """
        if self.reach.size is None:
            raise UnknownName(
                "the ledger has no event of this change: there is none, or it is not published yet",
                change_id=change_id,
            )


class ReachPoll:
    """Looks at one change again and again; what does not change is asked once."""

    def __init__(self, session: Session, change_id: str) -> None:
        self._session = session
        self._change_id = change_id
        self._times = LogTimes(session)
        self._granted: Mapping[str, Mapping[str, frozenset[str]]] = {}
        self._systems: list[str] | None = None
        self._unrun: Mapping[str, Duty] = {}
        self._looked_at = -HOSTS_EVERY
        self._until = monotonic() + UNKNOWN_FOR

    async def look(self) -> ReachAnswer:
        """How it stands now.

        Raises:
            ConfigurationError: There is no ledger in this database.
            StoreUnavailable: The ledger does not answer.
        """
        ledger = await self._session.ledger()
        if self._systems is None:
            self._granted = await entitled(self._session.settings, ledger)
            editions = await ledger.editions()
            self._systems = expected_systems(self._session.settings, editions)
        reach, now = await ledger.reach(self._change_id, self._granted), monotonic()
        reach = await self._times.with_times(reach)
        if now - self._looked_at >= HOSTS_EVERY:
            found = await hosted(self._session, self._systems)
            self._unrun = {name: duty for name, duty in found.items() if not duty.is_done}
            self._looked_at = now
        return ReachAnswer(reach, self._unrun)

    def is_done(self, reached: ReachAnswer) -> bool:
        """Whether looking again is useless: all have it, or nobody knows of it."""
        reach = reached.reach
        return reach.is_complete or (reach.size is None and monotonic() > self._until)
