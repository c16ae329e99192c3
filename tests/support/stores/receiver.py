"""Send deliveries as messages to a receiver, and remember nothing of it.

One line of JSON over a connection of its own, answered by ``ok`` once the receiver has it, or by
``refused``. What becomes of it there nobody here knows; the token tells the receiver what it has
had before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from bus.connect import Capabilities
from bus.errors import ConfigurationError, EventRefused, SinkUnavailable
from bus.model import Applied, Delivery, Erasures, Keeping, Rewrites, Upserts, View

LINE = 1 << 28  # bytes; a delivery is one line


class ReceiverOptions(BaseModel):
    """Where the receiver listens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int


class ReceiverSink:
    """One message per delivery."""

    Options = ReceiverOptions

    def __init__(self, options: ReceiverOptions) -> None:
        self._port = options.port
        self._view: View | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(accepts=frozenset({Upserts, Erasures, Rewrites}))

    async def open(self, view: View) -> None:
        await self._send({"hello": view.stream})
        self._view = view

    async def apply(self, delivery: Delivery) -> Applied:
        if self._view is None:
            raise SinkUnavailable("the receiver is not open")
        said = _message(delivery)
        rows = len(said["rows"]) + len(said["erased"])
        if rows:
            await self._send(said)
        return Applied(rows, datetime.now(UTC))

    async def close(self) -> None:
        self._view = None

    async def _send(self, message: Mapping[str, Any]) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(json.dumps(message, default=_said).encode() + b"\n")
                await writer.drain()
                answer = await reader.readline()
            finally:
                writer.close()
        except OSError as error:
            raise SinkUnavailable("the receiver does not answer") from error
        if answer == b"refused\n":
            raise EventRefused("the receiver refuses a row")
        if answer != b"ok\n":
            raise SinkUnavailable("the receiver did not say that it has it")


def _message(delivery: Delivery) -> dict[str, Any]:
    message: dict[str, Any] = {
        "stream": delivery.view.stream,
        "token": delivery.token,
        "key": list(delivery.view.key),
        "rows": [],
        "erased": [],
        "is_anew": isinstance(delivery, Rewrites),
    }
    match delivery:
        case Upserts() | Rewrites():
            message["rows"] = delivery.records.to_pylist()
        case Erasures() if delivery.view.keeping is Keeping.STATE:
            message["erased"] = list(delivery.keys)
        case Erasures():
            pass  # a history stays what it was
        case _:
            raise ConfigurationError("a receiver is not told who is covered")
    return message


def _said(value: object) -> str:
    """Days and times, which JSON has not."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError


@asynccontextmanager
async def receiving(
    take: Callable[[Mapping[str, Any]], str | None], port: int = 0
) -> AsyncIterator[int]:
    """A receiver that hands each message to *take* and answers what that says; its port.

    It hangs up without a word where that is None: whoever sent does not know whether it has it.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line and (answer := take(json.loads(line))) is not None:
                writer.write(answer.encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=LINE)
    async with server:
        yield server.sockets[0].getsockname()[1]
