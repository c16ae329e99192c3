"""PostgreSQL's client library: which connections are safe, and why one failed.

Of a connection that failed it gives no SQLSTATE, only words: its own, and the server's in the
server's language. What is not known here counts as a server that is away: it is tried again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from bus.errors import BusError, ConfigurationError, LoginRefused, Unready, Untrusted
from bus.hosts import is_loopback

_DENIED = re.compile(
    r"authentication failed|no password supplied|認証に失敗|パスワードが提供されて"
)
_NOT_YET = re.compile(
    r"database \".*\" does not exist|role \".*\" does not exist|no pg_hba\.conf entry"
    r"|not permitted to log in|permission denied for database"
    r"|は存在しません|pg_hba\.conf|ログインを許可されて|データベース.*へのアクセスが拒否"
)
"""A database or a role that is missing or lets nobody in: while one is swapped for another, too."""
_UNPROVEN = re.compile(
    r"certificate verify failed|does not match host name|root certificate file"
    r"|server does not support SSL"
)


VERIFIED = "verify-full"


class Transport(StrEnum):
    """How a database is reached."""

    HERE = "this machine"
    VERIFIED = "verified TLS"
    UNSAFE = "without verified TLS"


def transport_of(uri: str) -> Transport:
    """Whether a database is on this machine, and whether it proves by TLS who it is.

    What the library takes from its own variables (PGHOST, PGSSLMODE …) counts as it does there.
    A service's entry may say anything, so the URI itself has to ask for the proof then.

    Args:
        uri: A URI or keywords and values, as libpq takes them.

    Raises:
        psycopg.ProgrammingError: It is neither.
    """
    given = conninfo_to_dict(uri)
    if given.get("sslmode") == VERIFIED:
        return Transport.VERIFIED
    found = {**_defaults(), **{name: str(value) for name, value in given.items()}}
    if found.get("service"):
        return Transport.UNSAFE
    hosts = (found.get("hostaddr") or found.get("host") or "").split(",")
    if all(not host or host[0] in "/@" or is_loopback(host) for host in hosts):
        return Transport.HERE
    return Transport.VERIFIED if found.get("sslmode") == VERIFIED else Transport.UNSAFE


def address_of(uri: str) -> str | None:
    """The server that an error is about, as ``host:port``; None if *uri* is no URI."""
    try:
        found = {**_defaults(), **conninfo_to_dict(uri)}
    except psycopg.ProgrammingError:
        return None
    return f"{found.get('host') or found.get('hostaddr') or 'localhost'}:{found.get('port') or ''}"


def insist_on_safety(uri: str, whose: str, **where: object) -> None:
    """Refuse a database on another machine that would not have to prove who it is.

    Raises:
        Untrusted: That is so.
        ConfigurationError: The URI cannot be used.
    """
    try:
        found = transport_of(uri)
    except psycopg.ProgrammingError:  # it would quote the URI
        raise ConfigurationError(
            f"the URI of {whose} is expected as postgresql://user:password@host:port/database",
            **where,
        ) from None
    if found is Transport.UNSAFE:
        raise Untrusted(
            f"{whose} is not on this machine; its URI has to say sslmode={VERIFIED}, and "
            "sslrootcert=FILE or sslrootcert=system",
            **where,
        )


def _defaults() -> Mapping[str, str]:
    return {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None
    }


def refusal(words: str, whose: str, **where: object) -> BusError | None:
    """The error for a connection that trying again will not mend soon; None if the server is away.

    Args:
        words: What the library said. It may hold values, so nothing of it is repeated.
        whose: The database, as the error's sentence names it.
        where: As of every error.
    """
    if _UNPROVEN.search(words):
        return Untrusted(
            f"{whose} does not prove to be the one that its URI names; see sslmode and sslrootcert",
            **where,
        )
    if _DENIED.search(words):
        return LoginRefused(f"{whose} refuses the login", **where)
    if _NOT_YET.search(words):
        return Unready(f"{whose} is not there, or lets us not in yet", **where)
    return None
