"""Read a partition of the log once, from one offset up to another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from bus.broker import Broker, Consumer, Fetched, Place
from bus.errors import BrokerUnavailable

_MOST = 20_000
_STEP = timedelta(seconds=1)
_PATIENCE = 20  # such steps of silence before the broker counts as away


class Log:
    """One consumer, reading one partition after another."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def bounds(self, place: Place) -> tuple[int, int]:
        """The first offset that is still there, and the one after the last."""
        begin = await self._consumer.beginning_offsets([place])
        end = await self._consumer.end_offsets([place])
        return begin[place], end[place]

    async def read(self, place: Place, first: int, end: int) -> AsyncIterator[Fetched]:
        """What there is from *first* to before *end*, in order.

        Raises:
            BrokerUnavailable: The log does not give what it has.
        """
        await self._consumer.assign([place])
        self._consumer.seek(place, first)
        silent = 0
        while await self._consumer.position(place) < end:
            fetched = await self._consumer.fetch(_MOST, _STEP)
            silent = 0 if fetched else silent + 1
            if silent > _PATIENCE:
                raise BrokerUnavailable(
                    "the log does not give what it has", topic=place[0], partition=place[1]
                )
            for piece in fetched:
                kept = [index for index, offset in enumerate(piece.offsets) if offset < end]
                if len(kept) == len(piece.offsets):
                    yield piece
                elif kept:
                    last = kept[-1] + 1
                    yield Fetched(
                        piece.topic,
                        piece.partition,
                        piece.offsets[:last],
                        piece.keys[:last],
                        piece.values[:last],
                        piece.timestamps_ms[:last],
                    )


@asynccontextmanager
async def opened(broker: Broker) -> AsyncIterator[Log]:
    """A log to read; closed on the way out.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    consumer = broker.consumer(client_id="renkei-verify")
    try:
        await consumer.start()
        yield Log(consumer)
    finally:
        await consumer.close()
