"""Whether the server's log could show what a statement carries.

No statement of the sink holds a value; they go as parameters. What the server does with parameters
and with rows that it refuses is its administrator's choice, and an ordinary role cannot change it
for its session. A view that shows what is restricted is therefore not opened where the log would
have it, nor is a lost session replaced.

Source: PostgreSQL 18, 19.8 "Error Reporting and Logging", and F.3 "auto_explain".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bus.errors import ConfigurationError
from bus.model import View
from connectors.postgres.session import Session

_SHOWS_ERRORS = {
    "debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", "error",
}  # fmt: skip
_OFF = {"off", "none", "-1", "0", ""}
_QUERY = """\
SELECT name, setting FROM pg_settings
WHERE name LIKE 'log\\_%' OR name LIKE 'debug\\_print\\_%' OR name LIKE 'auto\\_explain.%'
   OR name LIKE 'pgaudit.%'"""


def insist_on_silence(session: Session, view: View) -> None:
    """Refuse *view*, if it shows what is restricted, where the server's log could show it too.

    Raises:
        ConfigurationError: It could; ``settings`` has what would have to be set.
    """
    if not view.is_restricted:
        return
    wanted = list(loud(dict(session.execute(_QUERY).fetchall())))
    if wanted:
        raise ConfigurationError(
            "the database's log could show what is restricted; its administrator has to set, "
            "for this role or for all",
            settings=", ".join(wanted),
        )


def loud(settings: Mapping[str, str]) -> Iterator[str]:
    """The server's settings to be changed, so that its log holds no row and no parameter."""
    is_terse = settings.get("log_error_verbosity") == "terse"  # no DETAIL, no CONTEXT
    if settings.get("log_min_messages") in _SHOWS_ERRORS and not is_terse:
        yield "log_error_verbosity = terse"
    elif _logs_statements(settings) and not is_terse and _shows("log", settings):
        yield "log_parameter_max_length = 0"
    if settings.get("auto_explain.log_min_duration", "-1") != "-1" and _shows(
        "auto_explain.log", settings
    ):
        yield "auto_explain.log_parameter_max_length = 0"
    if settings.get("pgaudit.log_parameter", "off") not in _OFF:
        yield "pgaudit.log_parameter = off"
    for name in ("debug_print_parse", "debug_print_rewritten", "debug_print_plan"):
        if settings.get(name, "off") not in _OFF:
            yield f"{name} = off"


def _logs_statements(settings: Mapping[str, str]) -> bool:
    return settings.get("log_statement", "none") in ("mod", "all") or any(
        settings.get(name, off) != off
        for name, off in (
            ("log_min_duration_statement", "-1"),
            ("log_min_duration_sample", "-1"),
            ("log_transaction_sample_rate", "0"),
        )
    )


def _shows(prefix: str, settings: Mapping[str, str]) -> bool:
    return settings.get(f"{prefix}_parameter_max_length", "-1") != "0"
