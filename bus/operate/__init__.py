"""What operators ask and do. Commands, and any page, are a skin over this."""

from bus.operate.auditing import anchor, prune_ledger, verify
from bus.operate.erasing import open_erasing
from bus.operate.naming import (
    configured_names,
    is_known_elsewhere,
    outbox_names,
    stream_names,
    system_names,
)
from bus.operate.protecting import protections
from bus.operate.providing import period, provided, provisions_of
from bus.operate.questions import LogTimes, entitled, standings
from bus.operate.rebuilding import rebuilding
from bus.operate.running import DELIVER, Duty, duties, expected_systems, hosted
from bus.operate.sealing import sealed
from bus.operate.session import (
    desk,
    editions,
    operations,
    operator,
    parked_events,
    received,
    receivers,
)
from bus.operate.simulating import simulate
from bus.operate.throughput import throughput

__all__ = [
    "DELIVER",
    "Duty",
    "LogTimes",
    "anchor",
    "configured_names",
    "desk",
    "duties",
    "editions",
    "entitled",
    "expected_systems",
    "hosted",
    "is_known_elsewhere",
    "open_erasing",
    "operations",
    "operator",
    "outbox_names",
    "parked_events",
    "period",
    "protections",
    "provided",
    "provisions_of",
    "prune_ledger",
    "rebuilding",
    "received",
    "receivers",
    "sealed",
    "simulate",
    "standings",
    "stream_names",
    "system_names",
    "throughput",
    "verify",
]
