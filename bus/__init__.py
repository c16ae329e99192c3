"""Renkei (連携): the bus that carries a municipal change, entered once, to every system."""
