"""A protection against whoever writes the person's address at the same moment, in PostgreSQL.

The store's part alone: the sinks of a system's lanes, each with a connection of its own, and the
sink of its protection lane. What the lanes do about it is in ``tests/integration/deliver``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from pydantic import SecretStr

from bus.conformance.sink_suite import (
    CITY,
    batch_of,
    fenced_view,
    known_to,
    opened,
    protection_of,
    vehicle,
    view_of,
)
from bus.connect import Sink
from bus.errors import ConfigurationError, FenceBehind
from bus.model import CoverageChange, History, Protected, Upserts
from connectors.postgres import finding, statements, suppression
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import SMALL_ROWS, PostgresOptions
from tests.integration.connectors.test_postgres_owners import is_slow
from tests.support.changes import MUNICIPALITY, living
from tests.support.lanes import Town
from tests.unit.control.test_fence import fence_of

pytestmark = pytest.mark.service

STREAMS = ("light_vehicle_tax.vehicle", "nonresident", "school_enrollment.enrollment")
SEEN = "SELECT count(*) FROM linkage.{} WHERE owner_id = 'a' AND kept_at_lot IS NOT NULL"


def sink_at(uri: str) -> PostgresSink:
    """A sink of its own, as another process has it."""
    return PostgresSink(PostgresOptions(uri=SecretStr(uri)))


def execute(uri: str, statement: str) -> None:
    """Do *statement* as the receiving system's own people."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(statement.encode())


def seen(uri: str) -> int:
    """Rows of the protected person, in all tables, that say a location."""
    with psycopg.connect(uri, autocommit=True) as connection:
        tables = [stream.replace(".", "_") for stream in STREAMS]
        counts = [connection.execute(SEEN.format(t).encode()).fetchone() for t in tables]
    return sum(count[0] for count in counts if count)


def address_of_a(stream: str, start: int, rows: int) -> Upserts:
    """A batch that has the address of *a*, masked when nobody was protected."""
    view = fenced_view(stream)
    people = [vehicle(f"{start}-{n}", owner_id="a") for n in range(rows)]
    return replace(batch_of(view, people, start=start), masked_under={})


async def race(uri: str, turn: int, dice: Random) -> None:
    """A protection of *a* and writers of *a*'s address at once; then none of it is there."""
    async with AsyncExitStack() as stack:
        sinks: list[tuple[str, Sink]] = []
        for stream in STREAMS:
            sink = sink_at(uri)
            await stack.enter_async_context(opened(sink, fenced_view(stream)))
            sinks.append((stream, sink))
        protection = sink_at(uri)
        await stack.enter_async_context(opened(protection, view_of("protection")))
        held = await protection.checkpoint(0)
        at = held.position.offset if held else 0

        async def write(stream: str, sink: Sink) -> None:
            start = 0
            while True:
                await asyncio.sleep(dice.random() / 200)
                rows = dice.choice([1, 1, 3, SMALL_ROWS + 1])
                try:
                    await sink.apply(address_of_a(stream, start, rows))
                except FenceBehind:
                    return
                start += rows

        async def protect() -> None:
            await asyncio.sleep(dice.random() / 50)
            await protection.apply(protection_of("a", start=at))
            assert seen(uri) == 0, f"turn {turn}: just after the start was applied"

        await asyncio.gather(protect(), *(write(*each) for each in sinks))
        assert seen(uri) == 0, f"turn {turn}"


@pytest.mark.slow
async def test_whatever_the_order_the_address_is_gone(database: str) -> None:
    """Writers of three tables, few rows and many, against the start: once that is applied, the
    address is in no table, and no batch that was masked before is taken any more."""
    for turn in range(60):
        await race(database, turn, Random(turn))
        execute(database, "DROP SCHEMA linkage CASCADE")


@contextmanager
def without(name: str, place: Any, value: Callable[..., Any]) -> Iterator[None]:
    """Inside, a mechanism is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, value)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("removed", ["the guard", "the removal"])
async def test_the_race_is_lost_without(database: str, removed: str) -> None:
    """Each mechanism taken away is noticed: the race above is no empty one."""

    def nothing(*_: object) -> None:
        return

    def guard(_names: object, cluster: str, masked_under: str) -> str:
        return f"SELECT 1 WHERE {cluster}::text IS NOT NULL OR {masked_under}::text IS NULL"

    mechanisms: dict[str, tuple[str, Any, Callable[..., Any]]] = {
        "the guard": ("_guard", statements, guard),
        "the removal": ("_suppress", suppression, nothing),
    }

    async def races() -> None:
        for turn in range(20):
            async with asyncio.timeout(5):
                await race(database, turn, Random(turn))
            execute(database, "DROP SCHEMA linkage CASCADE")

    with without(*mechanisms[removed]), pytest.raises((AssertionError, TimeoutError)):
        await races()


SLOW = """
CREATE FUNCTION linkage.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF new.name = 'slow' THEN PERFORM pg_sleep(0.7); END IF; RETURN new; END $$;
CREATE TRIGGER slow BEFORE INSERT ON linkage.nonresident
  FOR EACH ROW EXECUTE FUNCTION linkage.slow()"""


@pytest.mark.parametrize("rows", [1, SMALL_ROWS + 1])
async def test_a_start_takes_what_was_written_while_it_waited(database: str, rows: int) -> None:
    """The writer came first and is slow: the protection behind it sees its rows."""
    view = fenced_view("nonresident")
    async with opened(sink_at(database), view) as writer:
        execute(database, SLOW)
        people = [vehicle(f"{n}", owner_id="a", name="slow" if not n else "") for n in range(rows)]
        writing = asyncio.ensure_future(writer.apply(batch_of(view, people)))
        await is_slow(database)
        async with opened(sink_at(database), view_of("protection")) as protection:
            await protection.apply(protection_of("a"))
        await writing

    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT count(*), count(kept_at_lot), bool_and(protected) FROM linkage.nonresident"
        ).fetchone()
    assert found == (rows, 0, True)


@pytest.mark.parametrize("rows", [1, SMALL_ROWS + 1])
async def test_a_writer_that_waited_for_a_start_is_refused(database: str, rows: int) -> None:
    """The protection came first and is slow: the writer behind it sees how far it has come."""
    view = fenced_view("nonresident")
    people = [vehicle(f"{n}", owner_id="a") for n in range(rows)]
    async with (
        opened(sink_at(database), view) as writer,
        opened(sink_at(database), view_of("protection")) as protection,
    ):
        execute(database, SLOW.replace("nonresident", "protection"))
        start = protection_of("a")
        brought = start.brought_by
        assert isinstance(brought, Upserts)
        slow = brought.records.set_column(
            brought.records.schema.get_field_index("name"), "name", pa.array(["slow"])
        )
        start = replace(start, brought_by=replace(brought, records=slow))
        protecting = asyncio.ensure_future(protection.apply(start))
        await is_slow(database)
        with pytest.raises(FenceBehind):
            await writer.apply(replace(batch_of(view, people), masked_under={}))
        await protecting


async def test_a_table_that_does_not_let_go_stops_the_protection_lane(database: str) -> None:
    """A table of the system's own that insists on an address is a person's work."""
    view = fenced_view("nonresident")
    async with opened(sink_at(database), view) as writer:
        await writer.apply(batch_of(view, [vehicle("1", owner_id="a")]))
    execute(database, "ALTER TABLE linkage.nonresident ALTER kept_at_lot SET NOT NULL")
    async with opened(sink_at(database), view_of("protection")) as protection:
        with pytest.raises(ConfigurationError) as refused:
            await protection.apply(protection_of("a"))
        assert await protection.checkpoint(0) is None

    assert refused.value.where["column"] == "kept_at_lot"


async def test_a_table_that_is_gone_is_passed_over(database: str) -> None:
    """What was noted of a table that the system has dropped holds up no protection."""
    views = [fenced_view(stream) for stream in STREAMS[:2]]
    for view in views:
        async with opened(sink_at(database), view) as writer:
            await writer.apply(batch_of(view, [vehicle("1", owner_id="a")]))
    execute(database, "DROP TABLE linkage.light_vehicle_tax_vehicle")
    execute(database, "ALTER TABLE linkage.nonresident DROP household_number")
    async with opened(sink_at(database), view_of("protection")) as protection:
        await protection.apply(protection_of("a"))

    assert _rows(database, "SELECT protected, kept_at_lot FROM linkage.nonresident") == [
        (True, None)
    ]


async def test_protections_of_another_cluster_are_of_no_account(database: str) -> None:
    """A log that was replaced, with all positions deleted, counts from its own beginning."""
    view = fenced_view("nonresident")
    async with opened(sink_at(database), view_of("protection")) as protection:
        await protection.apply(protection_of("a", start=0))
    execute(database, "DELETE FROM linkage.renkei_position")
    row = [vehicle("1", owner_id="b")]
    async with opened(sink_at(database), view) as writer:
        another = batch_of(view, row, cluster_id="another")
        await writer.apply(replace(another, masked_under={}))
    async with opened(sink_at(database), view_of("protection")) as protection:
        start = protection_of("b", as_of=known_to(1, 3))
        end = replace(start.end, cluster_id="another", offset=1, partition=3)
        step = replace(start.step, end=end, partition=3)
        rows = replace(start.brought_by, step=step)
        await protection.apply(replace(start, brought_by=rows))

    assert _rows(database, "SELECT cluster_id, reached FROM linkage.renkei_fence") == [
        ("another", known_to(1, 3))
    ]


@pytest.mark.parametrize("rows", [1, 200])
async def test_what_an_older_release_wrote_down_holds(database: str, rows: int) -> None:
    """It knew of partitions of the protection stream alone: before and after it is carried over."""
    view, people = fenced_view("nonresident"), [vehicle(f"{n}") for n in range(rows)]
    async with opened(sink_at(database), view_of("protection")) as protection:
        await protection.apply(protection_of("a", as_of=known_to(4)))
        async with opened(sink_at(database), view) as writer:
            execute(database, 'UPDATE linkage.renkei_fence SET reached = \'{"0": 7, "2": 1}\'')
            batch = batch_of(view, people)
            with pytest.raises(FenceBehind):
                await writer.apply(replace(batch, masked_under=known_to(7)))
            with pytest.raises(FenceBehind):
                await protection.apply(protection_of("b", start=1, as_of=known_to(7)))
            both = known_to(7) | known_to(1, 2)
            await writer.apply(replace(batch, masked_under=both))

    mixed = '{"0": 7, "protection/0": 9, "2": 1, "household/1": 3}'
    execute(database, f"UPDATE linkage.renkei_fence SET reached = '{mixed}'")
    async with opened(sink_at(database), view) as writer:
        reached = (await writer.to_restore()).reached
    assert reached == known_to(9) | known_to(1, 2) | {"household/1": 3}


def said_of(*covers: tuple[int, str], known: int, released: int = 0) -> Protected:
    """Whom the fence covers: each with the offset at which partition 0 says so."""
    keys = [(offset, frozenset([f"{CITY}/{one}"])) for offset, one in covers]
    changes = tuple(
        CoverageChange(known_to(offset + 1), whom, frozenset()) for offset, whom in keys
    )
    history = History({}, changes, known_to(released))
    everybody = frozenset().union(*(whom for _, whom in keys))
    return Protected(everybody, as_of=known_to(known), history=history)


def shown_again(uri: str) -> None:
    """As if nobody had ever been taken out."""
    execute(uri, "UPDATE linkage.nonresident SET protected = false, kept_at_lot = 'x'")


async def told(uri: str, start: int, protected: Protected) -> list[str]:
    """Apply a protection in a process of its own; whose rows are emptied then."""
    async with opened(sink_at(uri), view_of("protection")) as sink:
        await sink.apply(replace(protection_of(start=start), protected=protected))
    rows = _rows(uri, "SELECT owner_id FROM linkage.nonresident WHERE kept_at_lot IS NULL")
    return sorted(owner for (owner,) in rows)


async def test_a_table_is_told_what_is_new(database: str) -> None:
    """Also by another process: whoever the table was told of is not looked for again. One of which
    that is not known, because it had rows before it was noted, is looked through."""
    view = fenced_view("nonresident")
    async with opened(sink_at(database), view) as writer:
        await writer.apply(batch_of(view, [vehicle(f"{one}", owner_id=one) for one in "abc"]))

    assert await told(database, 0, said_of((0, "a"), known=1)) == ["a"]
    shown_again(database)
    assert await told(database, 1, said_of((0, "a"), (1, "b"), known=2)) == ["b"]
    shown_again(database)
    execute(database, "DELETE FROM linkage.renkei_withheld")
    async with opened(sink_at(database), view):
        pass
    everybody = said_of((0, "a"), (1, "b"), (2, "c"), known=3)
    assert await told(database, 2, everybody) == ["a", "b", "c"]
    shown_again(database)
    execute(database, "UPDATE linkage.renkei_fence SET cluster_id = 'another'")
    assert await told(database, 3, everybody) == ["a", "b", "c"]


async def test_after_a_restart_a_table_is_told_nothing_that_it_knows(database: str) -> None:
    """A process that has just begun remembers nothing, but knows by the seal that the same were
    covered when it began, on grounds that the table was told of: whoever came since is looked for,
    and everybody if others were, or on other grounds."""
    view = fenced_view("nonresident")
    async with opened(sink_at(database), view) as writer:
        await writer.apply(batch_of(view, [vehicle(f"{one}", owner_id=one) for one in "abc"]))
    before = replace(said_of((0, "a"), known=1), seal="of a")
    assert await told(database, 0, before) == ["a"]
    shown_again(database)

    def begun(history: History, *persons: str, known: int, seal: str) -> Protected:
        everybody = frozenset(f"{CITY}/{one}" for one in persons)
        return Protected(everybody, as_of=known_to(known), history=history, seal=seal)

    same = History(known_to(5), (), known_to(5), seal="of a", rests_on=known_to(1))
    assert await told(database, 1, begun(same, "a", known=5, seal="of a")) == []
    change = CoverageChange(known_to(6), frozenset([f"{CITY}/b"]), frozenset())
    later = replace(same, changes=(change,))
    assert await told(database, 2, begun(later, "a", "b", known=6, seal="of a, b")) == ["b"]
    shown_again(database)
    async with opened(sink_at(database), fenced_view("school_enrollment.enrollment")):
        other = _rows(database, "SELECT DISTINCT told ->> 'seal' FROM linkage.renkei_withheld")
        assert other == [("of a, b",)]  # an empty table knows what the store knows
    others = History(known_to(9), (), known_to(9), seal="of a, c")
    changed = begun(others, "a", "c", known=9, seal="of a, c")
    assert await told(database, 3, changed) == ["a", "c"]
    shown_again(database)
    anew = History(known_to(12), (), known_to(12), seal="of a, c", rests_on=known_to(10))
    assert await told(database, 4, begun(anew, "a", "c", known=12, seal="of a, c")) == ["a", "c"]


async def test_two_processes_tell_a_store_what_each_read_in_its_own_order(database: str) -> None:
    """One knows *two* covered all the time, first by a household, then by name; the other had read
    that she has left before she was named, and her row was shown. It is hidden again."""
    one, two, home = (f"00000000000010{number}" for number in range(3))
    town, view = Town(), fenced_view("nonresident")
    await town.build()

    fence, other = fence_of(town), fence_of(town)
    async with AsyncExitStack() as stack:
        for each in (fence, other):
            await each.start()
            stack.push_async_callback(each.close)
        async with opened(sink_at(database), view) as writer:
            row = vehicle("1", owner_id=two, municipality_code=MUNICIPALITY)
            await writer.apply(batch_of(view, [row]))
        await town.publish("protection", one, 1)
        await town.publish("household", home, 1, **living(one, two))
        assert await told(database, 0, await fence.all_by_now()) == [two]
        await town.publish("household", home, 2, **living(one))
        assert await told(database, 1, await other.all_by_now()) == [two]
        shown_again(database)  # as it is restored
        await town.publish("protection", one, 2, shared_with=[two])
        assert await told(database, 2, await fence.all_by_now()) == [two]


async def test_an_end_is_looked_for_where_there_was_one(database: str) -> None:
    """Rows that are flagged and covered by nobody are written down once something was released
    since the table was told."""
    view = fenced_view("nonresident")
    async with opened(sink_at(database), view) as writer:
        await writer.apply(batch_of(view, [vehicle("1", owner_id="a", protected=True)]))
        await told(database, 0, said_of((0, "b"), known=1))
        assert (await writer.to_restore()).rows == {}
        await told(database, 1, said_of((0, "b"), known=2, released=2))
        assert (await writer.to_restore()).rows == {f"{CITY}/1": 1}


INDEXES = """
SELECT indexdef FROM pg_indexes WHERE schemaname = 'linkage' AND tablename LIKE 'nonresident{}'
"""
FOUND_BY = (
    "(municipality_code, subject_id) WHERE protected",
    "(municipality_code, owner_id)",
    "(municipality_code, household_number)",
    "(municipality_code) WHERE (cardinality(co_owners_id) > 0)",
    "(municipality_code) WHERE ((ltrim(household_number, '0123456789'::text) <> ''::text)"
    " OR (length(household_number) > 15)"
    " OR ((ltrim(owner_id, '0123456789'::text) <> ''::text) OR (length(owner_id) > 15)))",
)


def indexes(uri: str, beside: str = "") -> list[str]:
    """What a table is found by, beside its key."""
    found = [one.partition(" btree ")[2] for (one,) in _rows(uri, INDEXES.format(beside))]
    return sorted(set(found) - {"(municipality_code, subject_id)"})


async def test_what_is_searched_has_an_index(database: str) -> None:
    """In a table of the bus's own: when it is made, when it was there before, and beside it."""
    view = fenced_view("nonresident")
    async with opened(sink_at(database), view):
        assert indexes(database) == sorted(FOUND_BY)
    execute(
        database,
        "DO $$ DECLARE one text; BEGIN FOR one IN SELECT indexname FROM pg_indexes"
        " WHERE indexname LIKE 'renkei%' AND tablename = 'nonresident'"
        " LOOP EXECUTE 'DROP INDEX linkage.' || one; END LOOP; END $$",
    )
    assert indexes(database) == []
    async with opened(sink_at(database), view) as sink:
        assert indexes(database) == sorted(FOUND_BY)
        async with opened(sink.staging(), view):
            assert indexes(database, r"\_\_fresh") == sorted(FOUND_BY)


async def test_what_is_oddly_spelled_is_found_by_its_index(database: str) -> None:
    """Also in a table of an earlier release, which gets it when it is opened."""
    view, number = fenced_view("nonresident"), "000000012345674"
    async with opened(sink_at(database), view) as writer:
        rows = [vehicle("1", owner_id=" 12345674"), vehicle("2", owner_id="000000012345675")]
        await writer.apply(batch_of(view, rows))
    (odd,) = _rows(
        database,
        "SELECT indexrelid::regclass::text, pg_get_expr(indpred, indrelid) FROM pg_index"
        " WHERE pg_get_expr(indpred, indrelid) LIKE '%ltrim%'",
    )
    execute(database, f"DROP INDEX {odd[0]}")
    async with opened(sink_at(database), view):
        pass
    with psycopg.connect(database) as connection:
        connection.execute(f"SELECT {finding.BY_INDEX}")
        plan = connection.execute(
            f"EXPLAIN SELECT subject_id FROM linkage.nonresident WHERE {odd[1]}".encode()
        ).fetchall()
    assert odd[0].partition(".")[2] in str(plan)
    assert await told(database, 0, said_of((0, number), known=1)) == [" 12345674"]


async def test_what_a_protection_needs_is_made_before_one_comes(database: str) -> None:
    """The first one need not wait for it."""
    made = "SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r' ORDER BY 1"
    async with opened(sink_at(database), view_of("protection")):
        assert _rows(database, made) == [("renkei_found",), ("renkei_said",)]
    async with opened(sink_at(database), fenced_view()):
        assert _rows(database, made) == []


async def test_a_table_of_the_vendor_gets_no_index(database: str) -> None:
    """It is searched as it is."""
    view = fenced_view("nonresident")
    async with opened(sink_at(database), view):
        pass
    execute(
        database,
        "CREATE TABLE linkage.own (LIKE linkage.nonresident);"
        "DROP TABLE linkage.nonresident; ALTER TABLE linkage.own RENAME TO nonresident;"
        "ALTER TABLE linkage.nonresident ADD UNIQUE (municipality_code, subject_id)",
    )
    async with opened(sink_at(database), view) as writer:
        await writer.apply(batch_of(view, [vehicle("1", owner_id="a")]))
        assert indexes(database) == []
    assert await told(database, 0, said_of((0, "a"), known=1)) == ["a"]


async def test_a_store_of_an_earlier_release_is_completed(database: str) -> None:
    """What its tables were told is not known: the next protection looks through all of them."""
    view = fenced_view("nonresident")
    async with opened(sink_at(database), view) as writer:
        await writer.apply(batch_of(view, [vehicle("1", owner_id="a")]))
    assert await told(database, 0, said_of((0, "a"), known=1)) == ["a"]
    shown_again(database)
    execute(database, "ALTER TABLE linkage.renkei_withheld DROP told")
    async with opened(sink_at(database), view):
        assert await told(database, 1, said_of((0, "a"), known=2)) == ["a"]


def _rows(uri: str, question: str) -> Sequence[tuple[Any, ...]]:
    with psycopg.connect(uri) as connection:
        return connection.execute(question.encode()).fetchall()
