"""Several relays in one process, each for itself: what ends one ends no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bus.errors import BusError, Reaction
from bus.observe.tasks import Tasks, errors_of, until_over
from bus.publish.outbox.relay import Relay


async def run_together(relays: Sequence[Relay], stop: asyncio.Event, tasks: Tasks) -> None:
    """Run until *stop* is set; stopping lets each finish its batch.

    A relay that ends by itself is begun again after a back-off.

    Raises:
        BusError: None of them can work as it is configured; the first failure.
    """
    failures: list[BaseException] = []

    def gives_up(_: BaseException) -> bool:
        failures[:] = [f.error for f in tasks.fallen if f.task == "relay" and _stops(f.error)]
        return len(failures) == len(relays)

    kept = [
        tasks.keep("relay", relay.run, until_done=True, gives_up=gives_up, system=relay.system)
        for relay in relays
    ]
    try:
        await until_over(kept, stop)
    finally:
        for relay, each in zip(relays, kept, strict=True):
            relay.stop()
            each.leave()
        failed = await errors_of(kept)
    if failed:
        raise failures[0]


def _stops(error: BaseException) -> bool:
    return isinstance(error, BusError) and error.reaction is Reaction.STOP
