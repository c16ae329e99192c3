"""The rigs that a connector's author writes."""

from __future__ import annotations

import contextlib
from typing import Protocol

from bus.conformance.sink_suite.deliveries import Row
from bus.connect import Readable, Reshapes, Sink, Stages, Suppresses, Transactional
from bus.failpoints import Point
from bus.model import View


class Killed(BaseException):
    """Stands for SIGKILL inside a test: nothing in the product catches it."""


class SinkRig(Protocol):
    """What a connector's author supplies. All sinks of one rig work on the same, empty store."""

    def sink(self) -> Sink:
        """A new sink over the rig's store, as after a restart of the process."""

    async def stored(self, view: View) -> list[Row]:
        """What the store holds of *view*: its columns only, ordered by the view's key."""

    def cut(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Have the store out of reach inside the block, and open connections broken."""

    async def drop_connections(self) -> None:
        """Break every open connection once; new ones work at once."""

    def killing(self, point: Point) -> contextlib.AbstractContextManager[None]:
        """Inside the block, passing *point* raises :class:`Killed`."""


class TransactionalSink(Sink, Transactional, Protocol):
    """A sink that keeps positions."""


class TransactionalRig(SinkRig, Protocol):
    """The rig of a connector that declares *transactional*."""

    def sink(self) -> TransactionalSink:
        """As :meth:`SinkRig.sink`."""


class ReshapingSink(TransactionalSink, Reshapes, Protocol):
    """A sink that removes what a view loses, and keeps positions."""


class ReshapingRig(SinkRig, Protocol):
    """The rig of a connector that declares *reshapes*."""

    def sink(self) -> ReshapingSink:
        """As :meth:`SinkRig.sink`."""


class SuppressingSink(TransactionalSink, Suppresses, Protocol):
    """A sink that takes locations out of its rows."""


class SuppressingRig(SinkRig, Protocol):
    """The rig of a connector that declares *suppresses*."""

    def sink(self) -> SuppressingSink:
        """As :meth:`SinkRig.sink`."""


class StagingSink(TransactionalSink, Stages, Protocol):
    """A sink with a staging table."""


class StagingRig(SinkRig, Protocol):
    """The rig of a connector that declares *stages*."""

    def sink(self) -> StagingSink:
        """As :meth:`SinkRig.sink`."""


class ReadableSink(Sink, Readable, Protocol):
    """A sink that says what it holds."""


class ReadableRig(SinkRig, Protocol):
    """Of a connector that declares *readable*."""

    def sink(self) -> ReadableSink:
        """As :meth:`SinkRig.sink`."""


class Store(SuppressingSink, StagingSink, Protocol):
    """A sink that stages and suppresses."""


class StoreRig(SinkRig, Protocol):
    """The rig of a connector that declares *stages* and *suppresses*."""

    def sink(self) -> Store:
        """As :meth:`SinkRig.sink`."""
