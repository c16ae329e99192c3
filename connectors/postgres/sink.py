"""The PostgreSQL sink: a table that is filled anew beside itself, too."""

from __future__ import annotations

from dataclasses import replace

from bus.connect import Capabilities, Staging
from connectors.postgres.staging import StagingTable
from connectors.postgres.table import PostgresTable


class PostgresSink(PostgresTable):
    """One table per stream, its positions, and another in its place when it is rebuilt."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, stages=self, readable=self)

    def staging(self) -> Staging:
        return StagingTable(self._options)
