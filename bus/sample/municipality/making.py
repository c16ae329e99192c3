"""Make the people of a municipality: names, dates and first entries for families of roles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from itertools import count
from random import Random

from bus.model import Nature
from bus.publish.identity import event_id_of, new_change_id
from bus.sample.municipality import families, names
from bus.sample.municipality.families import CHILD, MALE, Family, Role
from bus.sample.municipality.names import Name
from bus.sample.municipality.numbers import full_width, numbered
from bus.sample.municipality.places import Address, Places, anywhere
from bus.sample.municipality.subjects import (
    DECEASED,
    HEAD,
    MOVED_OUT,
    RESIDENT,
    Day,
    Entry,
    Household,
    Person,
    Protection,
    impossible,
    known,
    unknown,
)

JAPAN = timezone(timedelta(hours=9))
EARLIEST = date(1995, 4, 1)
"""Nobody's newest entry is older."""
_FIRST_PERSON, _FIRST_HOUSEHOLD = 1_000_001, 50_000_001
_KINDS = ("DOMESTIC_VIOLENCE", "STALKING", "CHILD_ABUSE")
_ERAS = ((date(2019, 5, 1), "令和"), (date(1989, 1, 8), "平成"), (date(1926, 12, 25), "昭和"))


class Maker:
    """Makes subjects, one after the other, from one seed."""

    def __init__(self, random: Random, places: Places, at: datetime) -> None:
        self.random = random
        self.places = places
        self.at = at
        self._persons = count(_FIRST_PERSON)
        self._households = count(_FIRST_HOUSEHOLD)

    def person_number(self) -> str:
        """The next 宛名番号."""
        return numbered(next(self._persons))

    def household_number(self) -> str:
        """The next 世帯番号."""
        return numbered(next(self._households))

    def change_id(self, at: datetime) -> str:
        """A change id whose random part is seeded too."""
        return new_change_id(at, self.random.randbytes)

    def household(self, family: Family) -> Household:
        """A household of *family*; everybody has the entry that a first load publishes."""
        random = self.random
        arrived = self._day(EARLIEST)
        household = Household(number=self.household_number(), entry=self._formed(arrived))
        origin = random.choice(names.ORIGINS) if family.is_foreign else None
        japanese = names.family_name(random)
        roman = random.choice(origin.families) if origin else ("", None)
        address = self.places.here(random)
        came_from = self.places.abroad(random) if origin else self.places.elsewhere(random)
        for role in family.roles:
            own = names.family_name(random) if role.has_own_name else japanese
            named = (
                names.foreign(origin, roman, role.sex, random)
                if origin
                else names.japanese(own, role.sex, random)
            )
            person = self._person(role, family, household, named, address, came_from, arrived)
            person.nationality = origin.nationality if origin else None
            household.members.append(person)
        if random.random() < 0.25:
            self._moved_within(household)
        return household

    def protections(self, household: Household) -> list[Protection]:
        """The protection that everybody in *household* has been under since one day.

        For some of them the year is over: the end date passing lifts nothing.
        """
        started = self.at.date() - timedelta(days=self.random.randint(1, 500))
        return [
            self.protection_of(person.number, started, self._processed(started))
            for person in household.members
        ]

    def protection_of(
        self, number: str, started: date, at: datetime, *, is_from_elsewhere: bool = False
    ) -> Protection:
        """A protection that starts on a day and ends, so far, a year later."""
        suppresses = ["CURRENT_ADDRESS"]
        for other in ("PREVIOUS_ADDRESS", "REGISTERED_DOMICILE"):
            if self.random.random() < 0.6:
                suppresses.append(other)
        return Protection(
            number=number,
            entry=self.entry("protection.started", None, known(started), None, at),
            status="ACTIVE",
            kind=self.random.choice(_KINDS),
            started_on=started,
            ends_on=_a_year_after(started),
            suppresses=tuple(suppresses),
            is_from_elsewhere=is_from_elsewhere,
        )

    def former(self) -> Person:
        """Somebody who has moved out or died, whose record (除票) the register keeps."""
        random = self.random
        role = Role(HEAD, random.choice((MALE, families.FEMALE)), random.randint(20, 95))
        person = self.household(Family((role,))).members[0]
        left = self._day(self.at.date() - timedelta(days=1500))
        person.household = None
        if role.age > 70 and random.random() < 0.6:
            person.state = DECEASED
            day = unknown("令和７年５月上旬") if random.random() < 0.05 else known(left)
            entry = self.entry("resident.died", "DEATH", day, left, self._processed(left))
        else:
            person.state = MOVED_OUT
            person.forwarding_address = self.places.elsewhere(random)
            entry = self.entry(
                "resident.moved_out",
                "MOVED_OUT_DOMESTIC",
                known(left),
                left,
                self._processed(left),
            )
        person.version += 1
        person.entry = entry
        return person

    def entry(
        self,
        event_type: str,
        reason: str | None,
        effective: Day,
        notified_on: date | None,
        processed_at: datetime,
    ) -> Entry:
        """An entry of a first load: a change of its own."""
        change_id = self.change_id(self.at)
        return Entry(
            event_type,
            Nature.RECORD,
            reason,
            effective,
            notified_on,
            processed_at,
            change_id,
            event_id_of(change_id, 0),
        )

    # -- inside ------------------------------------------------------------------------------

    def _person(
        self,
        role: Role,
        family: Family,
        household: Household,
        name: Name,
        address: Address,
        came_from: Address,
        arrived: date,
    ) -> Person:
        random = self.random
        birthday = self._birthday(role.age)
        was_born_here = role.age < 18 and birthday > arrived
        since = birthday if was_born_here else max(arrived, birthday)
        notified = min(since + timedelta(days=random.randint(0, 13)), self.at.date())
        if was_born_here:
            opening, reason = "resident.born", "BIRTH"
        else:
            opening = "resident.moved_in"
            reason = "MOVED_IN_FROM_ABROAD" if family.is_foreign else "MOVED_IN_DOMESTIC"
        person = Person(
            number=self.person_number(),
            entry=self.entry(opening, reason, known(since), notified, self._processed(notified)),
            household=household,
            name=name,
            sex=role.sex,
            birth=self._birth(birthday, family, role),
            is_foreign=family.is_foreign,
            state=RESIDENT,
            relationship=role.relationship,
            address=address,
            previous_address=None if was_born_here else came_from,
            forwarding_address=None,
            became_resident_on=self._became(since),
            address_set_on=known(since),
            nationality=None,
            residence_status=None,
            residence_expires_on=None,
            is_protected=family.is_protected,
            last_household=household.number,
        )
        if family.is_foreign:
            status, runs_out = random.choice(names.RESIDENCE_STATUSES)
            person.residence_status = status
            if runs_out:
                days = random.randint(30, 1500)
                person.residence_expires_on = self.at.date() + timedelta(days=days)
        elif role.sex == families.FEMALE and role.age > 25 and random.random() < 0.02:
            former, kana = names.family_name(random)
            person.former_family_name, person.former_family_name_kana = former, kana
        return person

    def _moved_within(self, household: Household) -> None:
        """The household moved here from another address of the municipality since."""
        days = [person.address_set_on for person in household.members]
        day = self._day(max(each["date"] for each in days if each is not None))
        notified = min(day + timedelta(days=self.random.randint(0, 13)), self.at.date())
        before = anywhere(self.places.here(self.random))
        for person in household.members:
            person.previous_address = before
            person.address_set_on = known(day)
            person.version += 1
            person.entry = self.entry(
                "resident.address_changed",
                "MOVED_WITHIN",
                known(day),
                notified,
                self._processed(notified),
            )

    def _formed(self, day: date) -> Entry:
        return self.entry("household.changed", None, known(day), None, self._processed(day))

    def _birthday(self, age: int) -> date:
        today = self.at.date()
        return today - timedelta(days=int(age * 365.25) + self.random.randint(1, 364))

    def _birth(self, birthday: date, family: Family, role: Role) -> Day:
        """The date of birth as the register has it: rarely unknown, very rarely impossible."""
        if family.has_old_dates:
            if self.random.random() < 0.5:
                return impossible(f"{birthday.year // 4 * 4 + 1}-02-29")
            return unknown(f"{_era_year(birthday)}頃")
        if role.age > 80 and self.random.random() < 0.004:
            return unknown("年月日不詳")
        return known(birthday)

    def _became(self, since: date) -> Day:
        return unknown("年月日不詳") if self.random.random() < 0.002 else known(since)

    def _day(self, after: date) -> date:
        """A random day after *after* and before today."""
        span = (self.at.date() - after).days - 1
        return after + timedelta(days=self.random.randint(1, span)) if span > 1 else after

    def _processed(self, day: date) -> datetime:
        """A random moment in that day's office hours; never after the first load."""
        seconds = self.random.randint(0, 8 * 3600)
        at = datetime.combine(day, time(9), JAPAN) + timedelta(seconds=seconds)
        return min(at, self.at)


def families_for(population: int, random: Random) -> Iterator[Family]:
    """Families with *population* members in all: one of each kind first, then random ones."""
    left = population
    for make in families.SHOWCASE:
        family = make(random)
        if len(family.roles) > left:
            break
        left -= len(family.roles)
        yield family
    while left:
        family = families.some_family(random)
        if len(family.roles) > left:
            family = families.alone(random)
        left -= len(family.roles)
        yield family


def new_child(maker: Maker, household: Household, mother: Person, birthday: date) -> Person:
    """A child that is born into *household*; not yet a member, its entry is its mother's."""
    sex = maker.random.choice((MALE, families.FEMALE))
    family = (str(mother.name["family"]), str(mother.name["kana"]).partition("　")[0])
    return Person(
        number=maker.person_number(),
        version=0,
        entry=mother.entry,
        household=household,
        name=names.japanese(family, sex, maker.random),
        sex=sex,
        birth=known(birthday),
        is_foreign=False,
        state=RESIDENT,
        relationship=CHILD,
        address=mother.address,
        previous_address=None,
        forwarding_address=None,
        became_resident_on=known(birthday),
        address_set_on=known(birthday),
        nationality=None,
        residence_status=None,
        residence_expires_on=None,
        is_protected=mother.is_protected,
        last_household=household.number,
    )


def _era_year(day: date) -> str:
    """The year in Japan's own count, in full-width digits; 大正 before 昭和."""
    for start, era in _ERAS:
        if day >= start:
            return f"{era}{full_width(day.year - start.year + 1)}年"
    return f"大正{full_width(day.year - 1911)}年"


def _a_year_after(start: date) -> date:
    """The last day of the year that begins on *start* (2020-04-01 gives 2021-03-31)."""
    day = 28 if (start.month, start.day) == (2, 29) else start.day
    return start.replace(year=start.year + 1, day=day) - timedelta(days=1)
