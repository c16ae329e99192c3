"""The demo's own look into the systems' databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import psycopg
import pytest

from bus.conformance.sink_suite import view_of
from bus.demo.stores import Store, opened
from bus.errors import EngineError
from bus.model import Change, ChangeRecord, Comparison, Condition


async def test_a_server_that_ends_is_told_in_a_sentence() -> None:
    """A full disk ends PostgreSQL: no traceback, and nothing of the driver's words."""
    with pytest.raises(EngineError, match="does not answer") as told:
        async with opened({}, {}, {}):
            raise psycopg.OperationalError("server closed the connection: PLANTED")

    assert "PLANTED" not in str(told.value)
    assert told.value.__cause__ is None


@pytest.mark.parametrize(
    ("condition", "is_expected"),
    [
        (Condition("milestone", Comparison.IN, ("AGE_65", "AGE_75")), True),
        (Condition("milestone", Comparison.EQUALS, ("AGE_18",)), False),
        (Condition("reached_on", Comparison.AT_LEAST, (date(2026, 4, 1),)), True),
        (Condition("reached_on", Comparison.AT_LEAST, (date(2027, 4, 1),)), False),
        (Condition("reached_on", Comparison.IS_NULL, (True,)), False),
        (Condition("person.number", Comparison.IS_NULL, (True,)), True),
        (Condition("person.number", Comparison.EQUALS, ("1",)), False),
    ],
)
def test_who_is_to_have_a_change_hangs_on_the_conditions_too(
    condition: Condition, is_expected: bool
) -> None:
    """By what the record says, as JSON; what is not known fits no condition but its absence."""
    record = ChangeRecord.model_validate(
        {
            "stream": "calendar.milestone",
            "event_type": "calendar.milestone.reached",
            "subject_id": "000000010000017-AGE_65",
            "version": 1,
            "body": {"milestone": "AGE_65", "reached_on": "2026-11-20", "person": None},
        }
    )
    change = Change.model_validate(
        {
            "municipality_code": "131041",
            "source": "calendar",
            "processed_at": "2026-11-24T10:00:00+09:00",
            "records": [record],
        }
    )
    view = replace(
        view_of(),
        stream="calendar.milestone",
        event_types=frozenset({"calendar.milestone.reached"}),
        conditions=(condition,),
    )
    nowhere: Any = None
    store = Store("late_elderly_medical", "後期高齢者医療", {view.stream: view}, nowhere)

    assert bool(store.expects(change)) == is_expected
