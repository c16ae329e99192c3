"""What the ledger and the log are asked: has it arrived, and how far is everybody?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from bus.app.configured import catalog, granted, this_day
from bus.broker.kafka import KafkaBroker
from bus.ledger import Ledger
from bus.ledger.standing import Standing
from bus.ledger.standing import standings as standings_of
from bus.settings import Settings


@asynccontextmanager
async def ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """The ledger of these settings, to be asked; it connects with the first question."""
    asked = Ledger(settings.need("database"))
    try:
        yield asked
    finally:
        await asked.close()


async def standings(settings: Settings, broker: KafkaBroker, ledger: Ledger) -> list[Standing]:
    """How each system stands with each stream that it is granted today."""
    now = datetime.now(UTC)
    streams = catalog(settings)
    receiving = {
        system: [streams.stream(name) for name in sorted(mine)]
        for system, mine in (await entitled(settings, ledger)).items()
        if mine
    }
    return await standings_of(broker, ledger, receiving, now=now)


async def entitled(
    settings: Settings, ledger: Ledger
) -> Mapping[str, Mapping[str, frozenset[str]]]:
    """System -> stream -> event types, of every grant in force today: by the editions that the
    ledger knows, and the files of the systems that nobody has applied anything for.

    Raises:
        ConfigurationError: There is no ledger in this database.
        StoreUnavailable: The database does not answer.
    """
    return granted(settings, this_day(), await ledger.editions())
