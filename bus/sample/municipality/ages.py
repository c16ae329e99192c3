"""Ages by the law, and the days on which they are reached; none where the birth date is unknown.

年齢計算ニ関する法律 and 民法 143条: a year of age is complete at the end of the day *before* the
birthday. So most laws act on that day (65 and 介護保険, 20 and 国民年金, the 1st of April and
school), while 後期高齢者医療 is entered on the 75th birthday itself. Days are derived from the
laws; no source gives them as items.
"""

from __future__ import annotations

from datetime import date, timedelta

from bus.sample.municipality.subjects import Person

_ONE_DAY = timedelta(days=1)


def attains(birth: date, years: int) -> date:
    """The day at whose end the age of *years* is complete: the one before the birthday.

    Who was born on the 29th of February attains it on the 28th, in whatever year.
    """
    if (birth.month, birth.day) == (2, 29):
        return date(birth.year + years, 2, 28)
    return birth.replace(year=birth.year + years) - _ONE_DAY


def birthday(birth: date, years: int) -> date:
    """The birthday in a given year; 1 March for 29 February where the year has none."""
    return attains(birth, years) + _ONE_DAY


def school_entry(birth: date) -> date:
    """The 1st of April on which school begins (学校教育法 17条): six is complete the day before."""
    six = birthday(birth, 6)
    return date(six.year if six <= date(six.year, 4, 1) else six.year + 1, 4, 1)


def compulsory_school_end(birth: date) -> date:
    """The last day of the school year in which fifteen is complete."""
    return date(school_entry(birth).year + 9, 3, 31)


def allowance_end(birth: date) -> date:
    """The last day of the school year in which eighteen is complete (児童手当法 3条)."""
    return date(school_entry(birth).year + 12, 3, 31)


def is_at_least(person: Person, years: int, day: date) -> bool:
    """Whether *person* has completed *years* on *day*; never where the birth date is unknown."""
    born = person.birth["date"]
    return born is not None and attains(born, years) <= day


def milestones(birth: date) -> dict[str, date]:
    """Every milestone of a person's life, and its day."""
    return {
        "SCHOOL_ENTRY": school_entry(birth),
        "COMPULSORY_SCHOOL_END": compulsory_school_end(birth),
        "CHILD_ALLOWANCE_END": allowance_end(birth),
        "AGE_18": attains(birth, 18),
        "AGE_20": attains(birth, 20),
        "AGE_40": attains(birth, 40),
        "AGE_60": attains(birth, 60),
        "AGE_65": attains(birth, 65),
        "AGE_75": birthday(birth, 75),
    }
