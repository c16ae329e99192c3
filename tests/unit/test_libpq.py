"""Which ways into a PostgreSQL are safe, by what its client library would make of them."""

from __future__ import annotations

import pytest

from bus.connect.libpq import Transport, address_of, insist_on_safety, transport_of
from bus.errors import ConfigurationError, Untrusted

SECRET = "tr0ub4dor"
VARIABLES = ("PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGSERVICE", "PGSSLROOTCERT")
HERE = [
    "postgresql://u:p@127.0.0.1:5432/d",
    "postgresql://u:p@localhost/d",
    "postgresql://u:p@[::1]/d",
    "postgresql:///d?host=/var/run/postgresql",
    "host=@abstract dbname=d",
    "dbname=d",
    "postgresql://u:p@127.0.0.1,localhost/d",
    "postgresql://u:p@db.example/d?sslmode=verify-full",
    "host=db.example sslmode=verify-full sslrootcert=system",
    "service=town sslmode=verify-full",
]
ELSEWHERE = [
    "postgresql://u:p@db.example/d",
    "postgresql://u:p@10.0.0.5/d",
    "postgresql://u:p@db.example/d?sslmode=require",
    "postgresql://u:p@db.example/d?sslmode=verify-ca",
    "postgresql://u:p@127.0.0.1,db.example/d",
    "postgresql://u:p@localhost/d?hostaddr=10.0.0.5",
    "host=127.0.0.1.example",
    "host=localhost.example",
    "service=town",
]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("uri", HERE)
def test_here_or_proved(uri: str) -> None:
    """This machine, a socket of it, or TLS that checks authority and name."""
    assert transport_of(uri) is not Transport.UNSAFE


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_elsewhere_without_a_proof(uri: str) -> None:
    """Whoever is in between could answer in its place."""
    with pytest.raises(Untrusted, match="verify-full"):
        insist_on_safety(uri, "the ledger's database")


@pytest.mark.parametrize(
    ("variables", "uri", "expected"),
    [
        ({"PGHOST": "db.example"}, "dbname=d", False),
        ({"PGHOSTADDR": "10.0.0.5"}, "host=localhost dbname=d", False),
        ({"PGHOST": "db.example", "PGSSLMODE": "verify-full"}, "dbname=d", True),
        ({"PGSSLMODE": "verify-full"}, "host=db.example sslmode=prefer", False),
        ({"PGHOST": "db.example"}, "host=127.0.0.1", True),
    ],
)
def test_the_librarys_variables_count(
    variables: dict[str, str], uri: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do where it connects."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert (transport_of(uri) is not Transport.UNSAFE) is expected


def test_what_is_no_uri_is_not_repeated() -> None:
    """It may hold a password."""
    with pytest.raises(ConfigurationError, match="postgresql://") as refused:
        insist_on_safety(f"postgresql://u:{SECRET}@[::1/d", "the ledger's database")

    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        (f"postgresql://u:{SECRET}@db.example:5433/ledger?sslmode=verify-full",
         "db.example:5433"),
        (f"host=127.0.0.1 password={SECRET} dbname=d", "127.0.0.1:5432"),
        (f"postgresql://u:{SECRET}@[::1/d", None),
    ],
)  # fmt: skip
def test_an_error_names_the_address_alone(uri: str, address: str | None) -> None:
    """Which database it is about, and nothing of the login."""
    assert address_of(uri) == address
