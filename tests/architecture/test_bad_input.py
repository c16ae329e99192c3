"""Every kind of bad input that was thought of has tests, which exist, and a place in the docs."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.source import tree_of

ROOT = Path(__file__).parents[2]
FILES = "tests/acceptance/test_bad_input.py"
DELIVERY = "tests/acceptance/test_bad_input_delivery.py"
CLOCK = "tests/integration/bad_input/test_bad_input_clock.py"
PARSE = "tests/unit/publish/test_parse.py"
BULK = "tests/unit/publish/test_load.py"
CHECK = "tests/unit/publish/test_check.py"
PUBLISHER = "tests/unit/publish/test_publisher.py"
PARKING = "tests/unit/deliver/test_lane_parking.py"
LANE = "tests/unit/deliver/test_lane_trouble.py"
SINK = "tests/integration/connectors/test_postgres_sink.py"

TESTS: dict[str, tuple[str, ...]] = {
    "a file that is no JSON lines": (
        f"{FILES}::test_a_file_that_is_no_json_lines",
        f"{FILES}::test_a_bad_line_is_told",
        f"{PARSE}::test_a_text_that_is_no_change",
    ),
    "half a line": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{FILES}::test_a_mended_file_adds_what_was_missing",
        f"{PARSE}::test_half_a_line_is_called_that",
    ),
    "wrong encoding": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{BULK}::test_a_bad_line_does_not_stop_the_others",
        f"{PARSE}::test_a_text_that_is_no_change",
    ),
    "BOM": (f"{FILES}::test_a_bad_line_is_told", f"{PARSE}::test_a_text_that_is_no_change"),
    "NUL": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{PARSE}::test_a_text_that_is_no_change",
        "tests/unit/publish/test_text.py::test_control_characters_are_found",
        f"{SINK}::test_a_gained_nullable_column_disturbs_nobody",
    ),
    "1 MB names": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{BULK}::test_a_bad_line_does_not_stop_the_others",
    ),
    "unknown stream": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{FILES}::test_an_unknown_name_is_told",
        "tests/unit/publish/test_rules.py::test_a_stream_must_exist",
    ),
    "a source that does not publish the stream": (
        f"{FILES}::test_a_bad_line_is_told",
        "tests/unit/catalog/test_examples_cover.py"
        "::test_every_property_of_an_item_is_broken_by_an_example",
    ),
    "items that contradict each other": (
        "tests/unit/catalog/test_examples_cover.py::test_every_rule_is_broken_by_an_example",
        "tests/unit/publish/test_related_items.py::test_not_before",
    ),
    "the prefectural 所得割 in the municipal one's place": (
        "tests/unit/publish/test_statements.py"
        "::test_the_prefectural_amount_in_place_of_the_municipal_is_noticed",
    ),
    "unknown receiving system": (
        f"{FILES}::test_an_unknown_name_is_told",
        "tests/unit/deliver/test_parked_command.py::test_a_system_that_nobody_knows_is_said",
    ),
    "unknown field": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{PARSE}::test_a_change_without_a_part",
    ),
    "wrong check digit": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{FILES}::test_a_doubtful_line_is_published",
        f"{CHECK}::test_a_wrong_atena_number_is_a_warning",
    ),
    "version gap": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{FILES}::test_a_bad_change_in_an_outbox_is_set_aside",
        f"{PUBLISHER}::test_later_changes_of_a_refused_subject_are_refused",
    ),
    "version repeat": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{PUBLISHER}::test_an_id_is_not_used_for_something_else",
    ),
    "a change with a missing part": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{FILES}::test_a_bad_change_in_an_outbox_is_set_aside",
        f"{PARSE}::test_a_change_without_a_part",
        "tests/unit/publish/test_admission.py::test_refuses_another_shape_without_its_values",
    ),
    "a value in no code list": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{FILES}::test_a_bad_change_in_an_outbox_is_set_aside",
    ),
    "an impossible date": (
        f"{FILES}::test_a_doubtful_line_is_published",
        f"{FILES}::test_a_bad_line_is_told",
        f"{CHECK}::test_a_date_of_no_calendar_is_carried",
        f"{PUBLISHER}::test_a_date_of_no_calendar_arrives_as_text",
    ),
    "truncated or garbage bytes in a topic": (
        f"{DELIVERY}::test_bytes_that_are_no_events_are_parked",
        f"{DELIVERY}::test_whoever_is_well_has_everything",
        f"{DELIVERY}::test_what_is_dismissed_lets_the_next_go",
        f"{PARKING}::test_what_cannot_be_read_is_parked",
        f"{PUBLISHER}::test_what_cannot_be_read_is_passed_over",
    ),
    "an unknown schema id": (
        f"{DELIVERY}::test_bytes_that_are_no_events_are_parked",
        f"{LANE}::test_an_id_that_means_another_schema_stops",
        "tests/unit/catalog/test_wire.py::test_an_unknown_id_is_parked",
    ),
    "a null value": (
        f"{DELIVERY}::test_a_null_value_erases",
        "tests/unit/deliver/test_lane.py::test_an_erasure_takes_the_subject_out",
    ),
    "an event above the broker's size limit": (
        f"{FILES}::test_a_bad_line_is_told",
        f"{FILES}::test_a_bad_change_in_an_outbox_is_set_aside",
        f"{PUBLISHER}::test_a_topic_with_a_lower_limit_is_named",
        "tests/integration/publish/test_publisher_kafka.py"
        "::test_the_size_that_is_let_through_is_accepted",
        "tests/integration/broker/test_kafka_away.py::test_a_topic_whose_limit_is_lower_than_thought",
    ),
    "a table altered": (
        f"{DELIVERY}::test_who_is_ill_is_told",
        f"{DELIVERY}::test_when_all_is_mended_nothing_is_missing",
        f"{SINK}::test_stops_the_lane",
    ),
    "a column dropped under a running sink": (
        f"{DELIVERY}::test_who_is_ill_is_told",
        f"{SINK}::test_after_earlier_batches_stops_the_lane",
        "tests/integration/deliver/test_deliver_on_engines.py"
        "::test_an_altered_table_stops_the_lane_alone",
    ),
    "rights revoked": (
        f"{DELIVERY}::test_who_is_ill_is_told",
        f"{DELIVERY}::test_when_all_is_mended_nothing_is_missing",
        f"{SINK}::test_revoked_writes_nothing",
    ),
    "disk full": (
        f"{FILES}::test_a_full_disk_is_told",
        f"{FILES}::test_a_load_that_cannot_remember_goes_on",
        f"{FILES}::test_a_log_on_a_full_disk_stops_no_delivery",
        f"{SINK}::test_have_one_meaning_each",
        f"{DELIVERY}::test_metrics_say_who_retries",
        f"{DELIVERY}::test_when_all_is_mended_nothing_is_missing",
        "tests/unit/observe/test_logs.py::test_a_full_disk_loses_lines_and_stops_nobody",
    ),
    "port taken": (
        f"{FILES}::test_a_port_that_is_taken_is_told",
        "tests/unit/observe/test_http.py::test_a_port_that_is_taken",
        "tests/integration/local/test_stack.py::test_a_taken_port_is_named",
    ),
    "wrong password": (
        f"{FILES}::test_a_wrong_password_is_told",
        f"{DELIVERY}::test_who_is_ill_is_told",
        f"{DELIVERY}::test_no_value_and_no_password_is_told",
        f"{SINK}::test_a_refused_connection",
        "tests/integration/ledger/test_ledger.py::test_a_refused_login_is_no_silence",
    ),
    "an expired subscription": (
        f"{DELIVERY}::test_who_is_ill_is_told",
        f"{DELIVERY}::test_readiness_says_who_waits_for_a_person",
        f"{DELIVERY}::test_when_all_is_mended_nothing_is_missing",
    ),
    "a clock an hour off": (
        f"{FILES}::test_a_doubtful_line_is_published",
        f"{CLOCK}::test_delivery_does_not_go_by_the_clock",
        f"{CLOCK}::test_who_leads_an_outbox_is_judged_by_its_database",
        f"{CHECK}::test_a_publishers_clock",
    ),
}
"""What is wrong -> the tests of it. Whoever moves a test, moves its line."""


@cache
def names_of_tests(file: str) -> frozenset[str]:
    """The names of the tests in a file, those of classes included."""
    tree = tree_of(ROOT / file)
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


@pytest.mark.parametrize("kind", TESTS)
def test_each_kind_has_tests_that_exist(kind: str) -> None:
    """The list is true: every test that it names is there."""
    assert TESTS[kind]
    for name in TESTS[kind]:
        file, _, test = name.partition("::")
        assert test in names_of_tests(file), f"there is no {name}"


@pytest.mark.parametrize("kind", TESTS)
def test_each_kind_is_in_the_page_for_operators(kind: str) -> None:
    """Under the name that it has here."""
    page = (ROOT / "docs" / "bad-input.md").read_text(encoding="utf-8")

    assert f"| {kind}" in page, f"docs/bad-input.md has no row for: {kind}"
