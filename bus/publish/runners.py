"""Run the runners of several sources in one process; the end of one does not end another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bus.errors import BusError, Reaction
from bus.observe.tasks import Tasks, errors_of, until_over
from bus.publish.runner import Runner


async def run_together(runners: Sequence[Runner], stop: asyncio.Event, tasks: Tasks) -> None:
    """Run all until *stop* is set; each then finishes its batch.

    A runner that ends by itself is begun again after a back-off.

    Raises:
        BusError: None of them can work as it is configured; the first failure.
    """
    failures: list[BaseException] = []

    def gives_up(_: BaseException) -> bool:
        failures[:] = [f.error for f in tasks.fallen if f.task == "relay" and _stops(f.error)]
        return len(failures) == len(runners)

    kept = [
        tasks.keep("relay", runner.run, until_done=True, gives_up=gives_up, system=runner.name)
        for runner in runners
    ]
    try:
        await until_over(kept, stop)
    finally:
        for runner, each in zip(runners, kept, strict=True):
            runner.stop()
            each.leave()
        failed = await errors_of(kept)
    if failed:
        raise failures[0]


def _stops(error: BaseException) -> bool:
    return isinstance(error, BusError) and error.reaction is Reaction.STOP
