"""One entry of the table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mutant:
    """A piece that is taken out, and the tests that must fail without it."""

    name: str
    promise: str
    """What is promised, in one sentence."""
    where: str
    """Where it is promised: a document, and the number or heading in it."""
    file: str
    old: str
    """Occurs once in the file; short, so that it outlives what is moved around it."""
    new: str
    tests: tuple[str, ...]
    """Each must fail, in one of its cases at least."""
    on_engines: bool = False
    """Its tests need Kafka, PostgreSQL or the registry."""
    seconds: int = 180
    """How long its tests may take in all."""

    def applies(self, tree: Path) -> bool:
        """Whether the piece is there, once."""
        file = tree / self.file
        return file.is_file() and file.read_text(encoding="utf-8").count(self.old) == 1
