"""The progress of a fetch or start: bytes as they arrive, steps as they begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StartStep:
    """One step with an engine; ``seconds`` is None while it is under way."""

    name: str
    seconds: float | None = None


class StartProgress(Protocol):
    """Is told of a fetch and a start. Calls may come from several threads."""

    def fetching(self, files: int, size_bytes: int) -> None:
        """A fetch of so many files and bytes begins."""

    def received(self, file: str, size_bytes: int, done_bytes: int) -> None:
        """A file has so many bytes now; fewer than before if it began again."""

    def fetched(self) -> None:
        """Every file is fetched and verified."""

    def step(self, step: StartStep) -> None:
        """A step begins, or has ended."""


class Silent:
    """Progress that shows nothing."""

    def fetching(self, files: int, size_bytes: int) -> None:
        """Show nothing."""

    def received(self, file: str, size_bytes: int, done_bytes: int) -> None:
        """Show nothing."""

    def fetched(self) -> None:
        """Show nothing."""

    def step(self, step: StartStep) -> None:
        """Show nothing."""
