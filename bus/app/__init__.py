"""The composition root: the one place that makes adapters and joins parts.

It alone reads the environment and knows the connectors. There is a module for each thing that a
process does; commands call what is named here. A module is imported when something of it is first
asked for, so a command waits for no library that it does not use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bus.app.clients import PATIENCE, broker, connect, ledger, registry
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
    from bus.app.handing_in import intake
    from bus.app.keys import proofs, sealed_streams, seals
    from bus.app.masking import mask_keys
    from bus.app.monitoring import run_monitor
    from bus.app.publishing import example_faults, publisher, run_relays
    from bus.app.systems import connections, declared, feeds, sink, unfit

_HOME = {
    "PATIENCE": "clients",
    "broker": "clients",
    "catalog": "configured",
    "connect": "clients",
    "connections": "systems",
    "declared": "systems",
    "delivering": "deliveries",
    "example_faults": "publishing",
    "feeds": "systems",
    "granted": "configured",
    "intake": "handing_in",
    "ledger": "clients",
    "local_stack": "configured",
    "mask_keys": "masking",
    "private_use": "configured",
    "proofs": "keys",
    "publisher": "publishing",
    "registry": "clients",
    "run_deliveries": "deliveries",
    "run_monitor": "monitoring",
    "run_relays": "publishing",
    "sealed_streams": "keys",
    "seals": "keys",
    "settings": "configured",
    "settings_and_origins": "configured",
    "sink": "systems",
    "this_day": "configured",
    "topic_specs": "configured",
    "unfit": "systems",
}
"""The module that each name is in."""


def __getattr__(name: str) -> Any:
    """Import the module of a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


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
    "intake",
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
