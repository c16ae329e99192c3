"""Records of what operators did and whom they looked up, as the stream *deed* keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Act(StrEnum):
    """The acts of operators that are recorded."""

    PARKED_ADD = "parked-add"  # set an event aside
    PARKED_SKIP = "parked-skip"  # had every system pass one
    PARKED_RETRY = "parked-retry"
    PARKED_DISMISS = "parked-dismiss"
    REFUSED_RETRY = "refused-retry"  # put refused changes back into an outbox
    REFUSED_DROP = "refused-drop"
    LANES_PAUSE = "lanes-pause"
    LANES_RESUME = "lanes-resume"
    REBUILD = "rebuild"  # begun, from so many events
    REBUILT = "rebuilt"
    REBUILD_CUT_OFF = "rebuild-cut-off"
    REBUILD_DISCARD = "rebuild-discard"
    PRUNE = "prune"  # begun: how many there are is known at the end
    PRUNED = "pruned"
    PRUNE_CUT_OFF = "prune-cut-off"  # ended before its end
    PUBLISH = "publish"  # begun
    PUBLISHED = "published"
    PUBLISH_CUT_OFF = "publish-cut-off"  # so many at least
    ERASE = "erase"
    APPLY = "subscriptions-apply"
    PROTECTIONS_END = "protections-end"
    PROTECTIONS_END_CUT_OFF = "protections-end-cut-off"
    ANCHOR = "anchor"
    OWED_SETTLE = "owed-settle"  # said that something was taken out of a store by hand
    PARKED_LIST = "parked-list"  # from here on: looked persons up
    REFUSED_LIST = "refused-list"
    PROTECTIONS_LIST = "protections-list"
    PROTECTION_OF = "protection-of"
    PROVISIONS_OF = "provisions-of"
    PROVISIONS_BY = "provisions-by"
    ERASURE_OF = "erasure-of"  # looked what erasing a person would do


LOOK_UPS = frozenset(
    {
        Act.PARKED_LIST,
        Act.REFUSED_LIST,
        Act.PROTECTIONS_LIST,
        Act.PROTECTION_OF,
        Act.PROVISIONS_OF,
        Act.PROVISIONS_BY,
        Act.ERASURE_OF,
    }
)
"""Acts that change nothing, and show who somebody is or what was given of them."""


ENDS = {Act.PRUNE: Act.PRUNED, Act.PUBLISH: Act.PUBLISHED, Act.REBUILD: Act.REBUILT}
"""Acts that are recorded twice: before, when nobody knows of how many it will be, or whether it
comes to an end; and with that at the end."""
CUT_OFF = {
    Act.PRUNE: Act.PRUNE_CUT_OFF,
    Act.PUBLISH: Act.PUBLISH_CUT_OFF,
    Act.REBUILD: Act.REBUILD_CUT_OFF,
    Act.PROTECTIONS_END: Act.PROTECTIONS_END_CUT_OFF,
}
"""What the end of an act that takes a while is where it fails, or somebody stops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One deed, or one look-up of persons (操作記録), proved by the bus's key.

    ``actor`` is who is said to want it, ``account`` whose account of the machine gave the command.
    ``subject_digest`` says of whom, to whoever has the number and the key of erasures
    (:func:`bus.model.subject.subject_digest`), and gives no number away.
    """

    act: str
    at: datetime
    actor: str
    account: str
    system: str | None = None
    stream: str | None = None
    subject_digest: str | None = None
    count: int  # of what was done, or of the persons or events shown
    reason: str | None = None  # a ticket's number, never personal data
    proof: str | None = None  # None: by a process without the keys that prove

    @property
    def is_begun(self) -> bool:
        """Whether another says of how many it was, once all is done."""
        return self.act in ENDS

    @property
    def proved(self) -> tuple[str | int | None, ...]:
        """The text that its proof is made of: all fields."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        who = (self.actor, self.account)
        about = (self.system, self.stream, self.subject_digest, self.count)
        return self.act, at, *who, *about, self.reason
