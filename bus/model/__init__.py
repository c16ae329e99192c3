"""Values that cross seams. No I/O, nothing of Kafka, PostgreSQL or HTTP."""

from bus.model.change import Change, ChangeRecord, PartialDate, event_key
from bus.model.fault import Fault, Severity
from bus.model.operation import Operation, OperationState
from bus.model.receipt import ExceptionState, ParkedEvent, Receipt, multirange
from bus.model.stream import Item, Nature, SchemaVersion, Sensitivity, Stream
from bus.model.view import (
    Applied,
    Checkpoint,
    Keeping,
    Position,
    Suppression,
    View,
    ViewBatch,
    ViewColumn,
)

__all__ = [
    "Applied",
    "Change",
    "ChangeRecord",
    "Checkpoint",
    "ExceptionState",
    "Fault",
    "Item",
    "Keeping",
    "Nature",
    "Operation",
    "OperationState",
    "ParkedEvent",
    "PartialDate",
    "Position",
    "Receipt",
    "SchemaVersion",
    "Sensitivity",
    "Severity",
    "Stream",
    "Suppression",
    "View",
    "ViewBatch",
    "ViewColumn",
    "event_key",
    "multirange",
]
