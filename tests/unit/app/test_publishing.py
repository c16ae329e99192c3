"""What a relay needs to know before it sends."""

from __future__ import annotations

import pytest

from bus.app.publishing import provided_by
from bus.catalog import Catalog, load


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


def test_a_relay_learns_what_its_system_provides_and_nothing_else(catalog: Catalog) -> None:
    """Twenty outboxes must not read the whole log twenty times over."""
    assert set(provided_by(catalog, ["resident_registry"])) == {
        "resident", "household", "protection", "individual_number",
    }  # fmt: skip
    assert provided_by(catalog, ["light_vehicle_tax"]) == ["light_vehicle_tax.vehicle"]
    assert provided_by(catalog, ["seal_registration"]) == []


def test_an_outbox_of_several_systems_learns_for_all_of_them(catalog: Catalog) -> None:
    """``sources`` in the settings may name more than one."""
    found = provided_by(catalog, ["long_term_care_insurance", "national_pension"])

    assert sorted(found) == [
        "long_term_care_insurance.care_level",
        "long_term_care_insurance.qualification",
        "national_pension.qualification",
    ]


def test_together_they_learn_every_stream_once(catalog: Catalog) -> None:
    """Each published stream has one provider, or several that would all know it."""
    published = {stream.name for stream in catalog.streams.values() if not stream.is_internal}
    providers = {name for stream in catalog.streams.values() for name in stream.providers}

    assert set(provided_by(catalog, providers)) == published
