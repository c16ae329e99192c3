"""What PostgreSQL's client library says of a connection that failed, in the bus's words.

It gives no SQLSTATE for that, only words: its own, and the server's in the server's language.
What is not known here counts as a server that is away: it is tried again.
"""

from __future__ import annotations

import re

from bus.errors import ConfigurationError, LoginRefused, Untrusted

_DENIED = re.compile(
    r"authentication failed|no password supplied|database \".*\" does not exist"
    r"|role \".*\" does not exist|no pg_hba\.conf entry|not permitted to log in"
    r"|permission denied for database"
    r"|認証に失敗|パスワードが提供されて|は存在しません|pg_hba\.conf|ログインを許可されて"
)
_UNPROVEN = re.compile(
    r"certificate verify failed|does not match host name|root certificate file"
    r"|server does not support SSL"
)


def refusal(words: str, whose: str, **where: object) -> ConfigurationError | None:
    """The error for a connection that will not mend itself; None if it may.

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
        return LoginRefused(f"{whose} refuses the login, or is not there", **where)
    return None
