"""What a connector's author supplies."""

from __future__ import annotations

import contextlib
from typing import Protocol

from bus.conformance.sink_suite.deliveries import Row
from bus.connect import Reshapes, Sink, Stages, Suppresses, Transactional
from bus.failpoints import Point
from bus.model import View


class Killed(BaseException):
    """Stands for SIGKILL inside a test: nothing in the product catches it to carry on."""


class SinkRig(Protocol):
    """What a connector's author supplies. All sinks of one rig work on the same, empty store."""

    def sink(self) -> Sink:
        """A new sink over the rig's store, as after a restart of the process."""

    async def stored(self, view: View) -> list[Row]:
        """What the store holds of *view*: its columns only, ordered by the view's key."""

    def cut(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Inside, the store is out of reach and open connections are broken."""

    async def drop_connections(self) -> None:
        """Break every open connection once; new ones are possible at once."""

    def killing(self, point: Point) -> contextlib.AbstractContextManager[None]:
        """Inside, passing *point* raises :class:`Killed`."""


class TransactionalSink(Sink, Transactional, Protocol):
    """A sink that keeps positions."""


class TransactionalRig(SinkRig, Protocol):
    """Of a connector that declares *transactional*."""

    def sink(self) -> TransactionalSink:
        """As :meth:`SinkRig.sink`."""


class ReshapingSink(TransactionalSink, Reshapes, Protocol):
    """A sink that gives up what a view loses, positions among it."""


class ReshapingRig(SinkRig, Protocol):
    """Of a connector that declares *reshapes*."""

    def sink(self) -> ReshapingSink:
        """As :meth:`SinkRig.sink`."""


class SuppressingSink(TransactionalSink, Suppresses, Protocol):
    """A sink that takes locations out of what it holds."""


class SuppressingRig(SinkRig, Protocol):
    """Of a connector that declares *suppresses*."""

    def sink(self) -> SuppressingSink:
        """As :meth:`SinkRig.sink`."""


class StagingSink(TransactionalSink, Stages, Protocol):
    """A sink that is filled anew beside itself."""


class StagingRig(SinkRig, Protocol):
    """Of a connector that declares *stages*."""

    def sink(self) -> StagingSink:
        """As :meth:`SinkRig.sink`."""


class Store(SuppressingSink, StagingSink, Protocol):
    """A sink that does both."""


class StoreRig(SinkRig, Protocol):
    """Of a connector that declares *stages* and *suppresses*."""

    def sink(self) -> Store:
        """As :meth:`SinkRig.sink`."""
