"""Deliver rows again when somebody's coverage has changed."""

from __future__ import annotations

from abc import ABC, abstractmethod

from bus.broker import Broker
from bus.control.fence import Fence
from bus.deliver.pipeline import Pipeline
from bus.model import Reached


class Redelivery(ABC):
    """Looks for such rows when the lane opens and after each change of coverage."""

    def __init__(self, pipeline: Pipeline, fence: Fence, broker: Broker) -> None:
        self._context = pipeline.context
        self._sink = pipeline.sink
        self._retrier = pipeline.retrier
        self._projector = pipeline.projector
        self._applier = pipeline.applier
        self._coverage = pipeline.coverage
        self._set_aside = pipeline.set_aside
        self._fence = fence
        self._broker = broker
        self._seen: Reached | None = None  # the change that is done with
        self._may_look = True

    @property
    def is_due(self) -> bool:
        """Whether to look now."""
        return self._may_look and self._is_wanted

    def begin_anew(self) -> None:
        """Forget which changes are done: the store may be another, or elsewhere in the log."""
        self._seen, self._may_look = None, True

    def look_again(self) -> bool:
        """Note that a second has passed; whether there is still something to do."""
        self._may_look = self._is_wanted
        return self._may_look

    async def try_due(self) -> None:
        """Do what is due."""
        self._may_look = False
        change = self._change
        if await self._redeliver(change):
            self._seen = change

    @property
    def _is_wanted(self) -> bool:
        return self._concerns and self._seen != self._change

    @property
    @abstractmethod
    def _concerns(self) -> bool:
        """Whether changes of coverage matter to this lane and its store."""

    @property
    @abstractmethod
    def _change(self) -> Reached:
        """The newest change that the fence knows of."""

    @abstractmethod
    async def _redeliver(self, change: Reached) -> bool:
        """Deliver the rows that *change* is about; False if it has to be tried again."""
