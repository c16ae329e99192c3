"""The composition root: the one place that builds adapters and joins parts.

It alone reads the environment and knows the connectors. There is a module for each thing that a
process does; commands call what is named here.
"""

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
from bus.app.keys import proofs, sealed_streams, seals
from bus.app.mask_keys import mask_keys
from bus.app.monitoring import run_monitor
from bus.app.outside import PATIENCE, broker, connect, ledger, registry
from bus.app.publishing import example_faults, publisher, run_relays
from bus.app.systems import connections, declared, feeds, sink, unfit

__all__ = [
    "PATIENCE",
    "broker",
    "catalog",
    "connect",
    "connections",
    "declared",
    "delivering",
    "example_faults",
    "feeds",
    "granted",
    "ledger",
    "local_stack",
    "mask_keys",
    "private_use",
    "proofs",
    "publisher",
    "registry",
    "run_deliveries",
    "run_monitor",
    "run_relays",
    "sealed_streams",
    "seals",
    "settings",
    "settings_and_origins",
    "sink",
    "this_day",
    "topic_specs",
    "unfit",
]
