"""The composition root: the one place that builds adapters and joins parts.

It alone reads the environment and knows the connectors. There is a module for each thing that a
process does; commands call what is named here.
"""

from bus.app.answers import LogTimes, entitled, ledger, standings
from bus.app.auditing import anchor, prune_ledger, verify
from bus.app.configured import (
    catalog,
    granted,
    local_stack,
    private_use,
    settings,
    settings_and_origins,
    this_day,
    topic_specs,
)
from bus.app.deliveries import delivering, run_deliveries
from bus.app.erasing import open_erasing
from bus.app.keys import proofs, sealed, sealed_streams, seals
from bus.app.mask_keys import mask_keys
from bus.app.monitoring import run_monitor, throughput
from bus.app.naming import (
    configured_names,
    is_known_elsewhere,
    outbox_names,
    stream_names,
    system_names,
)
from bus.app.operating import (
    desk,
    editions,
    operations,
    operator,
    parked_events,
    received,
    receivers,
)
from bus.app.outside import broker, connect, registry
from bus.app.protecting import protections
from bus.app.providing import period, provided, provisions_of
from bus.app.publishing import example_faults, outboxes, publisher, run_relays
from bus.app.rebuilding import rebuilding
from bus.app.running import DELIVER, Duty, duties, expected_systems, hosted
from bus.app.simulating import simulate
from bus.app.systems import connections, feeds, sink

__all__ = [
    "DELIVER",
    "Duty",
    "LogTimes",
    "anchor",
    "broker",
    "catalog",
    "configured_names",
    "connect",
    "connections",
    "delivering",
    "desk",
    "duties",
    "editions",
    "entitled",
    "example_faults",
    "expected_systems",
    "feeds",
    "granted",
    "hosted",
    "is_known_elsewhere",
    "ledger",
    "local_stack",
    "mask_keys",
    "open_erasing",
    "operations",
    "operator",
    "outbox_names",
    "outboxes",
    "parked_events",
    "period",
    "private_use",
    "proofs",
    "protections",
    "provided",
    "provisions_of",
    "prune_ledger",
    "publisher",
    "rebuilding",
    "received",
    "receivers",
    "registry",
    "run_deliveries",
    "run_monitor",
    "run_relays",
    "sealed",
    "sealed_streams",
    "seals",
    "settings",
    "settings_and_origins",
    "simulate",
    "sink",
    "standings",
    "stream_names",
    "system_names",
    "this_day",
    "throughput",
    "topic_specs",
    "verify",
]
