"""Rebuild: a staging table is filled from the log and takes the place of the one in use."""
