"""One sink that the lanes of a stream use in turn; opened at the first call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from bus.connect import KeptByBus, Sink, StoredLane, Suppresses
from bus.deliver.pulse import StorePulse
from bus.errors import BusError, ConfigurationError, Remedy
from bus.model import Applied, Checkpoint, Delivery, ToRestore, View

T = TypeVar("T")
LARGE_AT_ONCE = 2  # one that the store works on and one that is ready: more is only memory


class SharedSink:
    """One sink, used by the lanes of one stream, one call at a time.

    The store is opened when first asked, and anew after it did not answer. A lane that is let go
    of in the middle of a call leaves the call running: the next one waits until it has ended.
    """

    def __init__(self, sink: Sink, view: View, pulse: StorePulse) -> None:
        self.pulse = pulse
        capabilities = sink.capabilities
        self.accepts = capabilities.accepts
        self.suppresses: Suppresses | None = capabilities.suppresses
        """None where the store takes no locations out of what it holds."""
        self.kept_by_bus: KeptByBus | None = capabilities.kept_by_bus
        """None where the store keeps its positions itself."""
        self._sink = sink
        self._positions = capabilities.positions
        self._view = view
        self._is_open = False
        self._is_renewed = True
        self._turn = asyncio.Lock()
        self.large = asyncio.Semaphore(LARGE_AT_ONCE)
        """For lanes to hold from decoding a large batch until it is applied."""
        self._calls: set[asyncio.Task[Any]] = set()

    async def checkpoint(self, partition: int) -> Checkpoint | None:
        """The store's checkpoint of one partition."""
        return await self._alone(partial(self._checkpoint, partition))

    async def apply(self, delivery: Delivery) -> Applied:
        """Apply one delivery; others wait."""
        return await self._alone(partial(self._apply, delivery))

    async def to_restore(self) -> ToRestore:
        """Which rows may be shown with their locations again."""
        return await self._alone(self._to_restore)

    async def kept(self, partition: int) -> StoredLane:
        """The state that the bus keeps of one partition for the store."""
        return await self._alone(partial(self._kept, partition))

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the view that the store is opened under."""
        return self._view.fingerprint

    def stand(self, view: View) -> None:
        """Use the same view of another edition when the store is opened next."""
        self._view = view

    def renew(self) -> None:
        """Open the store as if for the first time before the next call: it may have been mended."""
        self._is_open, self._is_renewed = False, True

    def reopen(self) -> None:
        """Open the store again before the next call: another may have taken its place."""
        self._is_open = False

    async def close(self) -> None:
        """Close the store after the call under way; a later call opens it again."""
        await self._alone(self._close)

    async def _alone(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task = asyncio.ensure_future(self._in_turn(call))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _in_turn(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            async with self._turn:
                return await call()
        except BusError as error:
            if error.remedy is Remedy.REOPEN:
                self._is_open = False
                self.pulse.is_doubted.set()
            raise

    async def _checkpoint(self, partition: int) -> Checkpoint | None:
        await self._open()
        return await self._positions.checkpoint(partition)

    async def _apply(self, delivery: Delivery) -> Applied:
        await self._open()
        if delivery.view.fingerprint == self._view.fingerprint:  # the same, of whatever edition
            delivery = delivery.under(self._view)
        return await self._sink.apply(delivery)

    async def _to_restore(self) -> ToRestore:
        await self._open()
        return await self._need_suppression().to_restore()

    async def _kept(self, partition: int) -> StoredLane:
        await self._open()
        if self.kept_by_bus is None:
            raise ConfigurationError("this store keeps its positions itself")
        return await self.kept_by_bus.kept(partition)

    def _need_suppression(self) -> Suppresses:
        if self.suppresses is None:
            raise ConfigurationError("this store takes no locations out of what it holds")
        return self.suppresses

    async def _open(self) -> None:
        if not self._is_open:
            if self._is_renewed:
                await self._sink.close()
            await self._sink.open(self._view)
            self._is_open, self._is_renewed = True, False

    async def _close(self) -> None:
        self._is_open, self._is_renewed = False, True
        await self._sink.close()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone
