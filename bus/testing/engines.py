"""Engines for a test run: one stack for all tests, gone when the run is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from bus.local.endpoints import Endpoints


def given() -> Endpoints | None:
    """The engines that ``RENKEI_TEST_ENGINES`` names, if it is set."""
    text = os.environ.get("RENKEI_TEST_ENGINES")
    return Endpoints.parse(text) if text else None


def unique(prefix: str = "t") -> str:
    """A name nobody else has: letters, digits and underscores, good for topics and databases."""
    return f"{prefix}_{uuid4().hex[:12]}"


def named(uri: str, database: str) -> str:
    """The same PostgreSQL server, another database."""
    return urlunsplit(urlsplit(uri)._replace(path=f"/{database}"))


@contextmanager
def fresh_database(superuser_uri: str) -> Iterator[str]:
    """An empty database for one test, dropped afterwards even if sessions are still open."""
    name = unique("test")
    with psycopg.connect(superuser_uri, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield named(superuser_uri, name)
    finally:
        with psycopg.connect(superuser_uri, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
