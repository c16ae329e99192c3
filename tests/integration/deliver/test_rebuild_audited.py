"""Rebuilds of a real table, with a trigger on it that writes down each row that goes down."""

from __future__ import annotations

import asyncio
from random import Random

import psycopg
import pytest
from pydantic import SecretStr

from bus import failpoints
from bus.failpoints import Point
from bus.model import View
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.lanes import Town
from tests.unit.rebuild.rebuild_orders import VIEW, Cut, Order

pytestmark = pytest.mark.service

AUDIT = """\
CREATE SCHEMA audit;
CREATE TABLE audit.newest (subject_id text PRIMARY KEY, version integer NOT NULL);
CREATE TABLE audit.fault (subject_id text, version integer, newest integer);
CREATE FUNCTION audit.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.version < OLD.version THEN
    INSERT INTO audit.fault VALUES (NEW.subject_id, NEW.version, OLD.version);
  END IF;
  INSERT INTO audit.fault SELECT subject_id, NEW.version, version FROM audit.newest
    WHERE subject_id = NEW.subject_id AND version > NEW.version;
  INSERT INTO audit.newest AS n VALUES (NEW.subject_id, NEW.version)
    ON CONFLICT (subject_id) DO UPDATE SET version = greatest(n.version, excluded.version);
  RETURN NULL;
END $$;
CREATE TRIGGER look AFTER INSERT OR UPDATE ON linkage.resident
  FOR EACH ROW EXECUTE FUNCTION audit.look()"""
"""A row that is gone and comes back lower counts too."""


@pytest.mark.parametrize("seed", range(3))
async def test_no_row_goes_down(database: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while it is filled beside the lanes, nor when it takes their table's place."""
    town = Town()
    await town.build()

    def sink(_view: View) -> PostgresSink:
        return PostgresSink(PostgresOptions(uri=SecretStr(database)))

    made = sink(VIEW)
    await made.open(VIEW)
    await made.close()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(AUDIT)

        def read() -> dict[str, int]:
            return dict(
                connection.execute("SELECT subject_id, version FROM linkage.resident").fetchall()
            )

        def cut(is_cut: bool) -> None:
            def die(point: Point) -> None:
                if point is Point.SINK_MERGED:
                    raise Cut

            monkeypatch.setattr(failpoints, "_kill", die if is_cut else None)

        async def held() -> dict[str, int]:
            return await asyncio.to_thread(read)

        order = Order(town, sink, held, Random(seed), cut)
        await order.run(50)

        assert order.rebuilds
        assert connection.execute("SELECT * FROM audit.fault").fetchall() == []
        seen = connection.execute("SELECT count(*) FROM audit.newest").fetchone()
        assert seen is not None
        assert seen[0] > 0
