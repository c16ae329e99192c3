"""One document for each thing that is shown (:mod:`bus.operate.documents.shape`).

A module is imported when something of it is asked for: a command that shows keys waits for nothing
that reads a ledger.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bus.operate.documents.shape import Document, Shape, listed, of, shown

if TYPE_CHECKING:
    from bus.operate.documents.contracts import (
        reference,
        schema,
        schemas,
        schemas_checked,
        schemas_pushed,
        stream,
        streams,
        subscription,
        subscriptions,
        subscriptions_checked,
        system,
        systems,
    )
    from bus.operate.documents.lanes import lanes_shown, status, throughput
    from bus.operate.documents.ledger import deeds, pruning, topics_applied
    from bus.operate.documents.machine import (
        engines,
        engines_down,
        engines_fetched,
        engines_reset,
        engines_up,
        findings,
        key_made,
        keys,
    )
    from bus.operate.documents.owed import settled
    from bus.operate.documents.parked import asked_to_try, dismissed, skipped
    from bus.operate.documents.persons import ended, erasure
    from bus.operate.documents.policy import applied
    from bus.operate.documents.publishing import (
        dropped,
        loaded,
        outbox_installed,
        outboxes,
        put_back,
        refused_changes,
    )

_HOME = {
    "contracts": (
        "reference schema schemas schemas_checked schemas_pushed stream streams subscription"
        " subscriptions subscriptions_checked system systems"
    ),
    "owed": "settled",
    "lanes": "lanes_shown status throughput",
    "ledger": "deeds pruning topics_applied",
    "machine": (
        "engines engines_down engines_fetched engines_reset engines_up findings key_made keys"
    ),
    "parked": "asked_to_try dismissed skipped",
    "persons": "ended erasure",
    "policy": "applied",
    "publishing": "dropped loaded outbox_installed outboxes put_back refused_changes",
}
"""Each module, and what commands ask it for by name."""
_WHERE = {name: module for module, names in _HOME.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import the module of a document when it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


__all__ = [
    "Document",
    "Shape",
    "applied",
    "asked_to_try",
    "deeds",
    "dismissed",
    "dropped",
    "ended",
    "engines",
    "engines_down",
    "engines_fetched",
    "engines_reset",
    "engines_up",
    "erasure",
    "findings",
    "key_made",
    "keys",
    "lanes_shown",
    "listed",
    "loaded",
    "of",
    "outbox_installed",
    "outboxes",
    "pruning",
    "put_back",
    "reference",
    "refused_changes",
    "schema",
    "schemas",
    "schemas_checked",
    "schemas_pushed",
    "settled",
    "shown",
    "skipped",
    "status",
    "stream",
    "streams",
    "subscription",
    "subscriptions",
    "subscriptions_checked",
    "system",
    "systems",
    "throughput",
    "topics_applied",
]
