"""Documents of this machine: doctor's findings, engines and keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bus.operate.documents.shape import Document, named
from bus.sealing import KeyRing
from bus.sealing.ring import Key

if TYPE_CHECKING:  # needs the packages of renkei[local]
    from bus.local.checkup import CheckResult
    from bus.local.stack import EngineStatus, Status


@named("finding")
def findings(found: Sequence[CheckResult]) -> list[Document]:
    """Each thing that was examined, and the command that mends it."""
    return [
        {"name": each.name, "verdict": each.verdict.value, "says": each.says, "mend": each.mend}
        for each in found
    ]


@named("engines-fetched")
def engines_fetched(count: int) -> Document:
    """How many files were brought."""
    return {"fetched": count}


@named("engines-up")
def engines_up(where: Mapping[str, str], *, was_up: bool) -> Document:
    """Where the engines answer; the password is given by its file."""
    return {**where, "was_up": was_up}


@named("engines-down")
def engines_down(seconds: float, *, was_up: bool) -> Document:
    """How long stopping took, in seconds."""
    return {"was_up": was_up, "seconds": round(seconds, 1)}


@named("engines-reset")
def engines_reset(home: Path) -> Document:
    """The folder whose data was deleted."""
    return {"deleted": str(home)}


@named("engines")
def engines(now: Status) -> Document:
    """Each engine: process, port, memory, how long it has run."""
    return {
        "home": str(now.home),
        "up": now.is_up,
        "supervisor_pid": now.pid,
        "since": now.since.isoformat() if now.since else None,
        "error": now.error,
        "engines": [_engine(each) for each in now.engines],
    }


def _engine(each: EngineStatus) -> Document:
    return {
        "name": each.name,
        "state": each.phase.value,
        "pid": each.pid,
        "port": each.port,
        "memory_bytes": each.memory_bytes,
        "since": each.since.isoformat() if each.since else None,
        "restarts": each.restarts,
    }


@named("key-made")
def key_made(key: Key, file: Path, *, is_dry: bool) -> Document:
    """The id of a new key, and the file that holds it; never the key."""
    return {"file": str(file), "id": key.id, "made_at": key.made_at, "dry_run": is_dry}


@named("key")
def keys(ring: KeyRing) -> list[Document]:
    """The ids of keys; never the keys."""
    known: Iterable[Key] = ring.keys.values()
    return [
        {"id": key.id, "made_at": key.made_at, "is_current": key is ring.current} for key in known
    ]
