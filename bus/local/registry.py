"""Apicurio Registry, with its data in the stack's own PostgreSQL."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from bus.errors import EngineError
from bus.local import java
from bus.local.engine import LOOPBACK, Command, environment
from bus.local.folder import Folder
from bus.local.postgres import REGISTRY

HEAP_MB = 192
ANSWER_SECONDS = 5.0
API = "/apis/ccompat/v7"
COMPATIBILITY = "FULL_TRANSITIVE"


class Registry:
    """One registry, asked through its Confluent-compatible API."""

    name = "registry"
    stop_signal = signal.SIGTERM
    ready_seconds = 90.0

    def __init__(
        self, folder: Folder, program: Path, port: int, postgres_port: int, password: str
    ) -> None:
        self.port = port
        self._folder = folder
        self._program = program
        self._postgres_port = postgres_port
        self._password = password

    @property
    def ports(self) -> Mapping[str, int]:
        """The registry's port."""
        return {"registry": self.port}

    @property
    def url(self) -> str:
        """The base URL of its Confluent-compatible API."""
        return f"http://{LOOPBACK}:{self.port}{API}"

    def prepare(self) -> bool:
        """Do nothing: it makes its tables itself."""
        return False

    def command(self) -> Command:
        """The registry's command, with a small pool: by default it opens twenty connections."""
        (jar,) = self._program.glob("*-runner.jar")
        home = self._folder.home
        temporary = self._folder.run / "tmp"
        temporary.mkdir(exist_ok=True)
        database = f"jdbc:postgresql://{LOOPBACK}:{self._postgres_port}/{REGISTRY}"
        options = java.options(self.name, home, HEAP_MB, temporary)
        return Command(
            # the quick compiler alone: it starts in two thirds of the time and is never busy
            [str(java.java()), *options, "-XX:TieredStopAtLevel=1", "-jar", str(jar)],
            folder=self._program,
            environment=environment(home)
            | {
                "QUARKUS_HTTP_HOST": LOOPBACK,
                "QUARKUS_HTTP_PORT": str(self.port),
                "QUARKUS_LOG_LEVEL": "WARN",
                "QUARKUS_LOG_CONSOLE_FORMAT": "%d{yyyy-MM-dd'T'HH:mm:ss.SSSZ} %-5p %c{1} %s%e%n",
                "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
                "APICURIO_STORAGE_KIND": "sql",
                "APICURIO_STORAGE_SQL_KIND": "postgresql",
                "APICURIO_DATASOURCE_URL": database,
                "APICURIO_DATASOURCE_USERNAME": REGISTRY,
                "APICURIO_DATASOURCE_PASSWORD": self._password,
                "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "1",
                "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "1",
                "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "8",
                # else the first requests after the database was away fail with status 500
                "QUARKUS_DATASOURCE_POSTGRESQL_JDBC_VALIDATE_ON_BORROW": "true",
            },
        )

    def is_ready(self) -> bool:
        """Whether it answers from its database."""
        try:
            answer = httpx.get(f"{self.url}/subjects", timeout=ANSWER_SECONDS, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.is_success

    def settle(self) -> None:
        """Set its compatibility rule: without one it accepts any schema after any other."""
        try:
            httpx.put(
                f"{self.url}/config",
                json={"compatibility": COMPATIBILITY},
                timeout=ANSWER_SECONDS,
                trust_env=False,
            ).raise_for_status()
        except httpx.HTTPError as error:
            raise EngineError("the registry does not take its compatibility rule") from error

    def owns(self, process: psutil.Process) -> bool:
        """Whether the process has this data folder's mark."""
        return java.mark(self.name, self._folder.home) in process.cmdline()
