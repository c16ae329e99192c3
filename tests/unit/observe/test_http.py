"""A process answers for itself over HTTP."""

from __future__ import annotations

import socket

import httpx
import pytest

from bus.errors import ConfigurationError
from bus.observe.http import build, serving
from bus.observe.metrics import Metrics


async def test_it_answers_on_loopback() -> None:
    """Metrics, health and readiness, on a port of its own."""
    metrics = Metrics()
    metrics.published("resident", 2)

    async with serving(build(metrics), "127.0.0.1", 0) as port, httpx.AsyncClient() as client:
        shown = await client.get(f"http://127.0.0.1:{port}/metrics")
        health = await client.get(f"http://127.0.0.1:{port}/healthz")

    assert 'renkei_publish_events_total{stream="resident"} 2.0' in shown.text
    assert health.json() == {"status": "ok"}


async def test_reasons_make_it_unwell() -> None:
    """Not ready is not unhealthy; unhealthy is not ready either. Each says why."""
    stopped: list[str] = []
    app = build(
        Metrics(), health={"deliver": lambda: stopped}, ready={"lanes": lambda: ["opening"]}
    )

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://renkei"
    ) as client:
        before = (await client.get("/healthz"), await client.get("/readyz"))
        stopped.append("school/resident/2 RK-501")
        after = (await client.get("/healthz"), await client.get("/readyz"))

    assert [answer.status_code for answer in before] == [200, 503]
    assert before[1].json() == {"status": "failing", "reasons": ["lanes: opening"]}
    assert [answer.status_code for answer in after] == [503, 503]
    assert after[1].json()["reasons"] == ["deliver: school/resident/2 RK-501", "lanes: opening"]


async def test_a_port_that_is_taken() -> None:
    """The error says which; the process does not vanish."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError) as refused:
            async with serving(build(Metrics()), "127.0.0.1", port):
                pass

    assert refused.value.where["port"] == port
