"""What PostgreSQL says is told by one table, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from bus.connect.sqlstates import TABLE, Row, translated
from bus.errors import BusError, ConfigurationError, Reaction, Unavailable
from bus.ledger.keeper import KEPT
from bus.ledger.store import LEDGER
from bus.publish.terms import TERMS
from connectors.outbox.database import OUTBOX
from connectors.postgres.faults import STORE

DATABASES = {"store": STORE, "outbox": OUTBOX, "terms": TERMS, "ledger": LEDGER, "kept": KEPT}
VALUE = "丸の内一丁目"


def rows() -> Iterator[tuple[str, Row]]:
    for name, database in DATABASES.items():
        for row in (*database.rows, *TABLE):
            yield name, row


def raised(state: str) -> psycopg.Error:
    """What the driver raises for a state, or one of a class."""
    state = state if len(state) == 5 else f"{state or 'ZZ'}9Z9"
    return type("Raised", (psycopg.DatabaseError,), {"sqlstate": state})(f"({VALUE})")


@pytest.mark.parametrize(("name", "row"), [*rows()], ids=lambda each: getattr(each, "state", each))
def test_every_row_is_told_in_words(name: str, row: Row) -> None:
    """With the state beside them to search for, and never the state alone; no value of a row."""
    database = DATABASES[name]
    found = database.row(row.state if len(row.state) == 5 else f"{row.state or 'ZZ'}9Z9")
    assert found is not None
    meaning = database.meaning(found.means)
    if meaning is None:
        return  # a defect, as the test below has it

    with pytest.raises(BusError) as told, translated(database, system="s"):
        raise raised(row.state)

    assert type(told.value) is meaning
    assert re.fullmatch(r"[a-z][^{}]{14,}", told.value.message)
    assert str(told.value.where["sqlstate"]) not in told.value.message
    assert VALUE not in f"{told.value!r} {told.value} {told.value.__cause__}"


@pytest.mark.parametrize("kind", [psycopg.Error, psycopg.OperationalError, psycopg.InternalError])
@pytest.mark.parametrize("state", ["ZZ9Z9", "P0001", "25999"])
@pytest.mark.parametrize("name", DATABASES)
def test_what_nobody_foresaw_stops(name: str, state: str, kind: type[psycopg.Error]) -> None:
    """Whatever class the driver has for it: it is told with its state, and not tried in silence."""
    with pytest.raises(ConfigurationError) as told, translated(DATABASES[name], system="s"):
        raise type("Raised", (kind,), {"sqlstate": state})(f"({VALUE})")

    assert told.value.reaction is Reaction.STOP
    assert told.value.where["sqlstate"] == state
    assert VALUE not in f"{told.value!r} {told.value} {told.value.__cause__}"


@pytest.mark.parametrize("state", ["25P03", "25P04", "40001", "57P01"])
@pytest.mark.parametrize("name", DATABASES)
def test_what_passes_by_itself_is_tried_again(name: str, state: str) -> None:
    """A session or a transaction that the server ended."""
    with pytest.raises(Unavailable), translated(DATABASES[name]):
        raise raised(state)


@pytest.mark.parametrize("name", DATABASES)
def test_a_row_says_once_what_a_state_means(name: str) -> None:
    """And a database's own row says something else than the table."""
    own = [row.state for row in DATABASES[name].rows]

    assert len(own) == len(set(own))
    assert len({row.state for row in TABLE}) == len(TABLE)
    assert [row for row in DATABASES[name].rows if row in TABLE] == []


@pytest.mark.parametrize("name", sorted(DATABASES.keys() - {"store"}))
def test_a_value_at_fault_is_a_defect_where_nobody_handed_one_in(name: str) -> None:
    """It stays what the driver raised."""
    with pytest.raises(psycopg.errors.UniqueViolation), translated(DATABASES[name]):
        raise psycopg.errors.UniqueViolation
    with pytest.raises(psycopg.errors.ProgramLimitExceeded), translated(DATABASES[name]):
        raise psycopg.errors.ProgramLimitExceeded
