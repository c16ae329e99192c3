"""Find a table's rows of some persons without naming a person to the server.

What a statement carries may be in the server's log, and a list of protected persons says where
to look for them, also of those whom this system has never heard of. So the server is asked for
all that it holds in the neighbourhood of a number, and which of that is meant is settled here. Only
municipalities that the table has are asked for. What is then done is done by the keys of rows that
the table holds; they go by COPY, whose data no log has.

A neighbourhood is ten thousand numbers, of which a thousand can be real: one has a check digit. It
is a range of the order that keys have anyway, so that it costs no index of its own. Where there are
many to be found, or where a number is none, the table is read whole.

Ranges find a number with any zeros in front. What is written otherwise, with signs between or other
digits, is old and rare: the server is asked for all of it (:func:`is_odd`), by an index that has
nothing else, and it is compared here as everywhere (:func:`bus.model.number.comparable`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import psycopg

from bus.connect import Withheld, comparable, compared
from bus.model import Protected
from bus.model.number import LONGEST
from connectors.postgres.statements import (
    FOUND,
    MAKE_FOUND,
    TableColumn,
    TableShape,
    identifier,
)

Connection = psycopg.Connection[Any]
Key = tuple[str, str]
"""Municipality and subject of a row."""

HIDDEN = 4  # places at the end of a number that the server is not told
MOST_RANGES = 500  # above, a table is read whole

_CODES = """\
SELECT code FROM (
  WITH RECURSIVE held (code) AS (
    (SELECT min(municipality_code) FROM {0})
    UNION ALL
    SELECT (SELECT min(municipality_code) FROM {0} WHERE municipality_code > held.code)
    FROM held WHERE held.code IS NOT NULL)
  SELECT code::text FROM held WHERE code IS NOT NULL) AS held"""
BY_INDEX = ", ".join(
    f"set_config('enable_{way}', 'off', true)" for way in ("seqscan", "hashjoin", "mergejoin")
)
"""To be selected: for the rest of the transaction a few rows are looked for by indexes, whatever
the statistics say."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as it is, and which columns of it are withheld."""

    relation: str
    withheld: Withheld
    shape: TableShape

    @property
    def flag(self) -> str:
        """The flag's column, quoted."""
        return identifier(self.withheld.flag)

    @property
    def locations(self) -> list[str]:
        """The columns that are emptied, quoted."""
        return [identifier(n) for n in sorted(self.withheld.locations) if n in self.shape]

    @property
    def is_unfinished(self) -> str:
        """An SQL condition: a row of somebody covered still has to be changed."""
        tests = [f"{self.flag} IS NOT TRUE", *(f"{name} IS NOT NULL" for name in self.locations)]
        return f"({' OR '.join(tests)})"

    @property
    def is_odd(self) -> str:
        """An SQL condition: a row has a number that ranges do not find; empty if none can."""
        return is_odd({*self.located, *self.households}, self.shape)

    @property
    def located(self) -> list[str]:
        """The columns with ids of persons."""
        return sorted(name for name in self.withheld.located if name in self.shape)

    @property
    def households(self) -> list[str]:
        """The columns with numbers of households."""
        return sorted(name for name in self.withheld.households if name in self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """Persons or households to look for, as comparable keys, and the columns they may be in."""

    columns: Sequence[tuple[Table, str]]
    keys: Set[str]
    ranges: Sequence[tuple[str, str, str]]


def rows_of(
    connection: Connection, tables: Sequence[Table], protected: Protected
) -> dict[Table, set[Key]]:
    """Keys of the rows that may say where somebody in *protected* is.

    Rows that are as they should be already may be among them.
    """
    found: dict[Table, set[Key]] = {table: set() for table in tables}
    asked = " UNION ".join(_CODES.format(table.relation) for table in tables)
    codes = {code for (code,) in connection.execute(asked).fetchall()}
    persons = [(table, name) for table in tables for name in table.located]
    households = [(table, name) for table in tables for name in table.households]
    protected = comparable(protected)
    nearby: list[_Kind] = []
    for columns, keys in ((persons, protected.persons), (households, protected.households)):
        wanted = {key for key in keys if key.partition("/")[0] in codes}
        ranges = _ranges(wanted)
        if ranges is None:
            for table, name in columns:
                found[table] |= _among_all(connection, table, name, wanted)
        elif ranges and columns:
            nearby.append(_Kind(columns, wanted, ranges))
    if nearby:
        for table, key in _nearby(connection, nearby):
            found[table].add(key)
        for table, key in _oddly(connection, nearby):
            found[table].add(key)
    return found


def let_go(connection: Connection, table: Table, protected: Protected) -> set[Key]:
    """Keys of the rows that are flagged though *protected* does not cover them."""
    names = [*table.located, *table.households]
    protected = comparable(protected)
    listed = "".join(f", {_as_text(name, table.shape[name])}" for name in names)
    rows = connection.execute(
        f"SELECT municipality_code::text, subject_id::text{listed} FROM {table.relation}"
        f" WHERE {table.flag}"
    ).fetchall()
    return {
        (code, subject)
        for code, subject, *ids in rows
        if not table.withheld.covers(
            dict(zip(names, ids, strict=True)) | {"municipality_code": code}, protected
        )
    }


def note(connection: Connection, found: Mapping[str, Iterable[Key]]) -> None:
    """Fill :data:`FOUND` with exactly these rows' keys, by relation, until the transaction ends."""
    connection.execute(f"{MAKE_FOUND}; DELETE FROM {FOUND}")
    with connection.cursor().copy(f"COPY {FOUND} FROM STDIN") as copy:
        for relation, keys in found.items():
            for key in keys:
                copy.write_row((relation, *key))


def _ranges(keys: Iterable[str]) -> list[tuple[str, str, str]] | None:
    """Ranges of texts in which the comparable *keys* lie in any collation: municipality, from, to.

    Numbers may be written in any width. None if the whole table has to be read.
    """
    ranges = set()
    for key in keys:
        code, _, number = key.partition("/")
        digits = number.lstrip("0")
        if len(digits) <= HIDDEN or not (number.isascii() and number.isdecimal()):
            return None
        for width in range(len(digits), len(number) + 1):
            stem = digits.zfill(width)[:-HIDDEN]
            ranges.add((code, stem, stem + "9" * (HIDDEN + 1)))
        if len(ranges) > MOST_RANGES:
            return None
    return sorted(ranges)


def _nearby(connection: Connection, kinds: Sequence[_Kind]) -> Iterator[tuple[Table, Key]]:
    """The rows with one of the keys in one of the columns, found by one question."""
    columns = [(*column, kind) for kind in kinds for column in kind.columns]
    question = " UNION ALL ".join(
        _near(index, table.relation, name, table.shape[name], kinds.index(kind) * 3)
        for index, (table, name, kind) in enumerate(columns)
    )
    parameters = [list(part) for kind in kinds for part in zip(*kind.ranges, strict=True)]
    ends = {key[-HIDDEN:] for kind in kinds for key in kind.keys}
    for index, code, subject, number in connection.execute(question, parameters).fetchall():
        if number[-HIDDEN:] not in ends and number.isascii() and number.isdecimal():
            continue  # nearly all of them, and a third of what comparing costs
        table, _, kind = columns[index]
        if compared(code, number) in kind.keys:
            yield table, (code, subject)


def _near(index: int, relation: str, name: str, column: TableColumn, given: int) -> str:
    """The SQL that finds a column's rows in ranges, whose parameters come after so many *given*.

    A list column is searched once, for oddly written numbers as well.
    """
    row = f"SELECT {index}, stored.municipality_code::text, stored.subject_id::text"
    codes, low, high = (f"${given + n}::text[]" for n in (1, 2, 3))
    near = f"unnest({codes}, {low}, {high}) AS near (code, low, high)"
    if _is_list(column):
        return (
            f"{row}, listed.id FROM {relation} AS stored"
            f" CROSS JOIN LATERAL unnest(stored.{_as_text(name, column)}) AS listed (id)"
            f" WHERE stored.municipality_code = ANY({codes}) AND {listed_anybody(name)}"
            f" AND ({_is_odd('listed.id')} OR EXISTS (SELECT FROM {near}"
            " WHERE near.code = stored.municipality_code"
            " AND listed.id BETWEEN near.low AND near.high))"
        )
    id_ = f"stored.{_as_text(name, column)}"
    return (
        f"{row}, {id_} FROM {near} CROSS JOIN {relation} AS stored"
        f" WHERE stored.municipality_code = near.code AND {id_} BETWEEN near.low AND near.high"
    )


def _oddly(connection: Connection, kinds: Sequence[_Kind]) -> Iterator[tuple[Table, Key]]:
    """The rows with one of the keys in a spelling that no range finds; one question for all."""
    by_table: dict[Table, list[tuple[str, Set[str]]]] = {}
    for kind in kinds:
        for table, name in kind.columns:
            if not _is_list(table.shape[name]):
                asked = _as_text(name, table.shape[name]), kind.keys
                by_table.setdefault(table, []).append(asked)
    if not by_table:
        return
    tables = list(by_table.items())
    question = " UNION ALL ".join(
        f"SELECT {index}, municipality_code::text, subject_id::text,"
        f" ARRAY[{', '.join(name for name, _ in columns)}] FROM {table.relation}"
        f" WHERE {table.is_odd}"
        for index, (table, columns) in enumerate(tables)
    )
    for index, code, subject, numbers in connection.execute(question).fetchall():
        table, columns = tables[index]
        if any(
            compared(code, number) in keys
            for number, (_, keys) in zip(numbers, columns, strict=True)
        ):
            yield table, (code, subject)


def _among_all(connection: Connection, table: Table, name: str, keys: Set[str]) -> set[Key]:
    column, found = table.shape[name], set[Key]()
    id_ = _as_text(name, column)
    id_ = f"unnest({id_})" if _is_list(column) else id_
    question = (
        f"COPY (SELECT municipality_code, subject_id, {id_} FROM {table.relation}"
        f" WHERE {table.is_unfinished}) TO STDOUT"
    )
    with connection.cursor().copy(question) as copy:
        for code, subject, number in copy.rows():
            if compared(code, number) in keys:
                found.add((code, subject))
    return found


def listed_anybody(name: str) -> str:
    """The SQL condition that the list of this name has anybody; asked of its index."""
    return f"cardinality({identifier(name)}) > 0"


def is_odd(names: Iterable[str], shape: TableShape) -> str:
    """The SQL condition of the index over numbers that no range finds; empty without columns."""
    found = ((name, shape[name]) for name in sorted(names) if name in shape)
    return " OR ".join(_is_odd(_as_text(*one)) for one in found if not _is_list(one[1]))


def _is_odd(id_: str) -> str:
    return f"(ltrim({id_}, '0123456789') <> '' OR length({id_}) > {LONGEST})"


def _is_list(column: TableColumn) -> bool:
    return column.type.endswith("[]")


def _as_text(name: str, column: TableColumn) -> str:
    """The column as text, without a cast where it is text: its index is of the column."""
    plain = "text[]" if _is_list(column) else "text"
    return identifier(name) + ("" if column.type == plain else f"::{plain}")
