"""Whoever must be covered by a protection is covered: ``docs/delivery.md``, 7."""

from tests.mutants.mutant import Mutant

_CLOSURE = "bus/policy/closure.py"
_ORDERS = "tests/unit/policy/test_closure.py::test_some_orders"
_BY_THE_VIEW = "tests/unit/deliver/test_coverage.py::test_by_the_view"

MUTANTS = (
    Mutant(
        name="named-by-a-protection",
        promise="Whom a protection names is covered.",
        where="docs/delivery.md 7",
        file="bus/policy/cases.py",
        old="_keys(municipality, [subject, *named, *standing.extra], form)",
        new="_keys(municipality, [subject], form)",
        tests=(_ORDERS, _BY_THE_VIEW),
    ),
    Mutant(
        name="members-of-a-household",
        promise="Everybody who is a member of a covered household is covered.",
        where="docs/delivery.md 7",
        file=_CLOSURE,
        old="return self._households.of(home)",
        new="return ()",
        tests=(_ORDERS, _BY_THE_VIEW),
    ),
    Mutant(
        name="household-of-the-covered",
        promise="The household that somebody covered lives in is covered.",
        where="docs/delivery.md 7",
        file=_CLOSURE,
        old="return self._households.to(person)",
        new="return []",
        tests=(_ORDERS, _BY_THE_VIEW),
    ),
    Mutant(
        name="linked-by-the-own-record",
        promise="Whom the own record of a covered non-resident is linked to is covered.",
        where="docs/delivery.md 7",
        file=_CLOSURE,
        old="return self._links.of(person)",
        new="return ()",
        tests=(_ORDERS, _BY_THE_VIEW),
    ),
    Mutant(
        name="linked-by-anothers-record",
        promise="A number whose record as a non-resident is linked to somebody covered is covered.",
        where="docs/delivery.md 7",
        file=_CLOSURE,
        old="return self._links.to(person)",
        new="return ()",
        tests=(_ORDERS, _BY_THE_VIEW),
    ),
)
