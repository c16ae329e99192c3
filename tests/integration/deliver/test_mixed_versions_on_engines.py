"""A mixture of versions in a real log reaches real stores of systems that read either."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support import lanes, mixed
from tests.support.lanes import Town, hosted

pytestmark = pytest.mark.service
SOON = 30.0


async def test_every_system_gets_what_its_view_has_of_either_version(
    town: Town, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One table per system, in schemas of one database."""
    monkeypatch.setattr(lanes, "SUBSCRIPTIONS", mixed.narrowed())
    sinks: dict[str, Any] = {
        system: lambda _view, system=system: PostgresSink(
            PostgresOptions(uri=SecretStr(database), schema_name=system)
        )
        for system in mixed.GRANTED
    }
    end = await mixed.publish_mixed(town)

    async with hosted(town, sinks) as bus:
        await mixed.all_at(bus, end, SOON)

    with psycopg.connect(database) as connection:
        for system in mixed.GRANTED:
            names = sql.SQL(", ").join(map(sql.Identifier, mixed.columns(system)))
            rows = connection.execute(
                sql.SQL("SELECT subject_id, {} FROM {}.resident").format(
                    names, sql.Identifier(system)
                )
            ).fetchall()
            assert {subject: tuple(rest) for subject, *rest in rows} == mixed.expected(system)
