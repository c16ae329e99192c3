"""The rules: subscriptions to views, and which rows, columns and masks a view is.

Pure functions over values and columns. What a system may see is decided here and nowhere else.
"""

from bus.policy.projection import Projected, project, protected_from
from bus.policy.subscriptions import (
    Grant,
    Subscription,
    check_subscriptions,
    load_subscriptions,
)
from bus.policy.views import LEDGER, compile_view, ledger_view

__all__ = [
    "LEDGER",
    "Grant",
    "Projected",
    "Subscription",
    "check_subscriptions",
    "compile_view",
    "ledger_view",
    "load_subscriptions",
    "project",
    "protected_from",
]
