"""What the systems of one process have in common; each part is for whoever needs that part."""

from __future__ import annotations

from dataclasses import dataclass

from bus.broker import Broker
from bus.clock import Clock
from bus.control.editions import Editions
from bus.control.fence import Fence
from bus.control.operations import Operations
from bus.control.parked import ParkedIndex
from bus.control.receipts import Receipts
from bus.control.testimony import Testimony
from bus.control.views import Views
from bus.deliver.pulse import Pulse
from bus.deliver.state import Lanes
from bus.observe.metrics import Metrics
from bus.observe.tasks import Tasks
from bus.sealing import Proofs, Seals
from bus.settings import Settings


@dataclass(frozen=True, slots=True)
class Cluster:
    """The log."""

    broker: Broker
    id: str
    pulse: Pulse


@dataclass(frozen=True, slots=True)
class ControlStreams:
    """The bus's own streams, as this process knows and writes them."""

    parked: ParkedIndex
    operations: Operations
    editions: Editions
    views: Views
    receipts: Receipts
    testimony: Testimony


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens what is sealed, and what proves that the bus said something."""

    seals: Seals
    proofs: Proofs


@dataclass(frozen=True, slots=True)
class Runtime:
    """How the process runs."""

    clock: Clock
    settings: Settings
    metrics: Metrics
    tasks: Tasks


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """One of each per process, whatever number of systems it hosts."""

    cluster: Cluster
    control: ControlStreams
    fence: Fence
    keys: Keys
    lanes: Lanes
    runtime: Runtime
