"""Installing trusts nothing that is there: who made it, and what it is, is looked at first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from bus.errors import ConfigurationError
from connectors.outbox import installing
from connectors.outbox.installing import OWNER, InstallPlan, Speaker
from connectors.outbox.upkeep import install
from tests.support.outbox import SYSTEM, Outbox, change, until

pytestmark = pytest.mark.service

FORMER = (resources.files("connectors.outbox") / "former" / "1.sql").read_text("utf-8")


@pytest.fixture
def hostile(database: str, unique: Callable[[str], str]) -> Iterator[str]:
    """URI of a login that owns this database and nothing else; gone after the test."""
    role = unique("hostile")
    with psycopg.connect(database, autocommit=True) as admin:
        name = urlsplit(database).path.lstrip("/")
        admin.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'dev' CREATEROLE")
        admin.execute(f'ALTER DATABASE "{name}" OWNER TO "{role}"')
        parts = urlsplit(database)
        yield urlunsplit(parts._replace(netloc=f"{role}:dev@{parts.hostname}:{parts.port}"))
        admin.execute(f'REASSIGN OWNED BY "{role}" TO CURRENT_USER')
        admin.execute(f'DROP OWNED BY "{role}" CASCADE')
        admin.execute(f'DROP ROLE "{role}"')


def as_role(uri: str, *statements: str) -> None:
    """Run statements, each by itself."""
    with psycopg.connect(uri, autocommit=True) as session:
        for statement in statements:
            session.execute(statement.encode())


TAKES_OVER = (
    "CREATE FUNCTION renkei.take_over() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " EXECUTE 'ALTER ROLE ' || quote_ident(TG_ARGV[0]) || ' SUPERUSER'; RETURN NEW; END $$"
)


async def test_a_trigger_that_waits_for_the_installer_is_refused(
    database: str, hostile: str
) -> None:
    """Who makes ``renkei.outbox`` first, with a trigger, does not become superuser by it."""
    role = str(urlsplit(hostile).username)
    tables = FORMER[FORMER.index("CREATE SCHEMA") : FORMER.index("-- A UUIDv7")]
    as_role(
        hostile, tables, TAKES_OVER,
        "CREATE TRIGGER mine BEFORE INSERT ON renkei.outbox FOR EACH ROW"
        f" EXECUTE FUNCTION renkei.take_over('{role}')",
        "GRANT USAGE ON SCHEMA renkei TO PUBLIC",
    )  # fmt: skip
    is_super = f"SELECT rolsuper FROM pg_roles WHERE rolname = '{role}'"
    with psycopg.connect(database) as admin:  # what an installation did: run what follows
        admin.execute(FORMER.encode())
        admin.execute("SELECT renkei.publish_change('{}')")
        assert admin.execute(is_super.encode()).fetchone() == (True,)
        admin.rollback()

    with pytest.raises(ConfigurationError, match="somebody else made") as refused:
        await install(SYSTEM, database, InstallPlan(core=(Speaker(role),)))

    assert refused.value.where["owners"] == role
    with psycopg.connect(database) as admin:
        assert admin.execute(is_super.encode()).fetchone() == (False,)
        found = admin.execute("SELECT to_regprocedure('renkei.publish_change(jsonb)')")
        assert found.fetchone() == (None,)


HIDDEN = {
    "a trigger": "CREATE TRIGGER x AFTER DELETE ON renkei.outbox_refused FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "a rule": "CREATE RULE x AS ON INSERT TO renkei.outbox DO ALSO NOTHING",
    "a policy": "CREATE POLICY x ON renkei.outbox USING (true)",
    "row security": "ALTER TABLE renkei.outbox ENABLE ROW LEVEL SECURITY",
    "a default": "ALTER TABLE renkei.outbox ALTER created_at SET DEFAULT now()",
    "a column": "ALTER TABLE renkei.outbox ADD x text",
    "a type": "ALTER TABLE renkei.outbox_refused ALTER behind TYPE numeric",
    "a constraint": "ALTER TABLE renkei.outbox ADD CHECK (seq < 1000)",
    "a foreign key": "CREATE TABLE public.x (seq bigint REFERENCES renkei.outbox)",
    "a child": "CREATE TABLE public.x () INHERITS (renkei.outbox)",
    "a view": "CREATE VIEW public.x AS SELECT change FROM renkei.outbox",
    "a view inside": "CREATE VIEW renkei.x AS SELECT 1",
    "a type inside": "CREATE TYPE renkei.x AS ENUM ('x')",
    "an operator inside": "CREATE OPERATOR renkei.|| (LEFTARG = jsonb, RIGHTARG = jsonb,"
    " FUNCTION = jsonb_concat)",
    "a function of the same name": "CREATE FUNCTION renkei.publish_change(text) RETURNS uuid"
    " LANGUAGE sql AS 'SELECT gen_random_uuid()'",
    "an index": "CREATE INDEX x ON renkei.outbox (created_at)",
    "a sequence of another step": "ALTER TABLE renkei.outbox ALTER seq SET INCREMENT 7",
    "default rights": "ALTER DEFAULT PRIVILEGES IN SCHEMA renkei GRANT ALL ON TABLES TO PUBLIC",
    "a right for everybody": "GRANT SELECT ON renkei.outbox TO PUBLIC",
    "a right on a column": "GRANT SELECT (change) ON renkei.outbox TO PUBLIC",
    "a right to make objects": "GRANT CREATE ON SCHEMA renkei TO PUBLIC",
    "a right to call": "GRANT EXECUTE ON FUNCTION renkei.publish_change(jsonb) TO PUBLIC",
    "no logging": "ALTER TABLE renkei.relay_lease SET UNLOGGED",
}
PRESENT_ALONE = {
    "another body": "CREATE OR REPLACE FUNCTION renkei.publish_change(change jsonb) RETURNS uuid"
    " LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'",
    "another search path": "ALTER FUNCTION renkei.publish_change(jsonb) SET search_path = public",
    "another owner": 'ALTER TABLE renkei.bound OWNER TO "{role}"',
}


@pytest.mark.parametrize("form", ["former", "present"])
async def test_whatever_is_not_of_an_outbox_is_found(
    database: str, hostile: str, form: str
) -> None:
    """Of every kind, also what stands elsewhere and hangs on its tables; and nothing is done."""
    found: dict[str, str] = {}
    cases = HIDDEN | (PRESENT_ALONE if form == "present" else {})
    if form == "former":
        as_role(database, FORMER)
    else:
        await install(SYSTEM, database)
    role = str(urlsplit(hostile).username)
    for name, statement in cases.items():
        async with await psycopg.AsyncConnection.connect(database) as session:
            await session.execute(statement.replace("{role}", role).encode())
            with pytest.raises(ConfigurationError) as refused:
                await installing._install(session, SYSTEM, InstallPlan())
            await session.rollback()
            found[name] = refused.value.message

    assert found.keys() == cases.keys()
    await install(SYSTEM, database)


@pytest.mark.parametrize(
    "fault", ["LOGIN", "SUPERUSER", "CREATEROLE", "BYPASSRLS", "a member", "a membership"]
)
async def test_the_owner_is_nobody(
    database: str, hostile: str, unique: Callable[[str], str], fault: str
) -> None:
    """A role that may log in, may more, or that somebody is a member of, owns no outbox."""
    owner, role = unique("owner"), urlsplit(hostile).username
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f'CREATE ROLE "{owner}" {fault if fault.isupper() else ""}')
        try:
            if fault == "a member":
                admin.execute(f'GRANT "{owner}" TO "{role}"')
            elif fault == "a membership":
                admin.execute(f'GRANT pg_read_all_data TO "{owner}"')
            with pytest.raises(ConfigurationError, match="--owner"):
                await install(SYSTEM, database, InstallPlan(owner=owner))
        finally:
            admin.execute(f'DROP OWNED BY "{owner}" CASCADE')
            admin.execute(f'DROP ROLE "{owner}"')


async def test_everything_belongs_to_a_role_that_may_not_log_in(outbox: Outbox) -> None:
    """The schema, its tables and its functions; functions look nowhere but in the catalog."""
    owners = outbox.rows(
        "SELECT relowner::regrole::text FROM pg_class WHERE relnamespace = 'renkei'::regnamespace"
        " UNION SELECT proowner::regrole::text FROM pg_proc"
        " WHERE pronamespace = 'renkei'::regnamespace"
        " UNION SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'renkei'"
    )
    assert owners == [(OWNER,)]
    assert outbox.rows(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{OWNER}'") == [(False,)]
    assert outbox.rows(
        "SELECT DISTINCT proconfig FROM pg_proc WHERE pronamespace = 'renkei'::regnamespace"
    ) == [(["search_path=pg_catalog, pg_temp"],)]


async def test_a_login_that_is_no_administrator_is_told(hostile: str) -> None:
    """It may make a schema and a role, and what it makes is its own, not the bus's."""
    with pytest.raises(ConfigurationError):
        await install(SYSTEM, hostile)

    with psycopg.connect(hostile) as session:
        assert session.execute("SELECT to_regnamespace('renkei')").fetchone() == (None,)


async def test_a_former_outbox_is_brought_up_to_date_with_its_rows(
    database: str, tmp_path: Any
) -> None:
    """Pending, sent and refused changes stay; a number that was sent in the clear does not."""
    as_role(database, FORMER)
    outbox = Outbox(database, tmp_path / "topic.jsonl")
    secret = change("7", 1, number="123456789018")
    secret["records"][0]["stream"] = "individual_number"
    outbox.publish(secret, change("1", 1), change("1", 2), change("2", 1, refuse=True))
    with outbox.connect() as session:
        session.execute("UPDATE renkei.outbox SET sent_at = now() WHERE seq <= 2")
        session.execute(
            "WITH gone AS (DELETE FROM renkei.outbox WHERE seq = 4 RETURNING *)"
            " INSERT INTO renkei.outbox_refused (seq, change_id, change, subjects, created_at,"
            " reasons) SELECT seq, change_id, change, subjects, created_at, '[]' FROM gone"
        )
    with pytest.raises(ConfigurationError, match="renkei relay install"):
        await outbox.relay().run()

    await install(SYSTEM, database)
    await install(SYSTEM, database)

    assert "123456789018" not in repr(outbox.rows("SELECT change FROM renkei.outbox"))
    assert outbox.rows("SELECT seq, change ? 'records' FROM renkei.outbox ORDER BY 1") == [
        (1, False), (2, True), (3, True),
    ]  # fmt: skip
    assert outbox.rows("SELECT seq FROM renkei.outbox_refused") == [(4,)]
    outbox.publish(change("3", 1))
    async with outbox.relaying(outbox.relay()):
        await until(lambda: ("3", 1) in outbox.sent())
    assert outbox.rows("SELECT max(seq) FROM renkei.outbox") == [(5,)]


async def test_a_former_outbox_of_another_login_is_not_taken_over(
    database: str, hostile: str
) -> None:
    """Its rows would be published: who made it may have put in any."""
    as_role(hostile, FORMER)

    with pytest.raises(ConfigurationError, match="hand it over"):
        await install(SYSTEM, database)

    with psycopg.connect(database, autocommit=True) as admin:  # an administrator who knows better
        admin.execute(f'REASSIGN OWNED BY "{urlsplit(hostile).username}" TO CURRENT_USER')
    await install(SYSTEM, database)


MADE_SINCE = {
    "its owner may log in": 'ALTER SCHEMA renkei OWNER TO "{role}"',
    "a table has another owner": 'ALTER TABLE renkei.outbox OWNER TO "{role}"',
    "a table is no plain one": "ALTER TABLE renkei.outbox ENABLE ROW LEVEL SECURITY",
    "a table has a trigger": HIDDEN["a trigger"],
    "a table has children": HIDDEN["a child"],
}


@pytest.mark.parametrize("wrong", MADE_SINCE)
async def test_a_relay_works_on_no_outbox_that_can_do_more(
    outbox: Outbox, hostile: str, wrong: str
) -> None:
    """What was made of it since it was installed is looked for whenever a relay begins."""
    role = str(urlsplit(hostile).username)
    outbox.publish(change("1", 1))
    as_role(outbox.uri, MADE_SINCE[wrong].replace("{role}", role))

    async with asyncio.timeout(20):
        with pytest.raises(ConfigurationError, match=wrong):
            await outbox.relay().run()

    assert outbox.sent() == []
    assert outbox.pending() == 1
