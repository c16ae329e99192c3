"""The composition root: the one place that makes adapters and joins parts.

It alone reads the environment and knows the connectors. There is a module for each thing that a
process does. One is imported when it is first asked for, so a command waits for no library that it
does not use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bus.app import clients as clients
    from bus.app import configured as configured
    from bus.app import deliveries as deliveries
    from bus.app import handing_in as handing_in
    from bus.app import keys as keys
    from bus.app import masking as masking
    from bus.app import monitoring as monitoring
    from bus.app import publishing as publishing
    from bus.app import systems as systems


def __getattr__(name: str) -> Any:
    """Import the module of a name when it is first used."""
    module = f"{__name__}.{name}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
