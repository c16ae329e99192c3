"""Serve ``/metrics``, ``/healthz`` and ``/readyz``, on loopback unless another address is set.

Health is a matter of reasons: no reason, healthy. ``/healthz`` says whether the process should be
restarted, ``/readyz`` whether it does its work. Reasons are identifiers and codes, like logs. What
another process should do and does not stands beside them and changes no status.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bus.errors import ConfigurationError
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks

Check = Callable[[], Iterable[str]]
"""Reasons why something is not well; none if it is."""


def build(
    metrics: Metrics,
    *,
    health: Mapping[str, Check] | None = None,
    ready: Mapping[str, Check] | None = None,
    missing: Check = tuple,
) -> Starlette:
    """The application. Checks are named; a name stands before its reasons.

    Args:
        metrics: Of the process.
        health: Why it should be restarted.
        ready: Why it does not do its work.
        missing: What others should do and do not: said by ``/readyz``, whatever its status.
    """

    async def show_metrics(_: Request) -> Response:
        body, content_type = await metrics.render()
        return Response(body, media_type=content_type)

    def answer(checks: Mapping[str, Check], lacking: Check = tuple) -> Response:
        reasons = [f"{name}: {reason}" for name, check in checks.items() for reason in check()]
        beside = {"missing": found} if (found := list(lacking())) else {}
        if reasons:
            said = {"status": "failing", "reasons": reasons, **beside}
            return JSONResponse(said, status_code=503)
        return JSONResponse({"status": "ok", **beside})

    async def show_health(_: Request) -> Response:
        return answer(health or {})

    async def show_ready(_: Request) -> Response:
        return answer({**(health or {}), **(ready or {})}, missing)

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/healthz", show_health),
            Route("/readyz", show_ready),
        ]
    )


@asynccontextmanager
async def serving(
    app: Starlette, host: str, port: int, tasks: Tasks | None = None
) -> AsyncIterator[int]:
    """Serve *app* beside whatever else runs in this event loop; the port it got (0: any).

    A server that ends by itself is begun again on the same port.

    Raises:
        ConfigurationError: The address cannot be used; the port may be taken.
    """
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise ConfigurationError(
            "cannot listen here; the port may be taken", host=host, port=port
        ) from error
    server: _Server | None = None

    async def serve() -> None:
        nonlocal server
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        server = _Server(config)
        own = listening.dup()  # which it closes in the ordinary course
        try:
            await server.serve(sockets=[own])
        finally:
            for each in getattr(server, "servers", ()):
                each.close()
            own.close()

    kept = (tasks or Tasks()).keep("pages", serve)
    try:
        yield listening.getsockname()[1]
    finally:
        kept.leave()
        if server is not None:
            server.should_exit = True
        await asyncio.wait({kept.outcome})
        listening.close()


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
