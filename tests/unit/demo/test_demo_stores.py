"""The demo's own look into the systems' databases."""

from __future__ import annotations

import psycopg
import pytest

from bus.demo.stores import opened
from bus.errors import EngineError


async def test_a_server_that_ends_is_told_in_a_sentence() -> None:
    """A full disk ends PostgreSQL: no traceback, and nothing of the driver's words."""
    with pytest.raises(EngineError, match="does not answer") as told:
        async with opened({}, {}, {}):
            raise psycopg.OperationalError("server closed the connection: PLANTED")

    assert "PLANTED" not in str(told.value)
    assert told.value.__cause__ is None
