"""The ports of connectors, and what a store keeps and gives up when its view changes."""

from bus.connect.applied_view import (
    STAGING,
    AppliedView,
    Retraction,
    insist_on_view,
    is_behind,
    retraction,
)
from bus.connect.digests import bucket_of, digests_of
from bus.connect.fitting import UNFIT, insist_on_fit, why_unfit
from bus.connect.keeping import Keeper, LaneTurn, StoredLane
from bus.connect.kept import BusKept
from bus.connect.port import (
    EVERY,
    Capabilities,
    KeptByBus,
    LeftoverStaging,
    LockedTarget,
    Merged,
    Positions,
    Readable,
    Reshapes,
    Sink,
    Stages,
    Staging,
    Suppresses,
    Transactional,
)
from bus.connect.position import insist_on_position
from bus.connect.withheld import Withheld, comparable, compared

__all__ = [
    "EVERY",
    "STAGING",
    "UNFIT",
    "AppliedView",
    "BusKept",
    "Capabilities",
    "Keeper",
    "KeptByBus",
    "LaneTurn",
    "LeftoverStaging",
    "LockedTarget",
    "Merged",
    "Positions",
    "Readable",
    "Reshapes",
    "Retraction",
    "Sink",
    "Stages",
    "Staging",
    "StoredLane",
    "Suppresses",
    "Transactional",
    "Withheld",
    "bucket_of",
    "comparable",
    "compared",
    "digests_of",
    "insist_on_fit",
    "insist_on_position",
    "insist_on_view",
    "is_behind",
    "retraction",
    "why_unfit",
]
