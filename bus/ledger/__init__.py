"""The ledger (提供記録簿): the identity of every event, and every receipt, in PostgreSQL.

The bus feeds it as one more subscriber, through the PostgreSQL connector, into the schema
``ledger``. Here are the tables' types and indexes, the questions, and their answers.
"""

from bus.ledger.reach import Reach, ReachState, SystemReach
from bus.ledger.store import SCHEMA, TABLE_PREFIX, Ledger, prepare

__all__ = [
    "SCHEMA",
    "TABLE_PREFIX",
    "Ledger",
    "Reach",
    "ReachState",
    "SystemReach",
    "prepare",
]
