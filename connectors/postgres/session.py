"""A session of either driver, as far as it is asked about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Answer(Protocol):
    """What a session says."""

    def fetchone(self) -> Sequence[Any] | None:
        """The first row."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows."""
        ...


class Session(Protocol):
    """A connection of psycopg, or a cursor of ADBC."""

    def execute(self, query: str, /) -> Answer:
        """Ask it."""
        ...
