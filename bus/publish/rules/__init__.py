"""Rules between items of one record, by stream: what no property of a schema can say.

The header's rules hold for every stream. A rule is a function over columns; those of the business
systems are :class:`~bus.publish.rules.statement.Statement`, listed with their Japanese names in
``docs/rules.md``. What a property can say of two items beside each other is in
:mod:`bus.publish.related_items`; what needs other records (versions, the rest of a change) is in
:mod:`bus.publish.versions` and :mod:`bus.publish.whole`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

from bus.model import Stream
from bus.publish.finding import Finding, Records
from bus.publish.rules import (
    atena,
    benefits,
    crossing,
    header,
    insurance,
    register,
    rolls,
    taxes,
)
from bus.publish.rules.statement import Rule

HEADER_RULES: tuple[Rule, ...] = (
    header.place_in_change,
    header.processing_time,
    header.time_of_change_id,
    header.reference_to_earlier_event,
)
RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "resident": (
            register.nature_of_resident_event,
            register.state_after_event,
            register.never_blank,
            register.dates_of_resident,
        ),
        "household": (register.household_members,),
        "protection": (
            register.protection_state,
            register.protection_dates,
            register.protection_cases,
        ),
        "individual_number": atena.INDIVIDUAL_NUMBER,
        "nonresident": atena.NONRESIDENT,
        "individual_resident_tax.assessment": taxes.ASSESSMENT,
        "fixed_asset_tax.levy": taxes.FIXED_ASSET,
        "corporate_resident_tax.levy": taxes.CORPORATE,
        "light_vehicle_tax.vehicle": taxes.VEHICLE,
        "national_health_insurance.qualification": insurance.NATIONAL_HEALTH,
        "late_elderly_medical.qualification": insurance.LATE_ELDERLY,
        "long_term_care_insurance.qualification": insurance.LONG_TERM_CARE,
        "long_term_care_insurance.care_level": insurance.CARE_LEVEL,
        "national_pension.qualification": insurance.PENSION,
        "child_allowance.receipt": benefits.CHILD_ALLOWANCE,
        "child_rearing_allowance.receipt": benefits.CHILD_REARING,
        "public_assistance.receipt": benefits.PUBLIC_ASSISTANCE,
        "disability_welfare.certificate": benefits.CERTIFICATE,
        "child_childcare_support.certification": benefits.CHILDCARE,
        "electoral_roll.registration": rolls.ELECTORAL_ROLL,
        "school_enrollment.enrollment": rolls.SCHOOL,
        "health_management.vaccination": rolls.VACCINATION,
        "application.received": crossing.APPLICATION,
        "calendar.milestone": crossing.MILESTONE,
    }
)


def find(stream: Stream, records: Records, now: datetime) -> Iterator[Finding]:
    """What the header's rules and those of *stream* find."""
    for rule in (*HEADER_RULES, *RULES.get(stream.name, ())):
        yield from rule(records, now)
