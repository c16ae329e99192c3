"""The monitor's answer over HTTP: the page, and the client that asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bus.monitor.windows import KEEP_MINUTES

PATH = "/throughput"
ANSWER_WITHIN_S = 2.0


def throughput_page(tell: Callable[[int], dict[str, Any]]) -> Route:
    """``GET /throughput?last=N``: what *tell* says of the last N minutes."""

    async def show(request: Request) -> JSONResponse:
        try:
            last = int(request.query_params.get("last", KEEP_MINUTES))
        except ValueError:
            return JSONResponse({"error": "last is a number of minutes"}, status_code=400)
        return JSONResponse(tell(max(1, min(last, KEEP_MINUTES))))

    return Route(PATH, show)


async def ask_monitor(base_url: str, last: int) -> dict[str, Any] | None:
    """The answer of the monitor at *base_url*; None if no monitor answers there."""
    async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S, trust_env=False) as client:
        try:
            answer = await client.get(base_url + PATH, params={"last": last})
            said: Any = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return None
    return said if isinstance(said, dict) and "minutes" in said else None
