"""Every metric, declared once, on a registry of its own: the one home of prometheus-client.

Labels come from small closed sets (system, stream, status, code …), never from data. What happens
is counted as it happens; what is so (lag, lanes) is asked for when somebody looks, by the
functions given to :meth:`Metrics.before_render`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from bus.errors import BusError

LANE = ("system", "stream")
SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Declared:
    """The declaration of a metric: kind, name, meaning, labels."""

    kind: type[Counter] | type[Gauge] | type[Histogram]
    name: str
    help: str
    labels: tuple[str, ...] = ()


DECLARED = (
    Declared(Counter, "renkei_deliver_events_total", "Events fetched for a system.", LANE),
    Declared(Counter, "renkei_deliver_applied_total", "Rows that a store took.", LANE),
    Declared(
        Counter, "renkei_deliver_filtered_total", "Events that a system's view leaves out.", LANE
    ),
    Declared(
        Counter,
        "renkei_deliver_restricted_total",
        "Rows with 個人番号 that a store took.",
        LANE,
    ),
    Declared(Counter, "renkei_deliver_parked_total", "Events that were set aside.", LANE),
    Declared(
        Counter, "renkei_deliver_retries_total", "Tries after something did not answer.", LANE
    ),
    Declared(Histogram, "renkei_deliver_batch_seconds", "From fetched to applied.", LANE),
    Declared(
        Gauge,
        "renkei_deliver_last_success_timestamp_seconds",
        "When a store last took a batch (Unix time).",
        LANE,
    ),
    Declared(Gauge, "renkei_deliver_lag_events", "Events in the log not yet applied.", LANE),
    Declared(Gauge, "renkei_deliver_lag_seconds", "Age of the oldest event not applied.", LANE),
    Declared(
        Gauge,
        "renkei_deliver_stuck_seconds",
        "How long the lane that is worst off has waited for a store, a broker or a person.",
        LANE,
    ),
    Declared(
        Counter,
        "renkei_deliver_went_back_total",
        "How often a store was found before what it had: restored, or a standby that lagged.",
        ("system",),
    ),
    Declared(Gauge, "renkei_deliver_paused_seconds", "Since when an operator has it paused.", LANE),
    Declared(
        Gauge, "renkei_deliver_lanes", "Lanes of this process by how they do.", (*LANE, "status")
    ),
    Declared(Gauge, "renkei_exceptions_open", "Events set aside and not closed.", (*LANE, "state")),
    Declared(Gauge, "renkei_exceptions_oldest_seconds", "Age of the oldest event set aside.", LANE),
    Declared(Gauge, "renkei_receipts_waiting", "Receipts not yet acknowledged by Kafka."),
    Declared(Counter, "renkei_publish_events_total", "Events acknowledged by Kafka.", ("stream",)),
    Declared(Counter, "renkei_publish_refused_total", "Changes refused.", ("code",)),
    Declared(Histogram, "renkei_publish_seconds", "From handed in to acknowledged."),
    Declared(
        Counter,
        "renkei_relay_changes_total",
        "Changes taken from an outbox.",
        ("system", "outcome"),
    ),
    Declared(Gauge, "renkei_relay_waiting", "Changes in an outbox not yet sent.", ("system",)),
    Declared(
        Gauge, "renkei_relay_oldest_seconds", "Age of the oldest change not sent.", ("system",)
    ),
    Declared(
        Counter,
        "renkei_tasks_restarted_total",
        "Long-lived tasks that ended by themselves and were begun again.",
        ("task",),
    ),
    Declared(
        Gauge,
        "renkei_tasks_ended",
        "Long-lived tasks that ended by themselves and do not do well again yet.",
        ("task",),
    ),
    Declared(
        Counter, "renkei_observe_failures_total", "Questions for metrics not answered.", ("code",)
    ),
    Declared(
        Gauge,
        "renkei_relay_seen",
        "1 where the outbox was looked into, 0 if it cannot.",
        ("system",),
    ),
    Declared(
        Gauge, "renkei_relay_unled_seconds", "How long no relay has led the outbox.", ("system",)
    ),
    Declared(Gauge, "renkei_relay_refused", "Refused changes not settled.", ("system",)),
    Declared(
        Gauge, "renkei_relay_refused_oldest_seconds", "Age of the oldest refused one.", ("system",)
    ),
    Declared(Gauge, "renkei_relay_held", "Changes that wait for keys to seal with.", ("system",)),
    Declared(Gauge, "renkei_relay_leads", "1 where this process sends the outbox.", ("system",)),
    Declared(
        Gauge, "renkei_monitor_rows_per_minute", "Rows applied in the last whole minute.", LANE
    ),
    Declared(
        Gauge,
        "renkei_monitor_batches_per_minute",
        "Batches applied in the last whole minute.",
        LANE,
    ),
    Declared(
        Gauge,
        "renkei_monitor_delay_seconds",
        "From applied to the receipt in the log, mean of the last whole minute.",
        LANE,
    ),
    Declared(Gauge, "renkei_monitor_behind_events", "Offsets not passed by a system.", LANE),
    Declared(Gauge, "renkei_monitor_behind_seconds", "Age of the oldest event not passed.", LANE),
    Declared(Gauge, "renkei_monitor_open_changes", "Changes not passed by every system; or more."),
    Declared(
        Counter, "renkei_monitor_receipts_total", "Receipts read, by what they were.", ("outcome",)
    ),
)


_SEEN_IN_AN_OUTBOX = (
    "renkei_relay_waiting",
    "renkei_relay_oldest_seconds",
    "renkei_relay_refused",
    "renkei_relay_refused_oldest_seconds",
    "renkei_relay_unled_seconds",
)


class Metrics:
    """The metrics of one process. Each test makes its own, which start from zero."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._made = {
            declared.name: (
                declared.kind(
                    declared.name,
                    declared.help,
                    declared.labels,
                    buckets=SECONDS,
                    registry=self._registry,
                )
                if declared.kind is Histogram
                else declared.kind(
                    declared.name, declared.help, declared.labels, registry=self._registry
                )
            )
            for declared in DECLARED
        }
        self._refreshers: list[Callable[[], Awaitable[None]]] = []

    # --- deliveries

    def fetched(self, system: str, stream: str, events: int) -> None:
        """Count events of a stream that were fetched for a system."""
        self._count("renkei_deliver_events_total", events, system=system, stream=stream)

    def applied(self, system: str, stream: str, rows: int, seconds: float, at: datetime) -> None:
        """Count the rows of a batch that a store applied, and the seconds since it was fetched."""
        lane = {"system": system, "stream": stream}
        self._count("renkei_deliver_applied_total", rows, **lane)
        self._observe("renkei_deliver_batch_seconds", seconds, **lane)
        self._set("renkei_deliver_last_success_timestamp_seconds", at.timestamp(), **lane)

    def filtered(self, system: str, stream: str, events: int) -> None:
        """Count events that a view leaves out."""
        self._count("renkei_deliver_filtered_total", events, system=system, stream=stream)

    def restricted(self, system: str, stream: str, rows: int) -> None:
        """Count rows with restricted items that a store applied."""
        self._count("renkei_deliver_restricted_total", rows, system=system, stream=stream)

    def parked(self, system: str, stream: str, events: int) -> None:
        """Count events that were set aside."""
        self._count("renkei_deliver_parked_total", events, system=system, stream=stream)

    def retried(self, system: str, stream: str) -> None:
        """Count a retry of a batch because something outside does not answer."""
        self._count("renkei_deliver_retries_total", 1, system=system, stream=stream)

    def lag(self, system: str, stream: str, events: int, seconds: float) -> None:
        """Set how far a system is behind the end of a stream: events, and seconds."""
        self._set("renkei_deliver_lag_events", events, system=system, stream=stream)
        self._set("renkei_deliver_lag_seconds", seconds, system=system, stream=stream)

    def stuck(self, system: str, stream: str, seconds: float) -> None:
        """Set for how many seconds a lane of this stream has not got on; 0 if all do."""
        self._set("renkei_deliver_stuck_seconds", seconds, system=system, stream=stream)

    def went_back(self, system: str) -> None:
        """Count a store that was found before where it had been."""
        self._count("renkei_deliver_went_back_total", 1, system=system)

    def paused(self, seconds: Mapping[tuple[str, str], float]) -> None:
        """Set for how many seconds each paused (system, stream) has been; removes others."""
        self._replace("renkei_deliver_paused_seconds", seconds)

    def lanes(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """Set how many lanes there are of each (system, stream, status); removes others."""
        self._replace("renkei_deliver_lanes", counts)

    def exceptions(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """Set how many events are set aside of each (system, stream, state); removes others."""
        self._replace("renkei_exceptions_open", counts)

    def exceptions_oldest(self, seconds: Mapping[tuple[str, str], float]) -> None:
        """Set the age in seconds of each (system, stream)'s oldest open event; removes others."""
        self._replace("renkei_exceptions_oldest_seconds", seconds)

    def receipts_waiting(self, count: int) -> None:
        """Set how many receipts are not acknowledged yet."""
        self._set("renkei_receipts_waiting", count)

    # --- publishing

    def published(self, stream: str, events: int) -> None:
        """Count events that Kafka acknowledged."""
        self._count("renkei_publish_events_total", events, stream=stream)

    def refused(self, code: str, changes: int = 1) -> None:
        """Count changes that were refused for a reason."""
        self._count("renkei_publish_refused_total", changes, code=code)

    def publish_took(self, seconds: float) -> None:
        """Observe the seconds from handing in to acknowledgement."""
        self._observe("renkei_publish_seconds", seconds)

    # --- the relay

    def relayed(self, system: str, outcome: str, changes: int) -> None:
        """Count changes of an outbox that were ``sent`` or ``refused``."""
        self._count("renkei_relay_changes_total", changes, system=system, outcome=outcome)

    def outbox(self, system: str, waiting: int, oldest_seconds: float) -> None:
        """Set how many changes wait in an outbox, and the age in seconds of the oldest."""
        self._set("renkei_relay_waiting", waiting, system=system)
        self._set("renkei_relay_oldest_seconds", oldest_seconds, system=system)

    def outbox_refused(self, system: str, refused: int, oldest_seconds: float) -> None:
        """Set how many refused changes of an outbox are not settled."""
        self._set("renkei_relay_refused", refused, system=system)
        self._set("renkei_relay_refused_oldest_seconds", oldest_seconds, system=system)

    def outbox_unled(self, system: str, seconds: float) -> None:
        """Set for how many seconds no relay has led the outbox; 0 if one does."""
        self._set("renkei_relay_seen", 1, system=system)
        self._set("renkei_relay_unled_seconds", seconds, system=system)

    def outbox_unseen(self, system: str) -> None:
        """Remove the values of an outbox that cannot be looked at."""
        self._set("renkei_relay_seen", 0, system=system)
        for name in _SEEN_IN_AN_OUTBOX:
            with suppress(KeyError):
                self._made[name].remove(system)

    def relay_holds(self, system: str, changes: int) -> None:
        """Set how many changes are held: for lack of keys, or behind such changes."""
        self._set("renkei_relay_held", changes, system=system)

    def relay_leads(self, system: str, is_leading: bool) -> None:
        """Set whether this process leads the outbox (1) or stands by (0)."""
        self._set("renkei_relay_leads", int(is_leading), system=system)

    # --- the monitor

    def throughput(self, lanes: Mapping[tuple[str, str], tuple[int, int, float]]) -> None:
        """Set rows, batches and mean delay of the last whole minute by (system, stream)."""
        names = ("rows_per_minute", "batches_per_minute", "delay_seconds")
        for at, name in enumerate(names):
            figures = {lane: said[at] for lane, said in lanes.items()}
            self._replace(f"renkei_monitor_{name}", figures)

    def behind(self, lanes: Mapping[tuple[str, str], tuple[int, float]]) -> None:
        """Set how many offsets a system has not passed, and the age in seconds of the oldest."""
        self._replace("renkei_monitor_behind_events", {k: v[0] for k, v in lanes.items()})
        self._replace("renkei_monitor_behind_seconds", {k: v[1] for k, v in lanes.items()})

    def open_changes(self, count: int) -> None:
        """Set how many changes are open."""
        self._set("renkei_monitor_open_changes", count)

    def receipts_read(self, outcome: str, receipts: int) -> None:
        """Count receipts as ``counted``, ``left-out`` (repeated or late) or ``unreadable``."""
        self._count("renkei_monitor_receipts_total", receipts, outcome=outcome)

    # --- every process

    def task_restarted(self, task: str) -> None:
        """Count a restart of a long-lived task that had ended by itself."""
        self._count("renkei_tasks_restarted_total", 1, task=task)

    def tasks_ended(self, task: str, count: int) -> None:
        """Set how many long-lived tasks of a kind have ended and are not well again."""
        self._set("renkei_tasks_ended", count, task=task)

    # --- looking

    def before_render(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Call *refresh* before the metrics are rendered, to set present values."""
        self._refreshers.append(refresh)

    async def render(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text format, and the content type of it."""
        for refresh in self._refreshers:
            try:
                await refresh()
            except BusError as error:
                self._count("renkei_observe_failures_total", 1, code=error.code)
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def value(self, name: str, **labels: str) -> float | None:
        """The value of one sample, for tests; None if it was never set."""
        return self._registry.get_sample_value(name, labels)

    def _count(self, name: str, by: float, **labels: str) -> None:
        if by:
            self._labelled(name, labels).inc(by)

    def _set(self, name: str, value: float, **labels: str) -> None:
        self._labelled(name, labels).set(value)

    def _observe(self, name: str, value: float, **labels: str) -> None:
        self._labelled(name, labels).observe(value)

    def _replace(self, name: str, counts: Mapping[Any, float]) -> None:
        metric = self._made[name]
        metric.clear()
        for labels, count in counts.items():
            metric.labels(*labels).set(count)  # type: ignore[union-attr]

    def _labelled(self, name: str, labels: Mapping[str, str]) -> Any:
        metric = self._made[name]
        return metric.labels(**labels) if labels else metric
