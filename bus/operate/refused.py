"""Changes that an outbox holds as refused: put them back in their places, or delete them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bus.app import outboxes
from bus.app.outboxes import RefusedChange
from bus.errors import ConfigurationError
from bus.model.deed import Act
from bus.operate.deeds import Order, Planned, record
from bus.operate.session import Session


async def refused(session: Session, system: str, order: Order) -> Sequence[RefusedChange]:
    """The refused changes of an outbox, oldest first; recorded as a look-up first: subjects are
    named.

    Raises:
        ConfigurationError: The journal's topic does not exist.
        Unavailable: The outbox's database, broker or registry does not answer.
    """
    found = await outboxes.refused(session.settings, system)
    looked_up = Planned(act=Act.REFUSED_LIST, count=len(found), system=system)
    await record(session, looked_up, order)
    return found


@dataclass(frozen=True, slots=True)
class RetryRefused:
    """Put refused changes back, to be published again by the relay."""

    system: str
    numbers: Sequence[int] | None  # None: all

    @classmethod
    def of(cls, system: str, numbers: Sequence[int] | None, *, is_all: bool) -> RetryRefused:
        """What somebody chose, who must have said what they mean.

        Raises:
            ConfigurationError: Neither or both of two ways.
        """
        if bool(numbers) == is_all:
            raise ConfigurationError("name sequence numbers, or say --all")
        return cls(system, None if is_all else numbers)

    async def plan(self, session: Session) -> RefusedPreview:
        """The changes that would be put back.

        Raises:
            UnknownName: One of them is not refused.
            SourceUnavailable: The outbox's database does not answer.
        """
        act, system, numbers = Act.REFUSED_RETRY, self.system, self.numbers
        found = await outboxes.retry(session.settings, system, numbers, is_dry=True)
        return RefusedPreview(act, system, self.numbers, found)


@dataclass(frozen=True, slots=True)
class DropRefused:
    """Delete refused changes that another one has made good."""

    system: str
    numbers: Sequence[int]

    async def plan(self, session: Session) -> RefusedPreview:
        """The changes that would be deleted.

        Raises:
            UnknownName: One of them is not refused.
            SourceUnavailable: The outbox's database does not answer.
        """
        act, system, numbers = Act.REFUSED_DROP, self.system, self.numbers
        found = await outboxes.drop(session.settings, system, numbers, is_dry=True)
        return RefusedPreview(act, system, self.numbers, found)


@dataclass(frozen=True, slots=True)
class RefusedPreview:
    """Refused changes that would be put back or deleted."""

    act: Act
    system: str
    numbers: Sequence[int] | None
    found: Sequence[int]

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        return Planned(
            act=self.act,
            count=len(self.found),
            nothing="nothing is refused",
            where={"system": self.system},
            system=self.system,
        )

    async def tried(self, _: Session, __: Order) -> Sequence[int]:
        """Their numbers."""
        return self.found

    async def perform(self, session: Session, _: Order) -> Sequence[int]:
        """Put them back or delete them; the numbers of those.

        Raises:
            SourceUnavailable: The outbox's database does not answer.
        """
        settings, system = session.settings, self.system
        if self.act is Act.REFUSED_DROP:
            return await outboxes.drop(settings, system, self.found)
        return await outboxes.retry(settings, system, self.numbers)
