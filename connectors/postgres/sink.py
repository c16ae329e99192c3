"""The PostgreSQL sink: a table that is filled anew beside itself, too."""

from __future__ import annotations

from bus.connect import EVERY, Capabilities, Staging
from connectors.postgres.staging import StagingTable
from connectors.postgres.table import PostgresTable


class PostgresSink(PostgresTable):
    """One table per stream, its positions, and another in its place when it is rebuilt."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            accepts=EVERY,
            transactional=self,
            reshapes=self,
            suppresses=self,
            stages=self,
            readable=self,
        )

    def staging(self) -> Staging:
        return StagingTable(self._options)
