"""The outbox: changes come in by a core system's own transaction, and leave by the relay.

``schema.sql`` is what a core system's database gets, :mod:`~bus.publish.outbox.relay` what reads
it, :mod:`~bus.publish.outbox.lease` why only one does, and :mod:`~bus.publish.outbox.upkeep` what
operators do with it.
"""

from bus.publish.outbox.hosting import run_together
from bus.publish.outbox.lookout import Lookout
from bus.publish.outbox.relay import Pace, Relay
from bus.publish.outbox.rows import Bounds

__all__ = ["Bounds", "Lookout", "Pace", "Relay", "run_together"]
