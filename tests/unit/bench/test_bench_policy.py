"""The bench of policy measures what it says: a mask on every item, and each kind of mask."""

from __future__ import annotations

from bus.bench import policy
from bus.catalog import load
from bus.model import FLAG, HOUSEHOLD, MaskKind
from bus.policy import load_subscriptions
from bus.policy.leaves import covers


def test_every_item_of_the_grant_has_a_mask() -> None:
    """But flag and household, by which rows are withheld; and no mask is left out."""
    catalog = load()
    grant = load_subscriptions(catalog)[policy.SYSTEM].streams["resident"]

    bare = [
        field
        for field in grant.fields
        if field not in (FLAG, HOUSEHOLD) and not any(covers(mask, field) for mask in policy.MASKS)
    ]
    assert bare == []
    assert set(policy.MASKS.values()) == set(MaskKind)
    assert policy._view(catalog, catalog.stream("resident"), policy.MASKS).columns
