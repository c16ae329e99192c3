"""What the offices know of people that no register holds: who earns what, who is on 生活保護.

Drawn once for everybody, so that what one system says fits what the others do: whoever is on
public assistance is in no health insurance and pays no resident tax; whoever cares for a child
has the allowance and is the guardian at school.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from bus.sample.municipality import families
from bus.sample.municipality.ages import allowance_end, attains, is_at_least
from bus.sample.municipality.subjects import HEAD, RESIDENT, Household, Person

SPOUSES = frozenset(
    (
        families.HUSBAND,
        families.WIFE,
        families.HUSBAND_UNREGISTERED,
        families.WIFE_UNREGISTERED,
    )
)
_SON_OR_DAUGHTER_IN_LAW = (families.CHILD + families.WIFE, families.CHILD + families.HUSBAND)
_ON_ASSISTANCE, _OFF_ASSISTANCE = 0.016, 0.003  # of all households
_WITH_DISABILITY = ((65, 0.13), (18, 0.03), (0, 0.012))  # by age attained
_IN_CARE = ((85, 0.55), (75, 0.2), (65, 0.04), (40, 0.004))
_LOW_INCOME = 480_000


@dataclass(frozen=True, slots=True)
class Assistance:
    """生活保護 of a household: since when, and until when if it has ended."""

    started_on: date
    ended_on: date | None

    def runs_on(self, day: date) -> bool:
        """Whether the household was protected on *day*."""
        return self.started_on <= day and (self.ended_on is None or day < self.ended_on)


class Circumstances:
    """The circumstances of everybody who lives in the municipality on one day."""

    def __init__(self, random: Random, households: Sequence[Household], today: date) -> None:
        self.today = today
        self.assistance: dict[str, Assistance] = {}
        self.income: dict[str, int] = {}
        self.is_employed: dict[str, bool] = {}
        self.disability: dict[str, date] = {}  # since when a certificate is held
        self.prefers_elderly: set[str] = set()  # insured in 後期高齢者医療 from 65 by disability
        self.care: dict[str, date] = {}  # since when a care level is held
        self._random = random
        for household in households:
            self.settle(household)

    def welcome(self, household: Household) -> None:
        """Draw the circumstances of newcomers in *household*; those of others stay.

        Whoever comes lives by work of their own: in no employer's insurance, on no assistance.
        """
        for person in household.members:
            if person.number not in self.income:
                self.is_employed[person.number] = False
                self.income[person.number] = self._income(person, is_poor=False)

    def settle(self, household: Household) -> None:
        """Draw the circumstances of a household and its members."""
        random, members = self._random, household.members
        if not members:
            return
        formed = max(since(member) for member in members)
        drawn = random.random()
        if drawn < _ON_ASSISTANCE:
            self.assistance[household.number] = Assistance(self._day(formed), None)
        elif drawn < _ON_ASSISTANCE + _OFF_ASSISTANCE:
            started = self._day(formed)
            self.assistance[household.number] = Assistance(started, self._day(started))
        is_poor = household.number in self.assistance
        for person in members:
            self.is_employed[person.number] = (
                not is_poor and self._is_of_working_age(person) and random.random() < 0.66
            )
            self.income[person.number] = self._income(person, is_poor=is_poor)
            self._ail(person)

    def on_assistance(self, household: Household | None, day: date | None = None) -> bool:
        """Whether the household is on public assistance on *day*, by default today."""
        found = self.assistance.get(household.number) if household else None
        return found is not None and found.runs_on(day or self.today)

    def dependants(self, person: Person) -> list[Person]:
        """The dependants of the household's main earner; others have none."""
        household = person.household
        if household is None or person is not self.earner(household):
            return []
        mine = [person, *spouses(household)] if person.relationship == HEAD else [person]
        return [
            member
            for member in household.members
            if member is not person
            and self.income[member.number] <= _LOW_INCOME
            and (member in mine or any(parent in mine for parent in parents(member)))
        ]

    def earner(self, household: Household) -> Person:
        """The member who earns most."""
        return max(household.members, key=lambda each: (self.income[each.number], each.number))

    # -- inside ------------------------------------------------------------------------------

    def _day(self, after: date) -> date:
        span = (self.today - after).days
        return after + timedelta(days=self._random.randint(0, span)) if span > 0 else after

    def _is_of_working_age(self, person: Person) -> bool:
        return is_at_least(person, 20, self.today) and not is_at_least(person, 65, self.today)

    def _income(self, person: Person, *, is_poor: bool) -> int:
        """An income in yen a year, whole thousands; now and then a loss."""
        random = self._random
        if not is_at_least(person, 18, self.today):
            return 0
        if is_poor:
            return random.randint(0, 60) * 1_000
        if self.is_employed[person.number]:
            return random.randint(1_200, 9_000) * 1_000
        if is_at_least(person, 65, self.today):
            return random.randint(0, 2_600) * 1_000
        if random.random() < 0.01:
            return -random.randint(10, 900) * 1_000
        return random.randint(0, 4_000) * 1_000 if random.random() < 0.6 else 0

    def _ail(self, person: Person) -> None:
        born = person.birth["date"]
        if born is None:
            return
        for years, share in _WITH_DISABILITY:
            if attains(born, years) <= self.today:
                if self._random.random() < share:
                    self.disability[person.number] = self._day(max(born, since(person)))
                    if years == 65 and self._random.random() < 0.6:
                        self.prefers_elderly.add(person.number)
                break
        for years, share in _IN_CARE:
            if (attained := attains(born, years)) <= self.today:
                if self._random.random() < share:
                    begin = max(attained, since(person), self.today - timedelta(days=700))
                    self.care[person.number] = self._day(begin)
                break


def since(person: Person) -> date:
    """Since when the person lives here: 住民となった年月日, else 住所を定めた年月日."""
    for day in (person.became_resident_on, person.address_set_on):
        if day is not None and day["date"] is not None:
            return day["date"]  # type: ignore[no-any-return]
    raise ValueError("a resident whose days are all unknown")


def spouses(household: Household) -> list[Person]:
    """The head's, registered or not."""
    return [member for member in household.members if member.relationship in SPOUSES]


def parents(child: Person) -> list[Person]:
    """Those in the household whose child it is, by 続柄; nobody where the head is no parent."""
    household = child.household
    if household is None:
        return []
    if child.relationship == families.CHILD:
        return [m for m in household.members if m.relationship == HEAD or m.relationship in SPOUSES]
    if child.relationship == families.CHILD + families.CHILD:
        married = [m for m in household.members if m.relationship in _SON_OR_DAUGHTER_IN_LAW]
        born = [m for m in household.members if m.relationship == families.CHILD]
        return born + married if married and len(born) == 1 else []
    return []


def families_with_children(
    households: Sequence[Household], today: date
) -> Mapping[tuple[str, ...], tuple[list[Person], list[Person]]]:
    """Parents and their children of allowance age, eldest first, by the parents' numbers."""
    found: dict[tuple[str, ...], tuple[list[Person], list[Person]]] = {}
    for household in households:
        for child in household.members:
            born = child.birth["date"]
            if born is None or allowance_end(born) < today:
                continue
            if mine := parents(child):
                key = tuple(parent.number for parent in mine)
                found.setdefault(key, (mine, []))[1].append(child)
    for _, children in found.values():
        children.sort(key=lambda child: (child.birth["date"], child.number))
    return found


def residents(households: Sequence[Household]) -> list[Person]:
    """Everybody who lives in one of *households*."""
    return [m for household in households for m in household.members if m.state == RESIDENT]
