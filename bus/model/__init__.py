"""Values that cross seams. No I/O, nothing of Kafka, PostgreSQL or HTTP."""

from bus.model.change import Change, ChangeRecord, PartialDate, event_key
from bus.model.edition import OF_THE_FILES, Edition, digest_of
from bus.model.fault import Fault, Severity
from bus.model.mask import Comparable, Comparison, Condition, Mask, MaskKey, MaskKind, Mode
from bus.model.number import NumberForm, bare, spellings
from bus.model.operation import Operation, OperationState
from bus.model.protection import (
    FLAG,
    HOUSEHOLD,
    PROTECTION,
    History,
    Protected,
    Reached,
    ToRestore,
    Turn,
    knows,
)
from bus.model.receipt import ExceptionState, ParkedEvent, Receipt, multirange
from bus.model.stream import (
    HEADER,
    Item,
    Nature,
    SchemaVersion,
    Sensitivity,
    Stream,
    in_header,
)
from bus.model.system import System, SystemKind
from bus.model.view import (
    Applied,
    Checkpoint,
    Ground,
    Keeping,
    Position,
    Suppression,
    View,
    ViewBatch,
    ViewColumn,
)

__all__ = [
    "FLAG",
    "HEADER",
    "HOUSEHOLD",
    "OF_THE_FILES",
    "PROTECTION",
    "Applied",
    "Change",
    "ChangeRecord",
    "Checkpoint",
    "Comparable",
    "Comparison",
    "Condition",
    "Edition",
    "ExceptionState",
    "Fault",
    "Ground",
    "History",
    "Item",
    "Keeping",
    "Mask",
    "MaskKey",
    "MaskKind",
    "Mode",
    "Nature",
    "NumberForm",
    "Operation",
    "OperationState",
    "ParkedEvent",
    "PartialDate",
    "Position",
    "Protected",
    "Reached",
    "Receipt",
    "SchemaVersion",
    "Sensitivity",
    "Severity",
    "Stream",
    "Suppression",
    "System",
    "SystemKind",
    "ToRestore",
    "Turn",
    "View",
    "ViewBatch",
    "ViewColumn",
    "bare",
    "digest_of",
    "event_key",
    "in_header",
    "knows",
    "multirange",
    "spellings",
]
