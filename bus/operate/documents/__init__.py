"""One document for each value that is shown (:mod:`bus.operate.documents.shape`)."""

from bus.operate.documents import ledger, parked, provisions
from bus.operate.documents.lanes import lanes, status
from bus.operate.documents.persons import ended, erasure
from bus.operate.documents.policy import applied
from bus.operate.documents.shape import SHAPES, Document, Shape, of

__all__ = [
    "SHAPES",
    "Document",
    "Shape",
    "applied",
    "ended",
    "erasure",
    "lanes",
    "ledger",
    "of",
    "parked",
    "provisions",
    "status",
]
