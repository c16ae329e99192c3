"""The files of the engines, each pinned by digest in ``engines.lock``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bus.errors import EngineError

LOCK = Path(__file__).with_name("engines.lock")
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a Maven repository, with its pinned digest."""

    engine: str
    group: str
    name: str
    version: str
    type: str
    classifier: str | None
    size_bytes: int
    sha256: str

    @property
    def file(self) -> str:
        """The file's name in a Maven repository."""
        tail = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{tail}.{self.type}"

    @property
    def path(self) -> PurePosixPath:
        """The file's path in a Maven repository, remote or local."""
        return PurePosixPath(self.group.replace(".", "/"), self.name, self.version, self.file)


def read(lock: Path = LOCK) -> tuple[Artifact, ...]:
    """Every pinned file, in the order of the lock file.

    Raises:
        EngineError: A line that cannot be read; names file and line.
    """
    lines = lock.read_text(encoding="utf-8").splitlines()
    return tuple(
        _artifact(line, lock, number)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    )


def of(engine: str, artifacts: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
    """The files of one engine."""
    return tuple(artifact for artifact in artifacts if artifact.engine == engine)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            total.update(chunk)
    return total.hexdigest()


def _artifact(line: str, lock: Path, number: int) -> Artifact:
    try:
        engine, coordinates, size, sha256 = line.split()
        group, name, version, kind, *rest = coordinates.split(":")
        classifier = ":".join(rest) or None
        return Artifact(engine, group, name, version, kind, classifier, int(size), sha256)
    except ValueError as error:
        raise EngineError(
            "a line of the lock file cannot be read", file=lock.name, line=number
        ) from error
