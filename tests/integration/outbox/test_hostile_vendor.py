"""A hostile vendor at its own outbox, on the real PostgreSQL with real logins: it gets nothing.

It owns the core system's database, has a login of its own there beside the core system's, and
writes whatever it likes into its changes. What it may do to itself is its own matter; what is held
here is that nobody else is held up, spoken for or looked at, and that the bus goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import errors

from connectors.outbox.installing import InstallPlan, Speaker
from connectors.outbox.upkeep import install
from tests.support.outbox import SYSTEM, Outbox, change, hand_over, until

pytestmark = pytest.mark.service
OTHER = "individual_resident_tax"


@dataclass
class Site:
    """One database in which two core systems publish, and a stranger may log in."""

    outbox: Outbox
    names: dict[str, str]

    def login(self, name: str, **options: Any) -> psycopg.Connection[Any]:
        """A session of one of them."""
        parts = urlsplit(self.outbox.uri)
        netloc = f"{self.names[name]}:dev@{parts.hostname}:{parts.port}"
        options.setdefault("autocommit", True)
        return psycopg.connect(urlunsplit(parts._replace(netloc=netloc)), **options)


@pytest.fixture
async def site(database: str, tmp_path: Any, unique: Callable[[str], str]) -> Any:
    """``register`` and ``tax`` publish, each for itself; ``stranger`` owns the database."""
    names = {name: unique(name) for name in ("register", "tax", "stranger")}
    with psycopg.connect(database, autocommit=True) as admin:
        for role in names.values():
            admin.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'dev'")
        name = urlsplit(database).path.lstrip("/")
        admin.execute(f'ALTER DATABASE "{name}" OWNER TO "{names["stranger"]}"')
        speakers = (
            Speaker(names["register"], (SYSTEM,)),
            Speaker(names["tax"], (OTHER,)),
        )
        await install(SYSTEM, database, InstallPlan(core=speakers))
        yield Site(Outbox(database, tmp_path / "topic.jsonl"), names)
        admin.execute(f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER')
        for role in names.values():
            admin.execute(f'DROP OWNED BY "{role}" CASCADE')
            admin.execute(f'DROP ROLE "{role}"')


def test_locks_that_anybody_can_take_hold_up_nobody(site: Site) -> None:
    """Advisory locks under every key the former outbox used, held by another login."""
    with site.login("stranger") as stranger, site.login("register") as register:
        stranger.execute(
            "SELECT pg_advisory_lock(hashtextextended('renkei.outbox/131130/7', 0)),"
            " pg_advisory_lock(hashtextextended('renkei.outbox install', 0))"
        )
        register.execute("SET statement_timeout = '5s'")
        hand_over(register, change("7", 1))

    assert site.outbox.pending() == 1


async def test_locks_that_anybody_can_take_hold_up_no_installation(site: Site) -> None:
    """Nor does a session that is in the middle of handing something in, for ever."""
    with site.login("stranger") as stranger:
        stranger.execute("SELECT pg_advisory_lock(hashtextextended('renkei.outbox install', 0))")
        await install(SYSTEM, site.outbox.uri)


def test_nobody_waits_for_whoever_speaks_for_another(site: Site) -> None:
    """A transaction of one source that never ends holds up none of the other's, same subject."""
    with site.login("tax", autocommit=False) as tax, site.login("register") as register:
        hand_over(tax, change("7", 1) | {"source": OTHER})
        register.execute("SET statement_timeout = '5s'")
        hand_over(register, change("7", 1))
        tax.rollback()

    assert site.outbox.pending() == 1


def test_a_role_publishes_as_its_own_source_alone(site: Site) -> None:
    """Another's name, none, and what is no name are refused at once; its own goes."""
    with site.login("tax") as tax:
        for source in (SYSTEM, None, [OTHER], {"source": OTHER}, ""):
            with pytest.raises(errors.InsufficientPrivilege) as refused:
                hand_over(tax, change("7", 1) | {"source": source})
            assert "does not publish as that source" in str(refused.value)
        hand_over(tax, change("7", 1) | {"source": OTHER})

    assert site.outbox.pending() == 1


REACHES = (
    "SELECT change FROM renkei.outbox",
    "SELECT reasons FROM renkei.outbox_refused",
    "INSERT INTO renkei.outbox (change_id, change, subjects)"
    " VALUES (gen_random_uuid(), '{}', '{}')",
    "UPDATE renkei.outbox SET sent_at = now()",
    "DELETE FROM renkei.outbox",
    "TRUNCATE renkei.outbox_refused",
    "UPDATE renkei.relay_lease SET holder = 'me', expires_at = 'infinity'",
    "SELECT * FROM renkei.relay_lease FOR UPDATE",
    "INSERT INTO renkei.subject_lock VALUES (1)",
    "INSERT INTO renkei.speaker VALUES (session_user, 'resident_registry')",
    "DELETE FROM renkei.speaker",
    "UPDATE renkei.bound SET change_bytes = 2000000000",
    "LOCK TABLE renkei.outbox IN ACCESS EXCLUSIVE MODE",
    "SELECT nextval('renkei.outbox_seq_seq')",
    "SELECT setval('renkei.outbox_seq_seq', 9223372036854775807)",
    "CREATE TRIGGER x BEFORE INSERT ON renkei.outbox FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE x AS ON INSERT TO renkei.outbox DO INSTEAD NOTHING",
    "CREATE TABLE renkei.x ()",
    "CREATE FUNCTION renkei.publish_change(json) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
    "CREATE OR REPLACE FUNCTION renkei.publish_change(change jsonb) RETURNS uuid"
    " LANGUAGE sql AS 'SELECT NULL::uuid'",
    "CREATE VIEW public.x AS SELECT change FROM renkei.outbox; SELECT * FROM public.x",
    "CREATE TABLE public.x () INHERITS (renkei.outbox)",
    "CREATE TABLE public.x (seq bigint REFERENCES renkei.outbox)",
    "CREATE PUBLICATION x FOR TABLE renkei.outbox",
    "ALTER TABLE renkei.outbox DISABLE TRIGGER ALL",
    "ALTER FUNCTION renkei.publish_change(jsonb) SECURITY INVOKER",
    "DROP SCHEMA renkei CASCADE",
    "ALTER SCHEMA renkei RENAME TO taken",
    "SET ROLE renkei_outbox",
    "GRANT renkei_outbox TO CURRENT_USER",
)


@pytest.mark.parametrize("who", ["register", "tax", "stranger"])
def test_nobody_reaches_past_the_function(site: Site, who: str) -> None:
    """No reading, no marking, no lease, no lock, no object in it; the database's owner neither."""
    site.outbox.publish(change("7", 1))
    with site.login(who) as session:
        session.execute("SET statement_timeout = '5s'")
        for attempt in REACHES:
            with pytest.raises(errors.InsufficientPrivilege), session.transaction():
                session.execute(attempt.encode())

    assert site.outbox.pending() == 1


def test_what_it_makes_beforehand_is_not_what_the_function_calls(site: Site) -> None:
    """Objects of the same names in schemas and temporary tables that it puts first."""
    with site.login("stranger") as stranger:
        stranger.execute("CREATE SCHEMA first")
        stranger.execute("GRANT ALL ON SCHEMA first TO PUBLIC")
    with site.login("register") as register:
        for statement in (
            "SET search_path = first, pg_temp, pg_catalog",
            "CREATE FUNCTION first.octet_length(text) RETURNS integer LANGUAGE sql AS 'SELECT 1/0'",
            "CREATE FUNCTION first.concat(VARIADIC text[]) RETURNS text LANGUAGE sql"
            " AS 'SELECT (1/0)::text'",
            "CREATE FUNCTION first.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS 'SELECT NULL'",
            "CREATE OPERATOR first.|| (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = jsonb_concat)",
            "CREATE TEMPORARY TABLE outbox (x integer)",
            "CREATE TEMPORARY TABLE pg_roles (rolname name, oid oid)",
            "CREATE TEMPORARY TABLE bound (change_bytes integer)",
        ):
            register.execute(statement.encode())
        hand_over(register, change("7", 1))
        with pytest.raises(errors.InsufficientPrivilege):
            hand_over(register, change("7", 1) | {"source": OTHER})

    assert site.outbox.pending() == 1


def test_a_change_has_an_end(site: Site) -> None:
    """Too large as it is, or once it is unpacked: an error that says so, and nothing is kept."""
    large = change("1", 1, note="x" * 5_000_000)
    with site.login("register") as register:
        with pytest.raises(errors.ProgramLimitExceeded, match="at most 4194304 bytes") as refused:
            hand_over(register, large)
        assert "xxx" not in str(refused.value)
        with pytest.raises(errors.ProgramLimitExceeded, match="at most 4194304 bytes"):
            register.execute(
                "SELECT renkei.publish_change(jsonb_build_object('source', 'resident_registry',"
                " 'records', (SELECT jsonb_agg(1e131071) FROM generate_series(1, 1000))))"
            )
        hand_over(register, change("1", 1, note="x" * 4_000_000))

    assert site.outbox.pending() == 1


async def test_a_flood_of_notifications_stops_no_relay(site: Site) -> None:
    """Anybody may wake it; what waits is sent all the same."""
    is_over = threading.Event()

    def flood() -> None:
        with site.login("stranger") as stranger:
            while not is_over.is_set():
                stranger.execute("NOTIFY renkei_outbox, 'x'")

    flooding = threading.Thread(target=flood)
    async with site.outbox.relaying():
        flooding.start()
        try:
            site.outbox.publish(*(change("7", version) for version in range(1, 20)))
            await until(lambda: site.outbox.pending() == 0)
        finally:
            is_over.set()
            flooding.join()

    assert len(site.outbox.sent()) == 19
