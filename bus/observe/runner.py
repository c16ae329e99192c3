"""The name of a process: host, process id, start; how it is recorded and shown."""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

_NAME = re.compile(r"(?P<host>[^@:]+):(?P<pid>\d+):(?P<since>\d{1,12})(?:-.*)?")


@dataclass(frozen=True, slots=True, order=True)
class ProcessName:
    """The parts of a process's name; for people, never compared with another machine's clock."""

    host: str
    pid: int
    since: datetime

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


@cache
def this_process() -> str:
    """This process's name, as it is recorded: ``host:pid:since``."""
    return f"{socket.gethostname()}:{os.getpid()}:{int(time.time())}"


def runner_of(name: str) -> ProcessName | None:
    """The process that a name is of, with a prefix before ``@`` or a suffix after ``-`` or neither.

    None if it is no such name.
    """
    found = _NAME.fullmatch(name.rpartition("@")[2])
    if found is None:
        return None
    since = datetime.fromtimestamp(int(found["since"]), UTC)
    return ProcessName(found["host"], int(found["pid"]), since)
