"""What a person has to remove from a store by hand, until it is said to be removed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bus.errors import NothingChanged, UnknownName
from bus.ledger.keeper import LedgerKeeper, Owed
from bus.model.deed import Act
from bus.operate.deeds import Order, Planned
from bus.operate.session import Session


async def owed(session: Session, system: str | None = None) -> Sequence[Owed]:
    """What is not said to be removed yet, of one system or of all; oldest first.

    Raises:
        ConfigurationError: No database is set.
        SinkUnavailable: It does not answer.
    """
    found = await (await session.enter(_keeper(session))).owed()
    return [each for each in found if system in (None, each.system)]


@dataclass(frozen=True, slots=True)
class Settle:
    """Say that something was removed from a store."""

    number: int

    async def plan(self, session: Session) -> SettlePreview:
        """What would be settled.

        Raises:
            UnknownName: Nothing that is owed has this number.
            SinkUnavailable: The database does not answer.
        """
        keeper = await session.enter(_keeper(session))
        for each in await keeper.owed():
            if each.number == self.number:
                return SettlePreview(each, keeper)
        raise UnknownName("nothing that is owed has this number; see: renkei owed list")


@dataclass(frozen=True, slots=True)
class SettlePreview:
    """Something that would be settled."""

    found: Owed
    keeper: LedgerKeeper

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        found = self.found
        return Planned(act=Act.OWED_SETTLE, count=1, system=found.system, stream=found.stream)

    async def tried(self, _: Session, __: Order) -> Owed:
        """It."""
        return self.found

    async def perform(self, _: Session, order: Order) -> Owed:
        """Settle it; what it was.

        Raises:
            NothingChanged: Somebody else has said so meanwhile.
            SinkUnavailable: The database does not answer.
        """
        if not await self.keeper.settle(self.found.number, order.actor.name, order.note):
            raise NothingChanged("nothing was changed: somebody has said so meanwhile")
        return self.found


@asynccontextmanager
async def _keeper(session: Session) -> AsyncIterator[LedgerKeeper]:
    keeper = LedgerKeeper(session.settings.need("database"), makes=False)
    try:
        yield keeper
    finally:
        await keeper.close()
