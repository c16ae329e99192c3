"""What PostgreSQL is told about a line."""

from __future__ import annotations

from connectors.postgres.table import line_name


def test_a_line_is_named_for_its_system_and_stream() -> None:
    """So that an operator sees in ``pg_stat_activity`` whose it is."""
    assert line_name("child_allowance", "resident") == "renkei child_allowance resident"
    assert line_name("withdraw", "") == "renkei withdraw"


def test_no_name_is_longer_than_postgresql_keeps() -> None:
    """It answers a longer one with a notice, and libpq prints that into the log."""
    system, stream = "individual_resident_tax", "national_health_insurance.qualification"

    assert len(f"renkei {system} {stream}") > 63
    assert line_name(system, stream) == f"renkei {system} {stream}"[:63]
