"""What a server's settings would let its log show."""

from __future__ import annotations

import pytest

from connectors.postgres.serverlog import loud

QUIET = {
    "log_error_verbosity": "terse",
    "log_min_messages": "warning",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    "log_parameter_max_length": "-1",
}
DEFAULT = QUIET | {"log_error_verbosity": "default"}
NO_ERRORS = DEFAULT | {"log_min_messages": "log"}


@pytest.mark.parametrize(
    "settings",
    [
        QUIET,
        QUIET | {"log_statement": "all"},
        QUIET | {"log_min_duration_statement": "0"},
        NO_ERRORS,
        NO_ERRORS | {"log_statement": "all", "log_parameter_max_length": "0"},
        NO_ERRORS | {"log_statement": "ddl"},
        QUIET | {"auto_explain.log_min_duration": "-1"},
        QUIET
        | {
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_parameter_max_length": "0",
        },
        QUIET | {"pgaudit.log": "write", "pgaudit.log_parameter": "off"},
    ],
)
def test_a_log_that_shows_nothing(settings: dict[str, str]) -> None:
    """No row that was refused, no parameter."""
    assert list(loud(settings)) == []


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (DEFAULT, "log_error_verbosity = terse"),  # as PostgreSQL comes
        (QUIET | {"log_error_verbosity": "verbose"}, "log_error_verbosity = terse"),
        (DEFAULT | {"log_min_messages": "error"}, "log_error_verbosity = terse"),
        (NO_ERRORS | {"log_statement": "mod"}, "log_parameter_max_length = 0"),
        (NO_ERRORS | {"log_statement": "all"}, "log_parameter_max_length = 0"),
        (NO_ERRORS | {"log_min_duration_statement": "5000"}, "log_parameter_max_length = 0"),
        (NO_ERRORS | {"log_min_duration_sample": "100"}, "log_parameter_max_length = 0"),
        (NO_ERRORS | {"log_transaction_sample_rate": "0.1"}, "log_parameter_max_length = 0"),
        (
            QUIET | {"auto_explain.log_min_duration": "100"},
            "auto_explain.log_parameter_max_length = 0",
        ),
        (QUIET | {"pgaudit.log_parameter": "on"}, "pgaudit.log_parameter = off"),
        (QUIET | {"debug_print_plan": "on"}, "debug_print_plan = off"),
    ],
)
def test_a_log_that_shows_something(settings: dict[str, str], wanted: str) -> None:
    """And what would have to be set."""
    assert list(loud(settings)) == [wanted]
