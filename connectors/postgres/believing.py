"""Read the bus's own tables in a store, and accept only what the bus can have written there.

They are its owner's, who can put into them whatever there is room for. So each is asked for so many
rows and bytes and no more: what is beyond that is not sent, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from bus.errors import StoreForged

Connection = psycopg.Connection[Any]

MOST_ROWS = 10_000  # lanes of all streams; tables
MOST_RESTORED = 100_000  # rows of one table that may be shown again
MOST_BYTES = 8 << 20  # of all rows together: a receipt has a few hundred thousand at most
LONGEST = 500  # characters of a name or an id: what is longer is cut off, and fits nothing


def question(columns: Sequence[str], source: str, order: str, most: int = MOST_ROWS) -> str:
    """The SQL that reads *columns* of *source* (a table, with a condition), for :func:`rows`.

    Args:
        order: The columns by which rows are counted.
        most: Rows.
    """
    size = " + ".join(f"coalesce(octet_length(({column})::text), 0)" for column in columns)
    named = ", ".join(f"{column} AS said_{n}" for n, column in enumerate(columns))
    shown = ", ".join(f"CASE WHEN is_little THEN said_{n} END" for n in range(len(columns)))
    return (
        f"SELECT is_little, {shown} FROM (SELECT {named}, sum({size}) OVER"
        f" (ORDER BY {order} ROWS UNBOUNDED PRECEDING) <= {MOST_BYTES} AS is_little"
        f" FROM {source} LIMIT {most + 1}) AS said"
    )


def rows(
    connection: Connection,
    asked: str,
    parameters: Sequence[Any] = (),
    *,
    table: str,
    most: int = MOST_ROWS,
) -> list[tuple[Any, ...]]:
    """The answer to a :func:`question`, of at most *most* rows about *table*.

    Raises:
        StoreForged: There is more, or what cannot be read.
    """
    try:
        found = connection.execute(asked.encode(), parameters).fetchall()
    except (ValueError, RecursionError, psycopg.DataError) as error:
        if getattr(error, "sqlstate", None) is not None:
            raise
        # a day beyond all days, a number of thousands of digits, lists in lists in lists
        raise StoreForged(
            "what stands in the bus's own table in the store is nothing that the bus writes",
            table=table,
        ) from None
    if len(found) > most or any(row[0] is not True for row in found):
        raise StoreForged("the bus never wrote as much into its table in the store", table=table)
    return [row[1:] for row in found]


def cut(column: str) -> str:
    """A text column, cut to the greatest length that the bus writes."""
    return f"left({column}, {LONGEST})"
