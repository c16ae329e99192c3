"""Ask the ledger for the journal: what operators did and whom they looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bus.credentials import number_form
from bus.errors import ConfigurationError
from bus.ledger.deeds import DeedQuery, RecordedDeed, deeds_of
from bus.ledger.provision_queries import Period
from bus.operate.deeds import digest_of
from bus.operate.session import Session
from bus.publish.digits import is_municipality

__all__ = ["RecordedDeed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeedsWanted:
    """Which deeds are asked for; None: all."""

    when: Period
    act: str | None = None
    actor: str | None = None  # who wanted it, or whose account gave the command
    system: str | None = None
    subject: str | None = None  # ``<municipality>/<number>``: who looked this person up
    after: int | None = None  # go on behind this offset
    most: int = 100


@dataclass(frozen=True, slots=True)
class DeedPage:
    """One page of deeds, newest first."""

    deeds: Sequence[RecordedDeed]
    after: int | None  # where the next page goes on; None: there is none

    @property
    def is_proved(self) -> bool:
        """Whether each of them is the bus's own word."""
        return all(each.is_proved for each in self.deeds)


async def recorded(session: Session, wanted: DeedsWanted) -> DeedPage:
    """The deeds that are *wanted*, each with whether its proof holds.

    Raises:
        ConfigurationError: No key of erasures is set, by which persons are known in the journal; or
            it is no subject.
        KeysUnusable: The keys that prove deeds cannot be used.
        StoreUnavailable: The ledger does not answer.
    """
    digest = None if wanted.subject is None else _digest(session, wanted.subject)
    ring = await session.proofs.ring() if session.proofs.has_source else None
    query = DeedQuery(
        first=wanted.when.first,
        after=wanted.when.after,
        act=wanted.act,
        actor=wanted.actor,
        system=wanted.system,
        subject_digest=digest,
        below=wanted.after,
        most=wanted.most,
    )
    found = await deeds_of(await session.ledger(), query, ring)
    return DeedPage(found, found[-1].offset if len(found) == wanted.most else None)


def _digest(session: Session, subject: str) -> str:
    municipality, _, number = subject.partition("/")
    if not is_municipality(municipality) or not number:
        raise ConfigurationError("a subject is <municipality>/<number>")
    return digest_of(session, municipality, number_form(session.settings).of(number))
