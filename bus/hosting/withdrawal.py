"""Withdraw from a system's store what it may no longer have; repeated until it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from bus.deliver.process import ProcessContext
from bus.errors import BusError, Reaction
from bus.hosting.background import BackgroundTasks
from bus.hosting.feeds import Withdraw
from bus.observe.tasks import SupervisedTask
from bus.retry import retried


class Withdrawal:
    """The withdrawals from one system's store."""

    def __init__(
        self, system: str, process: ProcessContext, background: BackgroundTasks, log: Any
    ) -> None:
        self._system = system
        self._process = process
        self._background = background
        self._log = log
        self._under_way: SupervisedTask | None = None
        self.withdraw: Withdraw | None = None
        """None where what the system may have is not known: then nothing is taken away."""

    def begin(self, after: Sequence[SupervisedTask] = ()) -> None:
        """Withdraw again, once *after* is done."""
        if self._under_way is not None:
            self._under_way.cancel()
        self._process.lanes.not_withdrawn.pop(self._system, None)
        if (withdraw := self.withdraw) is not None:
            self._under_way = self._background.keep_until_done(
                "withdrawal", partial(self._take_away, withdraw, after)
            )

    async def _take_away(self, withdraw: Withdraw, after: Sequence[SupervisedTask]) -> None:
        if after:
            await asyncio.wait([kept.outcome for kept in after])
        settings, owed = self._process.runtime.settings, self._process.lanes.not_withdrawn

        async def act() -> Sequence[str]:
            try:
                gone = await withdraw()
            except BusError as error:
                owed[self._system] = error.code
                self._log.error("not-withdrawn", code=error.code, reason=error.message)
                if error.reaction is not Reaction.RETRY:
                    return ()
                raise
            owed.pop(self._system, None)
            return gone

        async def wait(_: BusError, length: timedelta) -> None:
            await self._process.runtime.clock.sleep(length)

        for stream in await retried(act, settings.back_off(), wait):
            self._log.warning("stream-withdrawn", stream=stream)
