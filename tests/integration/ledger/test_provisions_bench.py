"""The ledger that the bench makes is one that the questions can be asked of."""

from __future__ import annotations

import psycopg
import pytest

from bus.bench import provisions
from bus.catalog import load
from bus.ledger import Ledger
from bus.ledger.provision_queries import ProvisionQueries
from bus.ledger.subjects import persons_streams
from bus.operate.provisions import period
from tests.support.ledgers import MUNICIPALITY

pytestmark = pytest.mark.service


async def test_every_event_was_given_to_every_system_once(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers about all subjects add up to events times systems; so do those about all systems."""
    catalog = load()
    monkeypatch.setattr(provisions, "SUBJECTS", 40)
    await provisions.make(catalog, database, lambda _: None, 4_800)
    with psycopg.connect(database) as connection:
        events = connection.execute(
            "SELECT count(*) FROM ledger.event WHERE stream = ANY(%s)",
            ([*persons_streams(catalog.streams.values()).own],),
        ).fetchone()
        per_system = connection.execute("SELECT count(*) FROM ledger.event").fetchone()
    ledger = Ledger(database)
    asked = ProvisionQueries(ledger)
    where = persons_streams(catalog.streams.values())
    whole = period(None, None)

    found = 0
    for number in range(40):
        answer = await asked.of_subject(MUNICIPALITY, f"{number:015d}", where, whole)
        found += sum(p.stream in where.own for p in answer.provisions)
    by = [await asked.by_system(f"system_{n:02d}", whole) for n in range(1, 18)]
    await ledger.close()

    assert events is not None
    assert per_system is not None
    assert events[0] > 1_000
    assert found == events[0] * provisions.SYSTEMS
    assert {each.events for each in by} == {per_system[0]}
