"""What a system's PostgreSQL and its two drivers can raise, as the bus's errors."""

from __future__ import annotations

from functools import partial

import adbc_driver_manager as adbc
import psycopg

from bus.connect.sqlstates import Database, Meaning, Row
from bus.connect.sqlstates import translated as translated_by
from bus.errors import EventRefused, SinkUnavailable

STORE = Database(
    database="the database",
    relation="the table",
    form="the view",
    setting="its URI",
    misfit="the table, or the rights on it, do not fit the view",
    away=SinkUnavailable,
    refused=EventRefused,
    rows=(
        Row(
            "XX", Meaning.UNFIT, "{server} finds its own files damaged: see its log, and restore it"
        ),
    ),
    drivers=(psycopg.Error, adbc.Error),
)

translated = partial(translated_by, STORE)
"""Turn what the drivers can raise inside into the bus's errors; what is given goes into each."""
