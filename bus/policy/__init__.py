"""The rules: how subscriptions become views, and which rows, columns and masks a view has.

Pure functions over values and columns. What a system may see is decided here and nowhere else.
"""

from bus.policy.closure import Closure, Reason, Relation
from bus.policy.diff import Difference, diff
from bus.policy.effective import EffectiveSubscription, effective_subscription
from bus.policy.feed_policy import OWN_FEEDS, FeedPolicy, feed_policy
from bus.policy.grants import Grant, Subscription
from bus.policy.projection import Projected, project
from bus.policy.protection import Search
from bus.policy.subscriptions import (
    GrantRefusal,
    SubscriptionReport,
    check_subscriptions,
    load_subscriptions,
    read_files,
    read_subscription,
    read_subscriptions,
)
from bus.policy.views import LEDGER, columns_of, compile_view, last_day, ledger_view

__all__ = [
    "LEDGER",
    "OWN_FEEDS",
    "Closure",
    "Difference",
    "EffectiveSubscription",
    "FeedPolicy",
    "Grant",
    "GrantRefusal",
    "Projected",
    "Reason",
    "Relation",
    "Search",
    "Subscription",
    "SubscriptionReport",
    "check_subscriptions",
    "columns_of",
    "compile_view",
    "diff",
    "effective_subscription",
    "feed_policy",
    "last_day",
    "ledger_view",
    "load_subscriptions",
    "project",
    "read_files",
    "read_subscription",
    "read_subscriptions",
]
