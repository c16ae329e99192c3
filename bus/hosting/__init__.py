"""Hosting: the systems of one process, each a member of its group, with a fleet of lanes."""
