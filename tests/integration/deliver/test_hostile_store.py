"""A vendor that owns its database tries to have the bus say what is not so, or to learn more."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from bus.testing.lanes import Town, hosted
from connectors.postgres.sink import PostgresOptions, PostgresSink

pytestmark = pytest.mark.service

SYSTEM = "child_allowance"
SUBJECTS = [f"{number:015d}" for number in range(1, 5)]
SOON = 30.0


def execute(database: str, statement: str, about: Any = None) -> list[dict[str, Any]]:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:
        done = connection.execute(statement, about)
        return done.fetchall() if done.description else []


async def test_a_receipt_of_another_system_is_not_published(town: Town, database: str) -> None:
    """Written into one's own table of positions, it was sent as the bus's own."""
    sinks = {SYSTEM: lambda _: PostgresSink(PostgresOptions(uri=SecretStr(database)))}
    async with hosted(town, sinks) as bus:
        for subject in SUBJECTS:
            end = await town.publish("resident", subject, 1) + 1
        await bus.at(end, seconds=SOON)
    forged = {"system": "individual_resident_tax", "rows": 999}
    execute(
        database,
        "UPDATE linkage.renkei_position SET receipt = receipt || %s::jsonb WHERE partition = 0",
        (json.dumps(forged),),
    )

    async with hosted(town, sinks) as bus:
        await bus.until(lambda: bus.shared.lanes.stopped() or bus.lanes_of("resident"), SOON)
        await bus.until(
            lambda: bus.shared.lanes.stopped() or bus.lanes[0].status == "running", SOON
        )

    said = await town.said("receipt")
    assert {row["system"] for row in said} == {SYSTEM}
    assert all(row["rows"] <= len(SUBJECTS) for row in said)
