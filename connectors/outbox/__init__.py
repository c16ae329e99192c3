"""The outbox: a core system's own transaction puts changes in, and the bus takes them out.

``schema.sql`` is what a core system's database gets, :mod:`~connectors.outbox.source` what takes
changes out of it, and :mod:`~connectors.outbox.upkeep` what operators do with it.
"""
