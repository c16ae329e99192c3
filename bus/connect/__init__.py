"""The connector ports, and what a store keeps and gives up as its view changes."""

from bus.connect.port import (
    Capabilities,
    Fresh,
    Held,
    Left,
    Positions,
    Reshapes,
    Sink,
    Stages,
    Suppresses,
    Swapped,
    Transactional,
)
from bus.connect.standing import FRESH, Standing, Taken, is_behind, taken
from bus.connect.withheld import Withheld, comparable, compared

__all__ = [
    "FRESH",
    "Capabilities",
    "Fresh",
    "Held",
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
    "Withheld",
    "comparable",
    "compared",
    "is_behind",
    "taken",
]
