"""What PostgreSQL says, as the bus's errors: one table by SQLSTATE.

A row says what an SQLSTATE means for whoever asked, and says it in words. Whose database it is, the
classes of error and the few rows that read otherwise there are each :class:`Database`'s own. Nobody
else makes an error of the bus of what a driver raises (``tests/architecture/test_sqlstates.py``).

PostgreSQL's messages hold values ("Key (subject_id)=(…) already exists", "Failing row contains
(…)"), and a traceback prints the messages of every cause. Privacy outranks the cause here: an
error is raised ``from None`` and says words, the SQLSTATE, and names of tables, columns and
constraints only.

Source: PostgreSQL 18, Appendix A, "PostgreSQL Error Codes".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from bus.connect.libpq import refusal
from bus.errors import BusError, ConfigurationError, LoginRefused, Unavailable, Unready


class Meaning(StrEnum):
    """What an answer means for whoever asked."""

    AWAY = "away"  # it answers again by itself, or soon: it is asked without end
    UNREADY = "unready"  # what the middle of a restore or a deployment looks like
    LOGIN = "login"  # our login is refused
    UNFIT = "unfit"  # a person has to mend what is there
    REFUSED = "refused"  # a value or a row is at fault


@dataclass(frozen=True, slots=True)
class Row:
    """What an SQLSTATE, or a class of them (the first two characters), means.

    ``words`` may name what a :class:`Database` has names for; without words, what is said of
    everything that means this.
    """

    state: str
    means: Meaning
    words: str = ""


TABLE = (
    Row("08", Meaning.AWAY, "the line to {database} broke; it is tried again"),
    Row("0A", Meaning.UNFIT),
    Row("22", Meaning.REFUSED),
    Row("23", Meaning.REFUSED),
    Row("25006", Meaning.AWAY,
        "{server} takes no writes: it is a standby, or its disk is read-only; name the primary in"
        " {setting}"),
    Row("25P03", Meaning.AWAY, "{server} ended a transaction that stood still; it is tried again"),
    Row("25P04", Meaning.AWAY, "{server} ended a transaction that took long; it is tried again"),
    Row("28", Meaning.UNFIT, "{server} does not take this way of logging in: see its log"),
    Row("28000", Meaning.UNREADY, "the role does not exist there, or may not log in"),
    Row("28P01", Meaning.LOGIN, "{database} refuses the login"),
    Row("3D000", Meaning.UNREADY, "the database is not there"),
    Row("3F000", Meaning.UNREADY, "the schema is not there"),
    Row("40", Meaning.AWAY,
        "{database} undid a transaction in favour of another; it is tried again"),
    Row("42", Meaning.UNFIT),
    Row("42501", Meaning.UNREADY, "the role lacks a right on {relation}"),
    Row("42601", Meaning.UNFIT,
        "{server} does not know what it is asked: it has to be PostgreSQL 14 or newer"),
    Row("42703", Meaning.UNFIT, "{relation} lacks a column of {form}"),
    Row("42704", Meaning.UNFIT,
        "a type, a collation or a role that {relation} names is not there{mend}"),
    Row("42804", Meaning.UNFIT, "a column of {relation} has another type than {form}'s{mend}"),
    Row("42883", Meaning.UNFIT,
        "a function that {relation} needs, its trigger's or a default's, is not there{mend}"),
    Row("42P01", Meaning.UNREADY, "{relation} is not there"),
    Row("42P10", Meaning.UNREADY, "{relation} lacks its unique key"),
    Row("53", Meaning.AWAY),
    Row("53100", Meaning.AWAY, "the disk of {database} is full: make room there"),
    Row("53200", Meaning.AWAY, "{server} has no memory left: see what else runs there"),
    Row("53300", Meaning.AWAY, "{server} has no connection left for {us}: raise max_connections"),
    Row("54", Meaning.REFUSED),
    Row("55", Meaning.AWAY),
    Row("55P03", Meaning.AWAY,
        "{database} cannot do it now: somebody holds a lock on {relation} for too long: see"
        " pg_locks there"),
    Row("57", Meaning.AWAY, "{server} ended the session; it is tried again"),
    Row("57014", Meaning.AWAY,
        "a question to {database} took too long and was given up: see what else runs there"),
    Row("57P03", Meaning.AWAY, "{server} is starting or stopping; it is tried again"),
    Row("58", Meaning.AWAY, "{server} cannot read or write its files: see its log"),
    Row("XX", Meaning.AWAY, "{server} finds its own files damaged: see its log, and restore it"),
    Row("", Meaning.UNFIT),  # what nobody foresaw: doubt stops
)  # fmt: skip
"""What holds wherever a :class:`Database` has no row of its own."""

_OTHERWISE = {
    Meaning.AWAY: "{database} cannot do it now; it is tried again: see its server's log",
    Meaning.UNFIT: "{misfit}",
    Meaning.REFUSED: "{relation} refuses a row of this batch",
}
_WITHOUT_STATE = {
    Meaning.AWAY: "{database} does not answer",
    Meaning.UNFIT: "the driver does not take this",
    Meaning.REFUSED: "{relation} refuses a row of this batch",
}
_KINDS = {
    "OperationalError": Meaning.AWAY,
    "InterfaceError": Meaning.AWAY,
    "InternalError": Meaning.AWAY,
    "ProgrammingError": Meaning.UNFIT,
    "NotSupportedError": Meaning.UNFIT,
    "DataError": Meaning.REFUSED,
    "IntegrityError": Meaning.REFUSED,
}
"""What has no SQLSTATE is told by its class, which drivers have in common (PEP 249)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database as one part of the bus knows it.

    The names stand in the table's words: ``relation`` is what is asked for there, ``form`` what its
    columns are held against, ``setting`` where its address is said, ``us`` who asks, ``mend`` how
    an operator puts it right, and ``misfit`` the whole sentence where nothing more exact is known.
    """

    database: str
    relation: str
    misfit: str
    setting: str
    away: type[Unavailable]
    refused: type[BusError] | None = None
    """Of a row that is at fault; without it that is a defect, and stays what the driver raised."""
    server: str = "the server"
    form: str = "this release"
    us: str = "us"
    mend: str = ""
    rows: Sequence[Row] = ()
    """What is told otherwise here."""
    drivers: tuple[type[Exception], ...] = (psycopg.Error,)

    def row(self, state: str) -> Row:
        """The most exact row; of two that are as exact, the database's own."""
        rows = (*self.rows, *TABLE)
        return next(row for length in (5, 2, 0) for row in rows if row.state == state[:length])

    def meaning(self, means: Meaning) -> type[BusError] | None:
        """The class of error; None where that is a defect here."""
        return {
            Meaning.AWAY: self.away,
            Meaning.UNREADY: Unready,
            Meaning.LOGIN: LoginRefused,
            Meaning.UNFIT: ConfigurationError,
            Meaning.REFUSED: self.refused,
        }[means]

    def words(self, row: Row) -> str:
        """What *row* says of this database."""
        return self._named(row.words or _OTHERWISE[row.means])

    def error_of(self, raised: Exception, **where: object) -> BusError | None:
        """What a driver *raised*, as an error of the bus; None where that is a defect here.

        Args:
            where: As of every error.
        """
        state: str | None = getattr(raised, "sqlstate", None)
        kind = _kind(raised)
        if state is None:
            refused = refusal(str(raised), self.database, **where) if kind is Meaning.AWAY else None
            meaning = self.meaning(kind)
            if refused is not None or meaning is None:
                return refused
            return meaning(self._named(_WITHOUT_STATE[kind]), **where)
        row = self.row(state)
        meaning = self.meaning(row.means)
        if meaning is None:
            return None
        return meaning(self.words(row), **{**_names(raised), **where, "sqlstate": state})

    def _named(self, words: str) -> str:
        return words.format(
            database=self.database,
            server=self.server,
            relation=self.relation,
            form=self.form,
            misfit=self.misfit,
            setting=self.setting,
            us=self.us,
            mend=self.mend,
        )


@contextmanager
def translated(database: Database, **where: object) -> Iterator[None]:
    """Turn what a driver raises inside into the bus's errors; *where* goes into each."""
    try:
        yield
    except database.drivers as raised:
        error = database.error_of(raised, **where)
        if error is None:
            raise
        raise error from None


def _kind(raised: Exception) -> Meaning:
    names = (parent.__name__ for parent in type(raised).__mro__)
    return next((_KINDS[name] for name in names if name in _KINDS), Meaning.AWAY)


def _names(raised: Exception) -> dict[str, object]:
    """What the server names; its message may hold values and is not repeated."""
    said = getattr(raised, "diag", None)
    if said is None:  # a driver that tells nothing of it
        return {}
    table = ".".join(name for name in (said.schema_name, said.table_name) if name)
    return {
        "table": table or None,
        "column": said.column_name,
        "constraint": said.constraint_name,
    }
