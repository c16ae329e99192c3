"""Work of a fleet besides its lanes, repeated until it succeeds."""

from __future__ import annotations

from functools import partial
from typing import Any

from bus.deliver.process import ProcessContext
from bus.deliver.shared_sink import SharedSink
from bus.errors import BusError
from bus.observe.tasks import SupervisedTask, Work


class BackgroundTasks:
    """The background work of one system; each piece ends once it succeeds."""

    def __init__(self, system: str, process: ProcessContext, log: Any) -> None:
        self._system = system
        self._process = process
        self._log = log
        self._kept: set[SupervisedTask] = set()

    def keep_until_done(self, task: str, work: Work, stream: str | None = None) -> SupervisedTask:
        """Run *work*, and again until it succeeds."""
        keep = partial(
            self._process.runtime.tasks.keep, task, work, until_done=True, system=self._system
        )
        kept = keep() if stream is None else keep(stream=stream)
        self._kept.add(kept)
        kept.outcome.add_done_callback(lambda _: self._kept.discard(kept))
        return kept

    async def let_go(self, sink: SharedSink) -> None:
        """Close *sink*, because no lane works on its store; a failure is only logged."""
        try:
            await sink.close()
        except BusError as error:
            self._log.warning("not-closed", code=error.code)

    def cancel(self) -> None:
        """Cancel what is not done."""
        for kept in list(self._kept):
            kept.cancel()
