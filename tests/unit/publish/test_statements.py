"""Rules of the business systems over batches: which rows they find, and what only warns."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from bus.catalog import Catalog
from bus.catalog.columns import arrow_schema
from bus.catalog.examples import read_examples
from bus.catalog.plain import from_json
from bus.model import Fault, Severity
from bus.publish.check import check_columns
from bus.publish.rules import RULES
from bus.publish.rules.statement import Statement

NOW = datetime(2026, 4, 2, tzinfo=UTC)


def example(catalog: Catalog, stream: str, name: str) -> dict[str, Any]:
    """A valid example, as JSON has it."""
    file = f"streams/{stream}/examples/valid/{name}.json"
    (found,) = (e.value for e in read_examples(catalog)[0] if e.file == file)
    return copy.deepcopy(found)


def judged(catalog: Catalog, name: str, values: list[dict[str, Any]]) -> list[Fault]:
    """What the checks say of a batch of them, advice on check digits left out."""
    stream = catalog.stream(name)
    rows = []
    for value in values:
        native, faults = from_json(stream.latest, value)
        assert faults == []
        rows.append(native)
    batch = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(stream.latest))
    return [f for f in check_columns(catalog, stream, batch, now=NOW) if f.code != "check-digit"]


ASSESSMENT = "individual_resident_tax.assessment"
LEVIES = ("prefectural_income_levy", "municipal_income_levy", "income_levy")


@pytest.mark.parametrize(
    ("levies", "codes"),
    [
        ((79_000, 118_500, 197_500), set()),  # 4 : 6
        ((39_500, 158_000, 197_500), set()),  # 2 : 8, a designated city
        ((100, 100, 200), set()),  # both rounded down to 100 yen
        ((0, 0, 0), set()),
        ((118_500, 79_000, 197_500), {("levy-ratio", Severity.WARNING)}),  # swapped
        ((79_000, 79_000, 158_000), {("levy-ratio", Severity.WARNING)}),  # one in both places
        (
            (79_000, 79_000, 197_500),  # the incident of 2019-09, as the total tells it
            {("levy-ratio", Severity.WARNING), ("sum", Severity.ERROR)},
        ),
    ],
)
def test_the_prefectural_amount_in_place_of_the_municipal_is_noticed(
    catalog: Catalog, levies: tuple[int, int, int], codes: set[tuple[str, Severity]]
) -> None:
    """In 2019-09 情報連携 returned 県民税所得割 for 市町村民税所得割: types alone see nothing."""
    value = example(catalog, ASSESSMENT, "taxed_on_income")
    value.update(zip(LEVIES, levies, strict=True))
    value["annual_tax"] = value["income_levy"] + value["per_capita_levy"]

    found = judged(catalog, ASSESSMENT, [value])

    assert {(fault.code, fault.severity) for fault in found} == codes


@pytest.mark.parametrize(
    ("stream", "name", "items", "code"),
    [
        (ASSESSMENT, "taxed_on_income", {"total_income": 3_240_001}, "income-order"),
        (
            "light_vehicle_tax.vehicle",
            "moped_of_a_resident",
            {"acquired_on": "2025-04-02"},
            "fiscal-year",
        ),
        (
            "long_term_care_insurance.care_level",
            "longest_validity",
            {"valid_to": "2030-01-31"},
            "validity",
        ),
    ],
)
def test_what_is_odd_but_not_impossible_warns(
    catalog: Catalog, stream: str, name: str, items: dict[str, Any], code: str
) -> None:
    """A municipality goes on; somebody should look."""
    value = example(catalog, stream, name)
    assert judged(catalog, stream, [value]) == []

    found = judged(catalog, stream, [{**value, **items}])

    assert [(fault.code, fault.severity) for fault in found] == [(code, Severity.WARNING)]


def test_the_row_at_fault_is_named_also_for_what_is_in_a_list(catalog: Catalog) -> None:
    """Rows of lists of several lengths, empty ones among them."""
    stream = "fixed_asset_tax.levy"
    alone = example(catalog, stream, "owner_alone")
    shared = example(catalog, stream, "owned_with_a_protected_person")
    twice, two, percent = copy.deepcopy(shared), copy.deepcopy(shared), copy.deepcopy(shared)
    twice["co_owners"].append(twice["co_owners"][1])
    two["co_owners"][1]["representative"] = True
    percent["co_owners"][1]["share"] = "50%"

    found = judged(catalog, stream, [alone, twice, shared, two, alone, percent])

    assert [(fault.record, fault.code) for fault in found] == [
        (1, "repeated"), (1, "share-sum"), (3, "representative"), (5, "share"),
    ]  # fmt: skip


def test_shares_are_added_exactly(catalog: Catalog) -> None:
    """Three thirds are one; a hundred-billionth more is too much."""
    stream = "fixed_asset_tax.levy"
    value = example(catalog, stream, "owned_with_a_protected_person")
    first = value["co_owners"][0]

    def shares(*said: str | None) -> dict[str, Any]:
        owners = [{**first, "subject_id": f"{n:015d}", "representative": False, "share": share}
                  for n, share in enumerate(said)]  # fmt: skip
        return {**value, "co_owners": owners}

    whole = shares("1/3", "1/3", "1/3", None)
    more = shares("1/3", "1/3", "1/3", "1/999999999999")

    found = judged(catalog, stream, [whole, more])

    assert [(fault.record, fault.code) for fault in found] == [(1, "share-sum")]


def test_a_cancellation_puts_back_whatever_was_before(catalog: Catalog) -> None:
    """The state after a cancelled event is not the one that the event would leave."""
    stream = "national_health_insurance.qualification"
    value = example(catalog, stream, "left_a_company")
    value["header"] |= {
        "event_type": f"{stream}.lost",
        "nature": "CANCELLATION",
        "cancels": "019d3f00-0000-7000-8000-000000000900",
    }
    assert judged(catalog, stream, [value]) == []

    value["header"] |= {"nature": "CESSATION", "cancels": None}
    assert {(f.code, f.field) for f in judged(catalog, stream, [value])} == {("state", "insured")}


def test_a_fault_says_what_was_expected_and_never_what_was_there(catalog: Catalog) -> None:
    """Names, codes and words of the contract only."""
    secret = "000000098765432"
    stream = "school_enrollment.enrollment"
    value = example(catalog, stream, "enters_school")
    value["header"]["subject_id"] = value["guardian_subject_id"] = secret

    (fault,) = judged(catalog, stream, [value])

    assert (fault.code, fault.field) == ("itself", "guardian_subject_id")
    assert fault.item == "保護者_宛名番号"
    assert secret not in repr(fault)


def test_every_statement_has_a_japanese_name_of_its_own() -> None:
    """Nobody can tell two rules of a stream apart that say the same of the same item."""
    for stream, rules in RULES.items():
        said = [(r.ja, r.path, r.expected) for r in rules if isinstance(r, Statement)]
        assert len(said) == len(set(said)), stream
        assert all(any("ぁ" <= sign <= "鿿" for sign in ja) for ja, _, _ in said)
