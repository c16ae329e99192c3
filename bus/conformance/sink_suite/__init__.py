"""The contract of ``bus.connect.port`` as tests, a part for each capability.

Give a test class a fixture ``rig`` that yields a :class:`SinkRig`: how to make sinks over one
store, how to read back what the store holds, how to cut the line, and how to let a crash happen at
each step. Have it inherit what :func:`parts_of` names for what the connector declares: a capability
that is declared and not kept fails, and nothing is asked of one that is not. Values come back as
they were put in: Python values of the view's Arrow types.
"""

from collections.abc import Callable, Mapping

from bus.conformance.sink_suite.deliveries import (
    CITY,
    NOON,
    TEXTS,
    Row,
    assert_no_value,
    batch_of,
    erasure_of,
    fenced_view,
    known_to,
    opened,
    person,
    protection_of,
    rewrites_of,
    rows_of,
    vehicle,
    view_of,
)
from bus.conformance.sink_suite.every import SinkSuite
from bus.conformance.sink_suite.readable import ReadableSuite
from bus.conformance.sink_suite.reshapes import ReshapesSuite
from bus.conformance.sink_suite.rewrites import RewritesSuite
from bus.conformance.sink_suite.rig import Killed, SinkRig
from bus.conformance.sink_suite.stages import StagesSuite, SuppressedStagesSuite
from bus.conformance.sink_suite.suppresses import SuppressesSuite
from bus.conformance.sink_suite.transactional import TransactionalSuite
from bus.connect import Capabilities
from bus.model import Rewrites

__all__ = [
    "CITY",
    "NOON",
    "PARTS",
    "TEXTS",
    "Killed",
    "ReadableSuite",
    "ReshapesSuite",
    "RewritesSuite",
    "Row",
    "SinkRig",
    "SinkSuite",
    "StagesSuite",
    "SuppressedStagesSuite",
    "SuppressesSuite",
    "TransactionalSuite",
    "assert_no_value",
    "batch_of",
    "erasure_of",
    "fenced_view",
    "known_to",
    "opened",
    "parts_of",
    "person",
    "protection_of",
    "rewrites_of",
    "rows_of",
    "vehicle",
    "view_of",
]

PARTS: Mapping[type, Callable[[Capabilities], bool]] = {
    SinkSuite: lambda _: True,
    RewritesSuite: lambda declared: Rewrites in declared.accepts,
    TransactionalSuite: lambda declared: declared.transactional is not None,
    ReshapesSuite: lambda declared: declared.reshapes is not None,
    SuppressesSuite: lambda declared: declared.suppresses is not None,
    StagesSuite: lambda declared: declared.stages is not None,
    SuppressedStagesSuite: lambda declared: (
        declared.stages is not None and declared.suppresses is not None
    ),
    ReadableSuite: lambda declared: declared.readable is not None,
}
"""The parts of the suite, and who has to pass each."""


def parts_of(declared: Capabilities) -> frozenset[type]:
    """The parts of the suite that a connector has to pass."""
    return frozenset(part for part, is_asked in PARTS.items() if is_asked(declared))
