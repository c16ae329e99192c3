"""A database as a site has it: a role that owns its schema, and a server log that can be read."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions


class Site:
    """A database, a role that owns its schema, and what the server logs."""

    def __init__(self, superuser: str, role: str) -> None:
        self._superuser = superuser
        self._role = role
        with psycopg.connect(superuser, autocommit=True) as connection:
            database = connection.info.dbname
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'pw'").format(sql.Identifier(role))
            )
            connection.execute(
                sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                    sql.Identifier(database), sql.Identifier(role)
                )
            )
            host, port = connection.info.host, connection.info.port
            pid = connection.info.backend_pid
            self._log = Path(f"/proc/{pid}/fd/2").readlink()
        self.uri = f"postgresql://{role}:pw@{host}:{port}/{database}"

    def set(self, settings: dict[str, str]) -> None:
        """As an administrator sets them for a role."""
        with psycopg.connect(self._superuser, autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(
                    sql.SQL("ALTER ROLE {} SET {} = {}").format(
                        sql.Identifier(self._role), sql.Identifier(name), sql.Literal(value)
                    )
                )

    def execute(self, statement: str) -> None:
        """As the system itself, whose own statements hold nothing."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(statement.encode())

    def cut(self) -> None:
        """End every session of the role, as a network does."""
        with psycopg.connect(self._superuser, autocommit=True) as connection:
            asked = (
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s"
            )
            connection.execute(asked, (self._role,))

    def count(self, table: str) -> int:
        """How many rows a table has."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            (found,) = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() or (
                0,
            )
        return int(found)

    def sink(self) -> PostgresSink:
        return PostgresSink(PostgresOptions(uri=SecretStr(self.uri)))

    def logged(self) -> str:
        """The server's whole log."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def remove(self) -> None:
        with psycopg.connect(self._superuser, autocommit=True) as connection:
            for statement in ("DROP OWNED BY {} CASCADE", "DROP ROLE {}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(self._role)))
