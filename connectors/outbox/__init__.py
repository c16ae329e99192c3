"""The outbox: changes come in by a core system's own transaction, and leave by the bus.

``schema.sql`` is what a core system's database gets, :mod:`~connectors.outbox.source` what takes
changes out of it, and :mod:`~connectors.outbox.upkeep` what operators do with it.
"""
