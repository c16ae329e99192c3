"""What publishing says of a change."""

from __future__ import annotations

from dataclasses import dataclass

from bus.model import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one change: published, unless one of its faults is an error."""

    change_id: str | None
    event_ids: tuple[str, ...] = ()  # of all its events, once they are in the log
    resent: int = 0  # how many of them were there already
    faults: tuple[Fault, ...] = ()  # warnings included

    @property
    def is_published(self) -> bool:
        """Whether all events of the change are in the log."""
        return not any(fault.is_error for fault in self.faults)
