"""Documents: one shape for each value that is shown, with a name and a version of its keys."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bus.operate.documents import SHAPES, Shape, of

FOLDER = Path(__file__).parents[3] / "bus" / "operate" / "documents"

KEYS = {
    ("anchor", 1): "at digest heads",
    ("deed", 1): "account act actor at count place proved reason stream subject_digest system",
    ("difference", 1): (
        "changes_view conditions_gone conditions_new event_types_gained event_types_lost gained"
        " ground kind lost masks mode needs_rebuild purpose removes stream stream_ja suppression"
        " system system_ja terms"
    ),
    ("provision", 1): (
        "change_id event_id event_type given_at offset partition processed_at receipt replay"
        " stream subject_id system version view"
    ),
    ("provisions-by", 1): "days events system views",
    ("provisions-of", 1): (
        "erasure may_be_named_in municipality_code notes protection_recorded provisions subject_id"
        " views"
    ),
    ("provisions-page", 1): "after provisions",
    ("half-filled", 1): "is_dry",
    ("operation", 1): "at code offset operator partition reason state stream system",
    ("parked-event", 1): (
        "at attempts code event_id offset operator partition reason since state stream subject"
        " system"
    ),
    ("parked-event-listed", 1): "overdue",
    ("protection", 1): "cases open subject",
    ("protection-case", 1): "ends_on kind shared_with started_on status suppresses",
    ("protection-shown", 1): "covers same_address_not_covered",
    ("pruning", 1): "before events exceptions operations receipts",
    ("reach", 1): "applied change_id complete events expected size systems",
    ("rebuilt", 1): "added changed events kept removed",
    ("recorded-view", 1): (
        "approved_on approver conditions event_types expires_on items legal_basis mode number_use"
        " purpose schema_version stream stream_ja suppression system system_ja"
    ),
    ("sealed", 1): "is_current is_there may_be_retired",
    ("simulated", 1): "columns rows rows_gained rows_lost touched unreadable",
    ("skipping", 1): "subject systems",
    ("to-rebuild", 1): "events",
    ("topic", 1): "drift events partitions topic",
    ("unhosted", 1): "reason state system",
    ("verdict", 1): (
        "ahead anchor chains compacted deeds deeds_proved digests events events_compacted"
        " false_views findings forks good in_log lanes no_longer_in_log proved pruned_before"
        " receipts repeats unproved unreadable_in_log unrecorded_views views wrong_marks"
    ),
}
"""What is written out in each shape, without what another shape is put into it. A key that is added
is added here; one that goes, or means something else, is the next version."""


def written() -> dict[tuple[str, int], str]:
    """The keys that each shape's function writes at its top, by name and version."""
    found = {}
    for file in sorted(FOLDER.glob("*.py")):
        for function in ast.parse(file.read_text(encoding="utf-8")).body:
            for call in getattr(function, "decorator_list", []):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "shaped":
                    name, *more = (ast.literal_eval(each) for each in call.args[1:])
                    found[name, *(more or [1])] = " ".join(sorted(_keys(function)))
    return found


def _keys(function: ast.AST) -> set[str]:
    """Of its outermost dictionaries."""
    found: set[str] = set()
    inner: set[ast.AST] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Dict) and node not in inner:
            found |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
            inner |= {each for value in node.values for each in ast.walk(value)}
        if isinstance(node, ast.DictComp):
            inner |= set(ast.walk(node))
    return found


def test_the_keys_of_each_version_are_these() -> None:
    """Scripts and pages rest on them."""
    assert written() == KEYS


def test_every_shape_has_a_name_of_its_own() -> None:
    """And is among those above."""
    names = [(shape.name, shape.version) for shape in SHAPES.values()]

    assert len(set(names)) == len(names)
    assert set(names) == set(KEYS)
    assert Shape("operation") == Shape("operation", 1)


def test_what_has_no_document_is_said() -> None:
    """It is a defect of whoever shows it."""
    with pytest.raises(TypeError, match="no document of a int"):
        of(3)
