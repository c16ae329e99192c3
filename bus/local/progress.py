"""What the stack tells whoever watches: bytes as they arrive, steps as they begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to an engine; ``seconds`` is absent while it is under way."""

    name: str
    seconds: float | None = None


class Progress(Protocol):
    """Watches a fetch and a start. Calls may come from several threads."""

    def fetching(self, files: int, size_bytes: int) -> None:
        """So much is missing and will be fetched."""

    def received(self, file: str, size_bytes: int, done_bytes: int) -> None:
        """So much of a file is here now; less than before when it had to begin again."""

    def fetched(self) -> None:
        """Every file is here and is the one that was pinned."""

    def step(self, step: Step) -> None:
        """A step has begun, or has ended."""


class Silent:
    """Watches nothing."""

    def fetching(self, files: int, size_bytes: int) -> None:
        """Say nothing."""

    def received(self, file: str, size_bytes: int, done_bytes: int) -> None:
        """Say nothing."""

    def fetched(self) -> None:
        """Say nothing."""

    def step(self, step: Step) -> None:
        """Say nothing."""
