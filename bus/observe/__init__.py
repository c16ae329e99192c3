"""Logs, metrics and health of a process: identifiers and counts, never field values."""
