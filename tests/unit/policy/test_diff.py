"""What changes between two policies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from bus.catalog import Catalog, load
from bus.model import MaskKind, Sensitivity
from bus.policy import Difference, Subscription, diff
from bus.policy.diff import AccessChange

GRANT: dict[str, Any] = {
    "event_types": ["resident.moved_in", "resident.died"],
    "fields": ["name.full", "birth_date", "sex", "protected"],
    "legal_basis": [{"law": "何法", "article": "第1条"}],
    "purpose": "何のため",
    "approver": "総務部長",
    "approved_on": date(2026, 4, 1),
    "expires_on": date(2029, 3, 31),
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


def policy(**grants: Mapping[str, Any] | None) -> dict[str, Subscription]:
    """One system with these streams; what is given replaces what is usual."""
    streams = {name: {**GRANT, **grant} for name, grant in grants.items() if grant is not None}
    one = {
        "system": "some_system", "ja": "何か", "business_id": None, "ministry": "総務省",
        "separate_organ": None, "zone": "individual_number", "streams": streams,
    }  # fmt: skip
    return {"some_system": Subscription.model_validate(one)}


def only(catalog: Catalog, **changed: Any) -> Difference:
    """The one difference that changing a grant so makes."""
    (found,) = diff(policy(resident={}), policy(resident=changed), catalog)
    return found


def test_the_same_policy_differs_in_nothing(catalog: Catalog) -> None:
    """Nor does one that is written in another order."""
    turned = {key: GRANT[key][::-1] for key in ("event_types", "fields")}

    assert diff(policy(resident={}), policy(resident={}), catalog) == ()
    assert diff(policy(resident={}), policy(resident=turned), catalog) == ()


def test_a_new_system_gains_everything(catalog: Catalog) -> None:
    """With its ground and the Japanese names, as an approver reads them."""
    (found,) = diff({}, policy(resident={}), catalog)

    assert (found.system, found.system_ja, found.stream, found.stream_ja) == (
        "some_system", "何か", "resident", "住民",
    )  # fmt: skip
    assert found.kind is AccessChange.GAINED
    assert found.ground == "何法第1条"
    assert "性別" in {column.ja for column in found.gained}
    assert found.event_types_gained == ("resident.moved_in", "resident.died")
    assert not found.needs_rebuild  # it is filled from the start


def test_a_system_that_goes_loses_everything(catalog: Catalog) -> None:
    """Every column is named, so that each can be taken out of what it holds."""
    (found,) = diff(policy(resident={}), {}, catalog)

    assert found.kind is AccessChange.LOST
    assert {"name_full", "subject_id"} <= set(found.removes)
    assert not found.needs_rebuild


def test_a_column_gained_is_filled_and_one_lost_is_removed(catalog: Catalog) -> None:
    """Each with its sensitivity."""
    found = only(catalog, fields=["name.full", "birth_date", "relationship", "protected"])

    assert [(c.name, c.sensitivity) for c in found.gained] == [
        ("relationship", Sensitivity.PERSONAL)
    ]
    assert [c.name for c in found.lost] == ["sex"]
    assert found.removes == ("sex",)
    assert found.needs_rebuild


def test_a_loss_alone_needs_no_rebuild(catalog: Catalog) -> None:
    """What is left is as it was."""
    found = only(catalog, fields=["name.full", "birth_date", "protected"])

    assert found.removes == ("sex",)
    assert not found.needs_rebuild


def test_what_is_held_unmasked_goes(catalog: Catalog) -> None:
    """A mask on a column that a system holds: the column is emptied and filled anew."""
    found = only(catalog, masks={"birth_date": "birth_year"})

    assert [(m.name, m.before, m.after) for m in found.masks] == [
        ("birth_date", None, MaskKind.BIRTH_YEAR),
        ("birth_date_text", None, MaskKind.WITHHOLD),
    ]
    assert found.removes == ("birth_date", "birth_date_text")
    assert found.needs_rebuild


@pytest.mark.parametrize(
    ("changed", "rebuild"),
    [
        ({"event_types": ["resident.moved_in", "resident.died", "resident.born"]}, True),
        ({"event_types": ["resident.moved_in"]}, False),
        ({"where": [{"field": "sex", "equals": "1"}]}, True),
        ({"suppression": "capable", "suppression_reason": "何故"}, True),
        ({"mode": "work_list"}, False),
    ],
    ids=["rows gained", "rows lost", "a condition", "suppression", "mode"],
)
def test_what_is_filled_anew(catalog: Catalog, changed: dict[str, Any], rebuild: bool) -> None:
    """Whenever what a system should hold is not what it holds; a lost event type takes nothing."""
    found = only(catalog, **changed)

    assert found.changes_view
    assert found.needs_rebuild is rebuild
    assert found.removes == ()


def test_words_change_no_view(catalog: Catalog) -> None:
    """Another purpose or day is told, and touches no store."""
    found = only(catalog, purpose="別のため", expires_on=date(2030, 3, 31))

    assert [(t.name, t.before, t.after) for t in found.terms] == [
        ("purpose", "何のため", "別のため"),
        ("expires_on", "2029-03-31", "2030-03-31"),
    ]
    assert not found.changes_view
    assert not found.needs_rebuild
