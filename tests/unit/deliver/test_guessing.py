"""What somebody learns of a person who has the ledger and nothing else: nothing."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Any

from tests.support.lanes import Town, hosted

SUBJECT = "000000000000001"
BORN = date(1984, 5, 17)


async def test_a_value_is_not_found_by_guessing(town: Town, sinks) -> None:
    """Whoever knows all of a record but a date tries every date against the receipt's digest.

    Everything else of the event is known to them: its ids and times are in the ledger, the rest of
    it they have from a letter.
    """

    def birth(day: date) -> dict[str, Any]:
        return {"birth_date": {"date": day, "unknown": False, "text": None}}

    async with hosted(town, sinks) as bus:
        await bus.at(await town.publish("resident", SUBJECT, 1, **birth(BORN)) + 1)
    (receipt,) = town.read_all("receipt")

    found = [
        day
        for day in (date(1984, 1, 1) + timedelta(days=n) for n in range(366))
        if hashlib.sha256(town.value("resident", SUBJECT, 1, **birth(day))).hexdigest()
        in receipt["digest"]
    ]

    assert receipt["digest"]
    assert found == []
