"""The connector ports, and what a store keeps and gives up as its view changes."""

from bus.connect.fitting import UNFIT, insist_on_fit
from bus.connect.keeping import Keeper, Kept, Turn
from bus.connect.kept import BusKept
from bus.connect.port import (
    EVERY,
    Capabilities,
    Fresh,
    Held,
    KeptByBus,
    Left,
    Positions,
    Reshapes,
    Sink,
    Stages,
    Suppresses,
    Swapped,
    Transactional,
)
from bus.connect.standing import FRESH, Standing, Taken, insist_on_view, is_behind, taken
from bus.connect.withheld import Withheld, comparable, compared

__all__ = [
    "EVERY",
    "FRESH",
    "UNFIT",
    "BusKept",
    "Capabilities",
    "Fresh",
    "Held",
    "Keeper",
    "Kept",
    "KeptByBus",
    "Left",
    "Positions",
    "Reshapes",
    "Sink",
    "Stages",
    "Standing",
    "Suppresses",
    "Swapped",
    "Taken",
    "Transactional",
    "Turn",
    "Withheld",
    "comparable",
    "compared",
    "insist_on_fit",
    "insist_on_view",
    "is_behind",
    "taken",
]
