"""The connector ports, and what a store keeps and gives up as its view changes."""

from bus.connect.port import Fresh, Held, Sink, Swapped
from bus.connect.standing import FRESH, Standing, Taken, is_behind, taken

__all__ = [
    "FRESH",
    "Fresh",
    "Held",
    "Sink",
    "Standing",
    "Swapped",
    "Taken",
    "is_behind",
    "taken",
]
