"""Make an outbox, or bring it up to date, in a database that others may have been in before.

A core system's database has logins of its own, and any of them that may make a schema can make
``renkei`` first: with a trigger on its outbox that would run with the rights of whoever installs.
So nothing that is there is trusted. It is looked at whole (:mod:`~connectors.outbox.describing`)
and compared with what this program makes itself: the present form and each former one
(``former/``) are made in a schema of their own beside it, described in the same words, and undone.
What is equal to neither, is owned by a stranger, or grants what no installation grants is refused
with the difference, and nothing is done. Then it is looked at again, in the same transaction.

Everything belongs to one role that may not log in and has no other right; nobody may be its
member but whoever installs. What runs as the owner (``publish_change``) can do nothing else.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources

from psycopg import errors, sql

from bus.errors import ConfigurationError
from connectors.outbox import describing, statements
from connectors.outbox.database import Connection

OWNER = "renkei_outbox"
SCHEMA = "renkei"
PRESENT = 2
TRIES = 5  # of installations that meet each other
MOST_SAID = 5  # differences that an error names

_FORMER: Mapping[int, Sequence[str]] = {
    1: (  # from this form to the next
        "ALTER TABLE renkei.outbox ADD COLUMN sealed text",
        "ALTER TABLE renkei.outbox_refused ADD COLUMN sealed text, ADD COLUMN kept text"
        " CHECK (kept IN ('plain', 'sealed', 'lacking', 'unread'))",
        "DROP FUNCTION renkei.publish_change(jsonb)",
        "DROP FUNCTION renkei.new_change_id()",
        # what was sent has left; a number that must not lie about need not stay for seven days
        "UPDATE renkei.outbox SET change = change - 'records' WHERE sent_at IS NOT NULL"
        """ AND change -> 'records' @> '[{"stream": "individual_number"}]'""",
    )
}
_MAKES = re.compile(r"CREATE (?:TABLE|INDEX) (?:renkei\.)?(\w+)")


@dataclass(frozen=True, slots=True)
class Speaker:
    """A role of the core system, and the sources it may publish as (none: any)."""

    role: str
    sources: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Speaker:
        """``ROLE`` or ``ROLE=SOURCE,SOURCE``."""
        role, has_sources, sources = text.partition("=")
        named = tuple(part for part in sources.split(",") if part)
        if not role or (has_sources and not named):
            raise ConfigurationError("say ROLE, or ROLE=SOURCE,SOURCE")
        return cls(role, named)


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """What an outbox should be: its owner, the rights of roles, and the largest change."""

    owner: str = OWNER
    core: tuple[Speaker, ...] = ()
    relay: tuple[str, ...] = ()
    change_bytes: int | None = None  # none: as it is, or as the schema has it

    def settling(self) -> list[str]:
        """The SQL that sets rights and bounds; may be run again."""
        said = [
            sql.SQL(grant).format(role=sql.Identifier(role)).as_string()
            for grants, roles in (
                (statements.GRANT_CORE, [speaker.role for speaker in self.core]),
                (statements.GRANT_RELAY, self.relay),
            )
            for role in roles
            for grant in grants
        ]
        for speaker in self.core:
            if speaker.sources:
                role = sql.Literal(speaker.role)
                said.append(
                    sql.SQL("DELETE FROM renkei.speaker WHERE role = {}").format(role).as_string()
                )
                said += [
                    sql.SQL("INSERT INTO renkei.speaker VALUES ({}, {})")
                    .format(role, sql.Literal(source))
                    .as_string()
                    for source in speaker.sources
                ]
        if self.change_bytes is not None:
            said.append(f"UPDATE renkei.bound SET change_bytes = {self.change_bytes:d}")
        return said


def script(plan: InstallPlan) -> str:
    """The SQL that makes an outbox where there is none, to be run by hand."""
    owner = sql.Identifier(plan.owner).as_string()
    head = (
        "-- Run as an administrator, in one transaction (psql -1), where there is no outbox yet.\n"
        f"CREATE ROLE {owner} NOLOGIN;  -- once for a server; nobody may be its member\n"
        f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {owner};\n"
        "SET LOCAL search_path = pg_catalog, pg_temp;\n"
        f"SET LOCAL ROLE {owner};\n\n"
    )
    settling = "".join(f"{statement};\n" for statement in plan.settling())
    return head + _form(PRESENT) + "\n" + settling + "RESET ROLE;\n"


async def install(connection: Connection, system: str, plan: InstallPlan) -> None:
    """Make or bring up to date the outbox that *connection* reaches.

    Raises:
        ConfigurationError: What is there is not what this program makes, or the login may not.
        SourceUnavailable: Nothing answers, or somebody holds the tables for too long.
    """
    for left in reversed(range(TRIES)):
        try:
            async with connection.transaction():
                await _install(connection, system, plan)
            return
        except (
            errors.UniqueViolation,
            errors.DuplicateObject,
            errors.DuplicateSchema,
            errors.DuplicateTable,
            errors.DuplicateFunction,
            errors.DeadlockDetected,
            errors.UndefinedTable,
            errors.UndefinedFunction,
            errors.InternalError_,  # "tuple concurrently updated"
        ):  # another installation was quicker; there is no lock that only we could take
            if not left:
                raise


async def _install(connection: Connection, system: str, plan: InstallPlan) -> None:
    for setting in (
        "SET LOCAL search_path = pg_catalog, pg_temp",
        "SET LOCAL client_min_messages = warning",
        "SET LOCAL lock_timeout = '10s'",
        "SET LOCAL check_function_bodies = off",
    ):
        await connection.execute(setting)
    await _insist_on_roles(connection, system, plan)
    installer = str(await _value(connection, "SELECT current_user"))
    await _ready_owner(connection, system, plan.owner)
    owner = sql.Identifier(plan.owner)
    if not await _value(connection, "SELECT to_regnamespace(%s) IS NOT NULL", SCHEMA):
        await connection.execute(
            sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(sql.Identifier(SCHEMA), owner)
        )
    form = await _look(connection, system, plan.owner, installer)
    if form != PRESENT:
        await _hand_over(connection, plan.owner)
        await _as_owner(connection, plan.owner, *_migration(form))
    await _as_owner(connection, plan.owner, *plan.settling())
    if await _look(connection, system, plan.owner, installer) != PRESENT:
        raise ConfigurationError("the outbox is not what it was made to be", system=system)


async def _insist_on_roles(connection: Connection, system: str, plan: InstallPlan) -> None:
    """Check that the roles exist that should get rights.

    Raises:
        ConfigurationError: One is not.
    """
    named = {speaker.role: "--core" for speaker in plan.core} | dict.fromkeys(plan.relay, "--relay")
    cursor = await connection.execute(
        "SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s)", [list(named)]
    )
    there = {row[0] for row in await cursor.fetchall()}
    for role, option in named.items():
        if role not in there:
            raise ConfigurationError(
                f"the role that {option} names is not there: have an administrator make it"
                " (CREATE ROLE … LOGIN), or name another",
                system=system,
                role=role,
                option=option,
            )


async def _ready_owner(connection: Connection, system: str, owner: str) -> None:
    """Make or check the role that owns an outbox: it may not log in."""
    found = await (await connection.execute(statements.OWNER_ROLE, {"owner": owner})).fetchone()
    if found is None:
        try:
            async with connection.transaction():
                await connection.execute(
                    sql.SQL("CREATE ROLE {} NOLOGIN NOINHERIT").format(sql.Identifier(owner))
                )
        except errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                "the login may not make the role that is to own the outbox; have an administrator"
                " install, or make it: CREATE ROLE … NOLOGIN",
                system=system,
                role=owner,
            ) from error
        found = await (await connection.execute(statements.OWNER_ROLE, {"owner": owner})).fetchone()
        assert found is not None  # it was made
    if not await _value(connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        with suppress(errors.InsufficientPrivilege):  # it may be a member as it is
            async with connection.transaction():
                await connection.execute(
                    sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner))
                )
    may_do, members = found
    if may_do or members:
        raise ConfigurationError(
            "the role that is to own the outbox may log in, or more, or has members: name another"
            " with --owner, or take that away",
            system=system,
            role=owner,
            may=" ".join(may_do) or None,
            members=" ".join(members) or None,
        )


async def _look(connection: Connection, system: str, owner: str, installer: str) -> int:
    """The form of the outbox that is there; 0 if there is none.

    Raises:
        ConfigurationError: It has none that this program makes, or is a stranger's.
    """
    found = await describing.owners(connection, SCHEMA)
    trusted = {owner, installer}
    cursor = await connection.execute("SELECT rolname::text FROM pg_roles WHERE rolsuper")
    trusted |= {row[0] for row in await cursor.fetchall()}
    if strangers := sorted(found.keys() - trusted):
        raise ConfigurationError(
            "somebody else made what is there in the schema renkei; if it is to be trusted, have"
            " them hand it over (ALTER … OWNER TO), otherwise have it dropped",
            system=system,
            owners=" ".join(strangers),
        )
    held = [what for whats in found.values() for what in whats]
    if all(what.startswith("schema ") for what in held):
        await _no_strange_rights(connection, system)
        return 0
    await _hold_still(connection)
    there = await describing.lines(connection, SCHEMA)
    difference: set[str] = set()
    for form in (PRESENT, *sorted(_FORMER, reverse=True)):
        expected = await _described(connection, form, owner)
        if form != PRESENT:  # its functions are dropped and not called
            there, expected = _without_bodies(there), _without_bodies(expected)
        if there == expected:
            if form == PRESENT and found.keys() != {owner}:
                await _hand_over(connection, owner)
            await _no_strange_rights(connection, system)
            return form
        if form == PRESENT or len(there ^ expected) < len(difference):
            difference = there ^ expected
    said = sorted(" ".join(line.split())[:120] for line in difference)
    raise ConfigurationError(
        "what is there in the schema renkei is not what an installation makes: look at it, and"
        " drop what is not of an outbox",
        system=system,
        differs="; ".join(said[:MOST_SAID]),
        more=max(len(said) - MOST_SAID, 0) or None,
    )


def _without_bodies(lines: set[str]) -> set[str]:
    return {line for line in lines if not line.startswith("function ")}


async def _hold_still(connection: Connection) -> None:
    """Lock the tables against changes until the transaction ends."""
    cursor = await connection.execute(
        "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND relnamespace = to_regnamespace(%s) ORDER BY 1",
        [SCHEMA],
    )
    for (name,) in await cursor.fetchall():
        table = sql.Identifier(SCHEMA, name)
        await connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))


async def _described(connection: Connection, form: int, owner: str) -> set[str]:
    """The description of that form, made beside what is there and rolled back."""
    beside = f"renkei_{secrets.token_hex(8)}"
    text = re.sub(rf"\b{SCHEMA}\b(?=\.)", beside, _form(form))
    text = text.replace(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA};", "")
    async with connection.transaction(force_rollback=True):
        await connection.execute(
            sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(
                sql.Identifier(beside), sql.Identifier(owner)
            )
        )
        await _as_owner(connection, owner, text)
        return await describing.lines(connection, beside)


async def _no_strange_rights(connection: Connection, system: str) -> None:
    """Check that nobody has a right that no installation gives."""
    for kind, name, role, right, may_hand_on in await describing.rights(connection, SCHEMA):
        is_ours = role and not may_hand_on and right in statements.GIVEN.get((kind, name), ())
        if not is_ours:
            raise ConfigurationError(
                "the outbox grants what no installation grants: REVOKE it, then install again",
                system=system,
                right=right,
                on=f"{kind} {name}",
                to=role or "PUBLIC",
            )


async def _hand_over(connection: Connection, owner: str) -> None:
    """Make *owner* the owner of the schema and of everything in it."""
    cursor = await connection.execute(statements.HAND_OVER, {"schema": SCHEMA, "owner": owner})
    for (statement,) in await cursor.fetchall():
        await connection.execute(statement)


def _migration(form: int) -> list[str]:
    """The SQL that brings a form (0: an empty schema) to the present one."""
    if form == 0:
        return [_form(PRESENT)]
    there = set(_MAKES.findall(_form(form).replace("IF NOT EXISTS ", "")))
    return [
        *_FORMER[form],
        *(
            statement
            for statement in _statements(_form(PRESENT))
            if not ((made := _MAKES.search(statement)) and made[1] in there)
            and "INSERT INTO renkei.relay_lease" not in statement
        ),
    ]


def _statements(text: str) -> list[str]:
    """The statements of a schema's file, each with its comments; functions' bodies are whole."""
    found = [""]
    for part in re.split(r"(;\n|\$\$)", text):
        is_inside = found[-1].count("$$") % 2 == 1
        found[-1] += part
        if part == ";\n" and not is_inside:
            found.append("")
    return [statement for statement in found if statement.strip()]


async def _as_owner(connection: Connection, owner: str, *texts: str) -> None:
    """Run statements with the rights of the owner, which has none beside these objects."""
    await connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
    for text in texts:
        await connection.execute(text.encode())
    await connection.execute("RESET ROLE")


def _form(number: int) -> str:
    folder = resources.files("connectors.outbox")
    place = folder / "schema.sql" if number == PRESENT else folder / "former" / f"{number}.sql"
    return place.read_text("utf-8")


async def _value(connection: Connection, question: str, *values: object) -> object:
    row = await (await connection.execute(question, values)).fetchone()
    assert row is not None  # a SELECT without FROM has one
    return row[0]
