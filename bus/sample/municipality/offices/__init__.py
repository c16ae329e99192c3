"""The other systems of the synthetic municipality, and their records of its residents.

Everything follows from the register and from circumstances drawn once for everybody
(:mod:`~bus.sample.municipality.offices.circumstances`), so that one system's record fits
another's. :mod:`~bus.sample.municipality.consequences` makes things happen in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bus.sample.municipality.offices import children, crossing, insurance, taxes, welfare
from bus.sample.municipality.offices.hall import Hall, Maker, Residents

MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        crossing.NUMBER: crossing.individual_numbers,
        crossing.NONRESIDENT: crossing.nonresidents,
        taxes.ASSESSMENT: taxes.assessments,
        taxes.LAND: taxes.land,
        taxes.VEHICLE: taxes.vehicles,
        taxes.CORPORATION: taxes.corporations,
        insurance.HEALTH: insurance.health,
        insurance.ELDERLY: insurance.elderly,
        insurance.CARE: insurance.care,
        insurance.LEVEL: insurance.levels,
        insurance.PENSION: insurance.pension,
        children.ALLOWANCE: children.allowances,
        children.REARING: children.rearing_allowances,
        children.CHILDCARE: children.certifications,
        children.SCHOOL: children.enrollments,
        welfare.ASSISTANCE: welfare.assistance,
        welfare.CERTIFICATE: welfare.certificates,
        welfare.VACCINATION: welfare.vaccinations,
        welfare.ROLL: welfare.roll,
        crossing.APPLICATION: crossing.applications,
        crossing.MILESTONE: crossing.reached,
    }
)
"""Who makes the records of each stream."""

__all__ = ["MAKERS", "Hall", "Residents"]
