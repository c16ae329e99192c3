"""Rebuild: fill a staging table from the log, and put it in place of the table in use."""
