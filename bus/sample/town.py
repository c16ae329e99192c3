"""A municipality's machines in small: one database and role for each system, on one PostgreSQL
server. A system that publishes has its outbox in a database of its own.

Used by the demo, the bench and the acceptance tests; nothing of it ships in a running process.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import yaml
from psycopg import sql

from bus.app import outboxes
from bus.sealing import file as keyfile
from bus.sealing.ring import new_key

CORE = "resident_registry"


@dataclass(frozen=True, slots=True)
class Town:
    """The databases of all systems; the URIs carry passwords."""

    systems: Mapping[str, str]  # receiving system -> URI, as its own role
    outboxes: Mapping[str, str]  # publishing system -> URI, as its own role
    ledger: str  # URI of the bus's own database
    administered: Mapping[str, str]  # publishing system -> URI of the same, as an administrator

    async def install_outboxes(self) -> None:
        """Install an outbox in each publishing system's database, used by its own role."""
        for system, uri in self.administered.items():
            role = urlsplit(self.outboxes[system]).username or ""
            plan = outboxes.InstallPlan(core=(outboxes.Speaker(role),), relay=(role,))
            await outboxes.install(system, uri, plan)

    def install_command(self, system: str = CORE) -> list[str]:
        """The command that installs the outbox of one system."""
        role = urlsplit(self.outboxes[system]).username or ""
        uri = self.administered[system]
        return ["relay", "install", "--uri", uri, "--core", role, "--relay", role]

    @property
    def core(self) -> str:
        """URI of the register's database, with its own role."""
        return self.outboxes[CORE]

    def settings(self) -> dict[str, Any]:
        """The part of a settings file that names these databases."""
        return {
            "systems": {
                system: {"connector": "postgres", "options": {"uri": uri}}
                for system, uri in self.systems.items()
            },
            "outboxes": dict(self.outboxes),
        }

    def write_settings(self, file: Path, **more: Any) -> Path:
        """Write a settings file that only its owner reads."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.chmod(0o600)
        file.write_text(
            yaml.safe_dump(self.settings() | more, allow_unicode=True), encoding="utf-8"
        )
        return file


def make_keys(folder: Path) -> dict[str, Any]:
    """Keys of the town's own, to seal 個人番号 and to prove receipts with, and the settings that
    name their files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {f"{kind}_keys_file": folder / f"{kind}-keys" for kind in ("seal", "receipt")}
    for path in paths.values():
        path.unlink(missing_ok=True)
        keyfile.add(path, new_key(None, datetime.now(UTC)))
    return {name: str(path) for name, path in paths.items()}


def build(
    superuser_uri: str,
    systems: Sequence[str],
    prefix: str = "",
    publishing: Sequence[str] = (),
) -> Town:
    """Make the databases and roles, or make them anew; each role owns one database.

    Args:
        superuser_uri: A PostgreSQL server where databases may be made.
        systems: The receiving systems.
        prefix: Before each database's and role's name, so that several towns fit on one server.
        publishing: The systems that publish, each from the database that it receives into. By
            default the register alone, from a database apart.
    """
    with psycopg.connect(superuser_uri, autocommit=True) as connection:
        uris = {
            system: _own_database(connection, superuser_uri, f"{prefix}{system}")
            for system in systems
        }
        outboxes = {
            system: uris[system]
            if system in uris and publishing
            else _own_database(connection, superuser_uri, f"{prefix}core_{system}")
            for system in publishing or (CORE,)
        }
        ledger = _own_database(connection, superuser_uri, f"{prefix}ledger")
    administered = {
        system: urlunsplit(urlsplit(superuser_uri)._replace(path=urlsplit(uri).path))
        for system, uri in outboxes.items()
    }
    return Town(uris, outboxes, ledger, administered)


def demolish(superuser_uri: str, prefix: str) -> None:
    """Drop every database and role whose name begins with *prefix*, which may not be empty."""
    if not prefix:
        raise ValueError("a prefix is needed to say which databases to drop")
    with psycopg.connect(superuser_uri, autocommit=True) as connection:
        for table, column, drop in (
            ("pg_database", "datname", "DROP DATABASE {} WITH (FORCE)"),
            ("pg_roles", "rolname", "DROP ROLE {}"),
        ):
            names = connection.execute(
                sql.SQL("SELECT {} FROM {} WHERE starts_with({}::text, %s)").format(
                    sql.Identifier(column), sql.Identifier(table), sql.Identifier(column)
                ),
                (prefix,),
            ).fetchall()
            for (name,) in names:
                connection.execute(sql.SQL(drop).format(sql.Identifier(name)))


def _own_database(connection: psycopg.Connection[Any], uri: str, name: str) -> str:
    password = secrets.token_urlsafe(18)
    identifier = sql.Identifier(name)
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
    connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(identifier))
    connection.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(identifier, sql.Literal(password))
    )
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, identifier))
    connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(identifier))
    parts = urlsplit(uri)
    host = f"{parts.hostname}:{parts.port}" if parts.port else f"{parts.hostname}"
    login = f"{quote(name)}:{quote(password)}@{host}"
    return urlunsplit(parts._replace(netloc=login, path=f"/{name}"))
