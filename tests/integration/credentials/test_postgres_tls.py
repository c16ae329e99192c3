"""PostgreSQL by ``sslmode=verify-full``: both drivers of the connector, the outbox, the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from bus.errors import Untrusted
from bus.ledger import Ledger
from connectors.outbox import upkeep
from connectors.postgres.sink import PostgresSink
from connectors.postgres.table import PostgresOptions
from tests.support.certificates import Authority
from tests.support.front import tls_front
from tests.support.lanes import Town, hosted, view_of

pytestmark = pytest.mark.service
SYSTEM = "child_allowance"
MANY = 200  # more rows than go as one parameter: they are copied, by the other driver
Uri = Callable[..., str]


@pytest.fixture
def uri(database: str, tmp_path: Path) -> Iterator[Uri]:
    """Makes the URI of a test's database: by which host, and trusting which authority."""
    town = Authority(tmp_path, "town")
    with tls_front(database, town.certify("database", "127.0.0.1")) as fronted:

        def made(host: str = "127.0.0.1", ca: Path = town.file) -> str:
            way = fronted.replace("127.0.0.1", host)
            return f"{way}?sslmode=verify-full&sslrootcert={ca}"

        yield made


def sink(uri: str) -> PostgresSink:
    """A sink of the connector, into this database."""
    return PostgresSink(PostgresOptions(uri=SecretStr(uri)))


async def test_many_rows_and_few_go_in_over_tls(uri: Uri, database: str) -> None:
    """ADBC copies the first load, psycopg writes what comes after it."""
    town = Town()
    await town.build()
    for number in range(MANY):
        await town.publish("resident", f"{number:015d}", 1)
    async with hosted(town, {SYSTEM: lambda _: sink(uri())}) as bus:
        await bus.at(MANY, seconds=20)
        await town.publish("resident", "000000000000001", 2)
        await bus.at(MANY + 1, seconds=20)

    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*), max(version) FROM linkage.resident").fetchone()
    assert row == (MANY, 2)


async def test_outbox_and_ledger_over_tls(uri: Uri) -> None:
    """What core systems' databases and the bus's own are asked by."""
    await upkeep.install("core", uri())
    assert await upkeep.refused("core", uri()) == []
    with psycopg.connect(uri()) as connection:
        assert connection.pgconn.ssl_in_use


@pytest.mark.parametrize("wrong", ["authority", "host", "no file"])
async def test_who_proves_nothing_is_not_talked_to(uri: Uri, tmp_path: Path, wrong: str) -> None:
    """Told as what it is by everybody, and not tried again without end."""
    unproven = {
        "authority": lambda: uri(ca=Authority(tmp_path, "another").file),
        "host": lambda: uri(host="localhost"),
        "no file": lambda: uri(ca=tmp_path / "absent"),
    }[wrong]()
    ledger = Ledger(unproven)

    with pytest.raises(Untrusted, match="sslrootcert") as refused:
        await sink(unproven).open(view_of(SYSTEM, "resident"))
    with pytest.raises(Untrusted, match="sslrootcert"):
        await upkeep.install("core", unproven)
    with pytest.raises(Untrusted, match="sslrootcert"):
        await ledger.reach("c", {})
    await ledger.close()

    assert refused.value.where == {"system": SYSTEM, "stream": "resident"}


async def test_a_server_without_tls_is_not_used(database: str) -> None:
    """The bundled one is such a server: TLS that was asked for is not left out."""
    with pytest.raises(Untrusted):
        await sink(f"{database}?sslmode=require").open(view_of(SYSTEM, "resident"))
