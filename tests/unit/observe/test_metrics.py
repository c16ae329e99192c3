"""Metrics count what happened and say what is so."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from bus.errors import BrokerUnavailable
from bus.observe.metrics import DECLARED, Metrics


def test_each_starts_from_zero() -> None:
    """Two sets of metrics in one process do not know each other."""
    first, second = Metrics(), Metrics()

    first.fetched("school", "resident", 5)

    labels = {"system": "school", "stream": "resident"}
    assert first.value("renkei_deliver_events_total", **labels) == 5
    assert second.value("renkei_deliver_events_total", **labels) is None


def test_a_batch() -> None:
    """Rows, duration and time of the last success."""
    metrics = Metrics()
    now = datetime(2026, 11, 24, tzinfo=UTC)

    metrics.applied("school", "resident", rows=3, seconds=0.02, at=now)
    metrics.applied("school", "resident", rows=0, seconds=0.02, at=now)

    labels = {"system": "school", "stream": "resident"}
    assert metrics.value("renkei_deliver_applied_total", **labels) == 3
    assert metrics.value("renkei_deliver_batch_seconds_count", **labels) == 2
    last = metrics.value("renkei_deliver_last_success_timestamp_seconds", **labels)
    assert last == now.timestamp()


def test_what_is_no_more_goes() -> None:
    """A lane that left is not shown as it was."""
    metrics = Metrics()
    metrics.lanes({("school", "resident", "running"): 4})

    metrics.lanes({("school", "resident", "retrying"): 4})

    lane = {"system": "school", "stream": "resident"}
    assert metrics.value("renkei_deliver_lanes", **lane, status="running") is None
    assert metrics.value("renkei_deliver_lanes", **lane, status="retrying") == 4


async def test_looking_asks() -> None:
    """What is so is asked when somebody looks; a broker that is away hides nothing else."""
    metrics = Metrics()

    async def lag() -> None:
        metrics.lag("school", "resident", events=12, seconds=3.5)

    async def away() -> None:
        raise BrokerUnavailable("the broker does not answer")

    metrics.before_render(away)
    metrics.before_render(lag)
    body, content_type = await metrics.render()

    assert content_type.startswith("text/plain")
    assert 'renkei_deliver_lag_events{stream="resident",system="school"} 12.0' in body.decode()
    assert 'renkei_observe_failures_total{code="RK-401"} 1.0' in body.decode()


def test_names_and_words() -> None:
    """Every metric is renkei_…, has a sentence, and labels from the closed sets."""
    labels = {"system", "stream", "status", "state", "code", "outcome", "task"}
    for declared in DECLARED:
        assert re.fullmatch(r"renkei(_[a-z]+)+", declared.name)
        assert declared.help.endswith((".", ")."))
        assert set(declared.labels) <= labels
    assert len({declared.name for declared in DECLARED}) == len(DECLARED)


def test_everything_declared_is_told_by_somebody() -> None:
    """A metric that nothing sets would be an empty panel on somebody's dashboard."""
    bus = Path(__file__).parents[3] / "bus"
    files = [file for file in bus.rglob("*.py") if file != bus / "observe" / "metrics.py"]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    telling = [name for name in vars(Metrics) if not name.startswith("_") and name != "value"]

    assert [name for name in telling if not re.search(rf"etrics\.{name}\b", code)] == []
