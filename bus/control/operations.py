"""Pauses that operators ask for (一時停止), and lanes that have stopped, as a stream.

Everything is in the compacted stream *operation*. Under the key ``system/stream`` stands what an
operator wants of all lanes of a stream: PAUSED or RUNNING. Under ``system/stream/partition``
stands a lane's own word: STOPPED, with the code and where, or RUNNING once it has opened again.
Operators' commands only append; every delivering process follows the stream, so that an
instruction reaches it within about a second wherever it runs, and one that starts finds it there.

A lane's word is for those who ask how it stands, never for delivery itself: it is sent in the
background, and a stop that nobody could be told of is in the process's log and metrics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import structlog

from bus.backoff import BackOff
from bus.broker import Broker, Fetched
from bus.catalog.decoding import BatchReader
from bus.clock import Clock
from bus.errors import BusError, Reaction
from bus.log.internal import InternalTopic, rows_of
from bus.log.tail import Follower
from bus.model import LaneName, Operation, OperationState, Stream
from bus.observe.tasks import SupervisedTask, Tasks
from bus.retry import retried

_log = structlog.get_logger("renkei.deliver")
_LAST_WORD = timedelta(seconds=1)  # for what is still to be told when the process ends
Listener = Callable[[Operation], None]


class Operations(Follower):
    """The newest operation of every stream and lane of every system."""

    def __init__(
        self,
        broker: Broker,
        topic: InternalTopic,
        stream: Stream,
        reader: BatchReader,
        clock: Clock,
        back_off: BackOff,
        tasks: Tasks,
    ) -> None:
        super().__init__(broker, stream)
        self._tasks = tasks
        self._topic = topic
        self._reader = reader
        self._clock = clock
        self._back_off = back_off
        self._wanted: dict[tuple[str, str], Operation] = {}
        self._said: dict[LaneName, Operation] = {}
        self._listeners: dict[str, Listener] = {}
        self._unsent: dict[LaneName, Operation] = {}  # our own lanes' words, the newest of each
        self._last_sent: dict[LaneName, OperationState] = {}
        self._news = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._sender: SupervisedTask | None = None

    async def close(self) -> None:
        """Append what is still to be told, if that is quick, and close; safe to call twice."""
        telling, self._sender = self._sender, None
        if telling is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORD.total_seconds()):
                    await self._all_sent.wait()
            await telling.end()
        await super().close()

    # -- what operators want -----------------------------------------------------------------

    def pause_of(self, system: str, stream: str) -> Operation | None:
        """The pause of a system's stream; None if it is not paused."""
        wanted = self._wanted.get((system, stream))
        return wanted if wanted is not None and wanted.state is OperationState.PAUSED else None

    def listen(self, system: str, listener: Listener) -> None:
        """Have *listener* called for each instruction for *system*, and when any process finds its
        store gone back."""
        self._listeners[system] = listener

    async def instruct(self, operations: Sequence[Operation]) -> None:
        """Append an operator's instruction; every process knows of it within about a second.

        Raises:
            Unavailable: Broker or registry does not answer; repeating it does no harm.
        """
        await self._topic.append([key_of(o) for o in operations], [_row(o) for o in operations])

    # -- what lanes say ----------------------------------------------------------------------

    def stopped(self, lane: LaneName, code: str, offset: int) -> None:
        """Tell all processes that a lane of this one has stopped."""
        self._say(lane, OperationState.STOPPED, code, offset)

    def opened(self, lane: LaneName) -> None:
        """Tell all processes that a lane of this one runs again, if it had stopped."""
        said = self._said.get(lane)
        states = (self._last_sent.get(lane), None if said is None else said.state)
        if OperationState.STOPPED in states:
            self._say(lane, OperationState.RUNNING)

    def standing(self, system: str | None = None) -> list[Operation]:
        """Pauses and stopped lanes, of one system or of all, by name."""
        every = [*self._wanted.values(), *self._said.values()]
        return sorted(
            (
                operation
                for operation in every
                if operation.state is not OperationState.RUNNING
                and system in (None, operation.system)
            ),
            key=lambda o: (o.system, o.stream, -1 if o.partition is None else o.partition),
        )

    def _say(
        self, lane: LaneName, state: OperationState, code: str | None = None, at: int | None = None
    ) -> None:
        now = self._clock.now()
        self._unsent[lane] = Operation(**lane._asdict(), state=state, at=now, code=code, offset=at)
        self._last_sent[lane] = state
        self._all_sent.clear()
        self._news.set()
        if self._sender is None:
            self._sender = self._tasks.keep("words", self._send_forever)

    async def _send_forever(self) -> None:
        while True:
            if not self._unsent:
                await self._news.wait()
            telling = await retried(self._send, self._back_off, self._wait)
            for lane, operation in telling.items():
                if self._unsent.get(lane) is operation:
                    del self._unsent[lane]
            if not self._unsent:
                self._all_sent.set()

    async def _send(self) -> dict[LaneName, Operation]:
        """Append and return the lanes' operations that are due; refused ones are dropped."""
        self._news.clear()
        telling = dict(self._unsent)
        try:
            await self.instruct(list(telling.values()))
        except BusError as error:
            _log.warning("operations-untold", code=error.code, lanes=len(telling))
            if error.reaction is Reaction.RETRY:
                raise
        return telling

    async def _wait(self, _: BusError, length: timedelta) -> None:
        await self._clock.sleep(length)

    # -- following the stream ----------------------------------------------------------------

    async def _take(self, fetched: Fetched) -> None:
        for _, row in await rows_of(self._reader, fetched):
            operation = _operation(row)
            if operation.partition is not None:
                name = LaneName(operation.system, operation.stream, operation.partition)
                self._said[name] = operation
                if not operation.has_gone_back:
                    continue
            else:
                self._wanted[operation.system, operation.stream] = operation
            listener = self._listeners.get(operation.system)
            if listener is not None:
                listener(operation)


def key_of(operation: Operation) -> str:
    """The Kafka key of an operation."""
    lane = f"{operation.system}/{operation.stream}"
    return lane if operation.partition is None else f"{lane}/{operation.partition}"


def _row(operation: Operation) -> dict[str, Any]:
    return {**asdict(operation), "state": operation.state.value}


def _operation(row: dict[str, Any]) -> Operation:
    return Operation(**{**row, "state": OperationState(row["state"])})
