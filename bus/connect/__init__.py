"""The connector ports, and what a store keeps and gives up as its view changes."""

from bus.connect.applied_view import FRESH, AppliedView, Taken, insist_on_view, is_behind, taken
from bus.connect.fitting import UNFIT, insist_on_fit, why_unfit
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
from bus.connect.position import insist_on_position
from bus.connect.withheld import Withheld, comparable, compared

__all__ = [
    "EVERY",
    "FRESH",
    "UNFIT",
    "AppliedView",
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
    "Suppresses",
    "Swapped",
    "Taken",
    "Transactional",
    "Turn",
    "Withheld",
    "comparable",
    "compared",
    "insist_on_fit",
    "insist_on_position",
    "insist_on_view",
    "is_behind",
    "taken",
    "why_unfit",
]
