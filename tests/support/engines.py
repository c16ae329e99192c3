"""Engines for a test run: one stack for all its tests and workers, gone when the run is.

The first test that asks for the engines starts them, whichever worker it runs in; their owner is
the process that began the run, so they end with it even if it is killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psutil
import psycopg
from psycopg import sql

from bus import settings
from bus.errors import ConfigurationError
from bus.files import write_private
from bus.local.endpoints import Endpoints
from bus.local.folder import Folder, is_held, process, read_json
from bus.local.progress import StartProgress
from bus.local.stack import LocalStack

HOME = "home"
RUNS = "renkei-tests"
_OWNER = "owner.json"


def given() -> Endpoints | None:
    """The engines that ``RENKEI_TEST_ENGINES`` names, if it is set.

    They are named by their addresses, or as ``home``: those that ``renkei local up`` started.

    Raises:
        ConfigurationError: It is set to something else, or the engines at home are not up.
    """
    text = os.environ.get("RENKEI_TEST_ENGINES")
    if text != HOME:
        return Endpoints.parse(text) if text else None
    endpoints = LocalStack(settings.load(os.environ).home).endpoints()
    if endpoints is None:
        raise ConfigurationError("the engines at home are not up: renkei local up")
    return endpoints


def stack(home: Path) -> LocalStack:
    """A stack with data of its own; fetched engines are shared with the user's."""
    own = settings.load(os.environ)
    return LocalStack(home, engines=own.home / "engines", maven=own.maven)


def shared(home: Path, owner: int, progress: StartProgress | None = None) -> Endpoints:
    """The engines of this run: started by whoever comes first, the others wait.

    Args:
        home: The run's data folder.
        owner: The process that began the run.
        progress: Told of the start, in the process that does it.

    Raises:
        EngineError: They cannot be had.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    began = psutil.Process(owner).create_time()
    write_private(home / _OWNER, json.dumps({"pid": owner, "created": began}))
    with (home / ".starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return stack(home).up(progress, owner=owner)


def stop(home: Path) -> None:
    """End the engines of a run and delete their data; does nothing if there were none."""
    if home.is_dir():
        stack(home).down()
        shutil.rmtree(home)


def clear(folder: Path) -> None:
    """Delete what runs left in *folder* that were killed; a run that goes on is left alone.

    A data folder is a dead run's if it is ours, says who began it, that process is gone (not only
    its number: a later process may have that), and no engine holds it any more.
    """
    for home in folder.glob(f"{RUNS}_*"):
        if home.is_symlink() or home.stat().st_uid != os.getuid():
            continue
        note = read_json(home / _OWNER)
        if note is None or not {"pid", "created"} <= note.keys():
            continue
        if process(note["pid"], note["created"]) is None and not is_held(Folder.at(home)):
            shutil.rmtree(home, ignore_errors=True)  # another run may be at the same


def unique(prefix: str = "t") -> str:
    """A name nobody else has: letters, digits and underscores, good for topics and databases."""
    return f"{prefix}_{uuid4().hex[:12]}"


def named(uri: str, database: str) -> str:
    """The same PostgreSQL server, another database."""
    return urlunsplit(urlsplit(uri)._replace(path=f"/{database}"))


@contextmanager
def fresh_database(superuser_uri: str, *, copied: str = "") -> Iterator[str]:
    """An empty database for one test, dropped afterwards even if sessions are still open.

    Args:
        superuser_uri: The server.
        copied: A database there in which nobody has a session: the fresh one begins as its copy.
    """
    name, template = unique("test"), urlsplit(copied).path[1:] or "template1"
    with psycopg.connect(superuser_uri, autocommit=True) as connection:
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield named(superuser_uri, name)
    finally:
        with psycopg.connect(superuser_uri, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
