"""Documents of changes of policy, and how many subjects each would touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bus.operate.applying import ApplyPlan, SystemPlan, begins_anew, consequences, to_rebuild
from bus.operate.documents.shape import Document, named, of, shaped
from bus.operate.simulating import Simulated
from bus.policy.diff import ColumnShown, Difference


@shaped(Difference, "difference")
def plain(difference: Difference) -> Document:
    """A difference as plain values."""
    return {
        "system": difference.system,
        "system_ja": difference.system_ja,
        "stream": difference.stream,
        "stream_ja": difference.stream_ja,
        "kind": difference.kind.value,
        "ground": difference.ground,
        "purpose": difference.purpose,
        "gained": [_plain(column) for column in difference.gained],
        "lost": [_plain(column) for column in difference.lost],
        "masks": [
            {
                "field": change.path,
                "column": change.name,
                "ja": change.ja,
                "sensitivity": change.sensitivity.value,
                "before": change.before,
                "after": change.after,
            }
            for change in difference.masks
        ],
        "event_types_gained": list(difference.event_types_gained),
        "event_types_lost": list(difference.event_types_lost),
        "conditions_gone": [str(condition) for condition in difference.conditions_gone],
        "conditions_new": [str(condition) for condition in difference.conditions_new],
        "suppression": _before_after(difference.suppression),
        "mode": _before_after(difference.mode),
        "terms": [
            {"term": term.name, "before": term.before, "after": term.after}
            for term in difference.terms
        ],
        "changes_view": difference.changes_view,
        "needs_rebuild": difference.needs_rebuild,
        "removes": list(difference.removes),
    }


def _plain(column: ColumnShown) -> Document:
    return {
        "field": column.path,
        "column": column.name,
        "ja": column.ja,
        "sensitivity": column.sensitivity.value,
        "mask": column.mask,
    }


def _before_after(pair: tuple[Any, Any] | None) -> Document | None:
    return None if pair is None else {"before": pair[0].value, "after": pair[1].value}


@shaped(Simulated, "simulated")
def simulated(value: Simulated) -> Document:
    """A difference, and how many subjects it would touch."""
    touched = value.touched
    return {
        **of(value.difference),
        "rows": touched.rows,
        "rows_gained": touched.rows_gained,
        "rows_lost": touched.rows_lost,
        "columns": {
            name: {"gained": items.gained, "lost": items.lost}
            for name, items in touched.columns.items()
        },
        "touched": touched.subjects,
        "unreadable": value.unreadable,
    }


@named("subscriptions-applied")
def applied(found: ApplyPlan, done: Sequence[SystemPlan], *, is_dry: bool) -> Document:
    """What some files would change, and the editions that were put in force."""
    return {
        "is_dry": is_dry,
        "changes": [
            {**of(each), "begins_anew": begins_anew(each), "notes": list(consequences(each))}
            for each in found.differences
        ],
        "applied": [{"system": each.system, "edition": each.sequence} for each in done],
        "unchanged": list(found.unchanged),
        "rebuild": [{"system": system, "stream": stream} for system, stream in to_rebuild(found)],
        "warnings": [str(fault) for fault in found.warnings],
    }
