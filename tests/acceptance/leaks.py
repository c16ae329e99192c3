"""Search for planted words in everything that a run wrote.

Looked at: every table of every database of the server (and what its sessions last said), every
file below the installation's folder but the engines' own data. A word is planted together with a
token of ASCII letters, so that no way of writing (escapes, code points) hides it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_toast%'
ORDER BY 1, 2
"""
"""Another session's temporary table is nobody else's to read, and gone with the session."""
_LOOKS = 20  # at a folder in which something moves
_SAID = "SELECT pid::text, query FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class Canary:
    """A word that is nowhere else in the world."""

    token: str
    why: str

    @property
    def text(self) -> str:
        """What is planted."""
        return f"漏洩検査-{self.token}"


def canary(why: str) -> Canary:
    """A new one."""
    return Canary(token_hex(8), why)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A canary that was seen."""

    place: str  # database.schema.table, or a file
    canary: Canary

    def __str__(self) -> str:
        return f"{self.canary.why} in {self.place}"


def in_databases(
    superuser_uri: str, canaries: Sequence[Canary], *, without: Collection[str] = ()
) -> Iterator[Sighting]:
    """Every canary in every table of every database of this server but those named."""
    with psycopg.connect(superuser_uri) as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
        databases = sorted({name for (name,) in names} - set(without))
        for pid, query in connection.execute(_SAID):
            yield from seen(f"session {pid}", (query or "").encode(), canaries)
    for database in databases:
        uri = urlunsplit(urlsplit(superuser_uri)._replace(path=f"/{database}"))
        with psycopg.connect(uri) as connection:
            for schema, table in connection.execute(TABLES).fetchall():
                held = content(connection, schema, table)
                yield from seen(f"{database}.{schema}.{table}", held, canaries)


def in_files(
    folder: Path,
    canaries: Sequence[Canary],
    *,
    without: Collection[Path] = (),
    named: str = "*",
) -> list[Sighting]:
    """Every canary in every file below *folder* that is *named* so, its name included, but below
    those *without*.

    Kafka renames and deletes meanwhile. What went away while it was looked at may be there under
    another name, so the folder is looked at again until nothing moved.
    """
    for _ in range(_LOOKS):
        gone: list[OSError] = []
        sightings = list(_looked_at(folder, canaries, without, named, gone.append))
        for error in gone:
            if not isinstance(error, FileNotFoundError):
                raise error
        if not gone:
            return sightings
    raise AssertionError(f"something below {folder} moved at each of {_LOOKS} looks")


def _looked_at(
    folder: Path,
    canaries: Sequence[Canary],
    without: Collection[Path],
    named: str,
    on_error: Callable[[OSError], None],
) -> Iterator[Sighting]:
    """What one look finds; *on_error* is told what could not be looked at."""
    for parent, folders, files in os.walk(folder, onerror=on_error):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if here / name not in without)
        for path in (here / name for name in [*folders, *sorted(files)]):
            if path in without:
                continue
            yield from seen(f"the name of {path}", str(path).encode(), canaries)
            if path.name not in files or not path.match(named) or not path.is_file():
                continue
            try:
                held = path.read_bytes()
            except OSError as error:
                on_error(error)
            else:
                yield from seen(str(path), held, canaries)


def content(connection: psycopg.Connection[tuple[object, ...]], schema: str, table: str) -> bytes:
    """A table as text, whatever its columns are."""
    statement = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(schema, table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(bytes(piece) for piece in copy)


def seen(place: str, said: bytes, canaries: Sequence[Canary]) -> Iterator[Sighting]:
    """Every canary that is in *said*."""
    for each in canaries:
        if each.token.encode() in said:
            yield Sighting(place, each)
