"""What the systems of one process share, in parts that are handed on separately."""

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
    """The broker, its pulse, and the id of its cluster."""

    broker: Broker
    id: str
    pulse: Pulse


@dataclass(frozen=True, slots=True)
class ControlStreams:
    """The indexes and writers of the bus's own streams."""

    parked: ParkedIndex
    operations: Operations
    editions: Editions
    views: Views
    receipts: Receipts
    testimony: Testimony


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that open sealed items, and those that prove receipts."""

    seals: Seals
    proofs: Proofs


@dataclass(frozen=True, slots=True)
class Runtime:
    """The clock, settings, metrics and long-lived tasks of the process."""

    clock: Clock
    settings: Settings
    metrics: Metrics
    tasks: Tasks


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """Everything that the systems of a process share; one per process."""

    cluster: Cluster
    control: ControlStreams
    fence: Fence
    keys: Keys
    lanes: Lanes
    runtime: Runtime
