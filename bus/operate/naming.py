"""Which names there are: of systems, streams, outboxes. What is unknown here alone is looked for
in what was applied, said and delivered before it is called unknown."""

from __future__ import annotations

from collections.abc import Awaitable

from bus.app import sources
from bus.app.configured import catalog
from bus.errors import BusError
from bus.operate.session import Session
from bus.policy import OWN_FEEDS, read_subscriptions
from bus.settings import Settings


def stream_names(settings: Settings) -> list[str]:
    """Every stream, the bus's own too."""
    return sorted(catalog(settings).streams)


def system_names(settings: Settings) -> list[str]:
    """Every system that a file or a setting names, and the ledger."""
    streams = catalog(settings)
    files = read_subscriptions(streams)
    refused = {refusal.system for refusal in files.refusals}
    listed = {*streams.systems, *files.subscriptions, *refused}
    return sorted(name for name in {*OWN_FEEDS, *listed, *configured_names(settings)} if name)


def configured_names(settings: Settings) -> list[str]:
    """The systems that the settings say how to reach, and the ledger."""
    return sorted({*OWN_FEEDS, *settings.systems, *sources.configured(settings)})


def connected_names(settings: Settings) -> list[str]:
    """The receiving systems that the settings say how to reach, and the ledger."""
    return [*settings.systems, *OWN_FEEDS]


def source_names(settings: Settings) -> list[str]:
    """The publishing systems whose sources the settings know."""
    return sorted(sources.configured(settings))


def outbox_names(settings: Settings) -> list[str]:
    """The publishing systems whose source is an outbox."""
    known = sources.configured(settings)
    return sorted(system for system, said in known.items() if said.connector == sources.OUTBOX)


async def is_known_elsewhere(session: Session, system: str) -> bool | None:
    """Whether an edition was ever applied for a system, anything of it is paused, stopped or set
    aside, or the ledger has receipts of it; None if that cannot be asked."""
    settings = session.settings
    answers: list[bool | None] = []
    if settings.kafka is not None and settings.registry is not None:
        answers.append(await _answer(_is_spoken_of(session, system)))
    if settings.database is not None:
        answers.append(await _answer(_has_receipts(session, system)))
    return True if True in answers else None if None in answers else False


async def _answer(question: Awaitable[bool]) -> bool | None:
    try:
        return await question
    except BusError:
        return None


async def _is_spoken_of(session: Session, system: str) -> bool:
    if system in (await session.editions()).newest:
        return True
    if (await session.operations()).standing(system):
        return True
    return bool((await session.parked()).open_events(system))


async def _has_receipts(session: Session, system: str) -> bool:
    return await (await session.ledger()).knows_system(system)
