"""Whether a session's connection could be read along.

The URI alone does not say it: behind this machine's end of a tunnel the database may be anywhere.
So before what is restricted goes over a session the session itself is asked: the one by which a
view is opened, and each that is made after it.

Source: PostgreSQL 18, 27.2.9 "pg_stat_ssl", and 9.27 "inet_client_addr".
"""

from __future__ import annotations

from bus.errors import Untrusted
from bus.model import View
from connectors.postgres.session import Session

_QUERY = """\
SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
  OR inet_client_addr() IS NULL
  OR inet_client_addr() <<= '127.0.0.0/8'::inet OR inet_client_addr() = '::1'::inet"""


def insist_on_encryption(session: Session, view: View) -> None:
    """Refuse a restricted *view* over a session that the server sees neither encrypted nor
    local.

    Raises:
        Untrusted: It is such a line.
    """
    if not view.is_restricted:
        return
    found = session.execute(_QUERY).fetchone()
    if found is None or tuple(found) != (True,):
        raise Untrusted(
            "the session with the system's database is not encrypted, and what is restricted would "
            "go over it; its URI has to say sslmode=verify-full",
            system=view.system,
            stream=view.stream,
        )
