"""An anchor (錨): the end of every chain of receipts, as a text to be kept elsewhere.

Whoever can write to the ledger and to the log could make both say something else from some day on.
An anchor of that day, kept where they cannot write, shows it. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bus.errors import ConfigurationError

_TITLE = "renkei ledger anchor 1"


@dataclass(frozen=True, slots=True, order=True)
class ChainEnd:
    """The last receipt of a chain."""

    system: str
    stream: str
    partition: int
    end: int
    chain: str
    log_partition: int
    log_offset: int

    def __str__(self) -> str:
        place = f"{self.log_partition}/{self.log_offset}"
        return f"{self.system}\n {self.stream} {self.partition} {self.end} {place}\n {self.chain}"


@dataclass(frozen=True, slots=True)
class Anchor:
    """All heads at one time."""

    at: datetime
    heads: Sequence[ChainEnd]  # in order

    @classmethod
    def of(cls, heads: Iterable[ChainEnd], at: datetime) -> Anchor:
        """The anchor of these heads."""
        return cls(at, sorted(heads))

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the heads' lines; it stays the same while nothing is delivered."""
        return hashlib.sha256("".join(f"{head}\n" for head in self.heads).encode()).hexdigest()

    def __str__(self) -> str:
        at = self.at.astimezone(UTC).isoformat(timespec="seconds")
        lines = [_TITLE, f"at {at}", *map(str, self.heads), f"sha256 {self.digest}"]
        return "\n".join(lines) + "\n"


def read(text: str) -> Anchor:
    """The anchor in *text*.

    Raises:
        ConfigurationError: It is none, or was changed since it was written.
    """
    lines = text.splitlines()
    try:
        title, at, *heads, last = lines
        if title != _TITLE or not at.startswith("at ") or not last.startswith("sha256 "):
            raise ValueError
        three = [heads[first : first + 3] for first in range(0, len(heads), 3)]
        anchor = Anchor(datetime.fromisoformat(at[3:]), [_head(*lines) for lines in three])
    except ValueError:
        raise ConfigurationError("this is no anchor of a ledger") from None
    if last != f"sha256 {anchor.digest}":
        raise ConfigurationError("the anchor's digest is not that of its lines: it was changed")
    return anchor


def _head(system: str, where: str = "", chain: str = "") -> ChainEnd:
    nothing, stream, partition, end, place = where.split(" ")
    log_partition, log_offset = place.split("/")
    if nothing or chain[:1] != " ":
        raise ValueError("not indented")
    return ChainEnd(
        system, stream, int(partition), int(end), chain[1:], int(log_partition), int(log_offset)
    )
