"""Rebuild: a fresh table, filled from the log beside the one in use, which then takes its place."""
