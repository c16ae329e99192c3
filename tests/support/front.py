"""Something that speaks TLS before a real server that does not, as terminators do.

The bundled PostgreSQL is built without SSL, and the local registry speaks http. What the clients
make of certificates does not hang on that: they get to see these.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from tests.support.certificates import Certified

_HOST = "127.0.0.1"
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # PostgreSQL's: may we speak TLS? Eight bytes
_PIECE = 64 * 1024


@contextmanager
def tls_front(uri: str, shown: Certified) -> Iterator[str]:
    """The same *uri*, reached by way of a server that shows this certificate.

    PostgreSQL's way for ``postgresql://…``, TLS from the first byte for everything else.
    """
    parts = urlsplit(uri)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.certificate, shown.key)
    is_postgres = parts.scheme == "postgresql"
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="tls-front")
    thread.start()
    try:
        front = _Front((parts.hostname or _HOST, parts.port or 0), context, asks=is_postgres)
        port = asyncio.run_coroutine_threadsafe(front.start(), loop).result(10)
        login = parts.netloc.rpartition("@")[0]
        place = f"{login}@{_HOST}:{port}" if login else f"{_HOST}:{port}"
        scheme = parts.scheme if is_postgres else "https"
        yield urlunsplit(parts._replace(scheme=scheme, netloc=place))
        asyncio.run_coroutine_threadsafe(front.close(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class _Front:
    """Passes on what it decrypts, and encrypts what comes back."""

    def __init__(self, server: tuple[str, int], context: ssl.SSLContext, *, asks: bool) -> None:
        self._server = server
        self._context = context
        self._asks = asks
        self._under_way: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; on which port."""
        self._listener = await asyncio.start_server(
            self._serve, _HOST, 0, ssl=None if self._asks else self._context
        )
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """End every connection."""
        self._listener.close()
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self._asks:
                    assert await reader.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST
                    writer.write(b"S")
                    await writer.drain()
                    await writer.start_tls(self._context)
                behind, before = await asyncio.open_connection(*self._server)
                await asyncio.wait(
                    [
                        asyncio.ensure_future(_pass_on(reader, before)),
                        asyncio.ensure_future(_pass_on(behind, writer)),
                    ]
                )
        finally:
            self._under_way.discard(task)
            writer.transport.abort()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
    target.transport.abort()
