"""The connector ports, and what a store keeps and gives up as its view changes."""

from bus.connect.port import Fresh, Held, Left, Sink, Swapped
from bus.connect.standing import FRESH, Standing, Taken, is_behind, taken
from bus.connect.withheld import Withheld, comparable, compared

__all__ = [
    "FRESH",
    "Fresh",
    "Held",
    "Left",
    "Sink",
    "Standing",
    "Swapped",
    "Taken",
    "Withheld",
    "comparable",
    "compared",
    "is_behind",
    "taken",
]
