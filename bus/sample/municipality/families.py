"""Families: sizes, ages and relations of one household, before its members get names.

Shares are those of Japan as a whole, roughly: over a third live alone, two in six hundred
households have no head, one in thirty is foreign.

Source for 続柄: 住民記録システム標準仕様書 v1.0, 1.1.11; up to four codes in a row for joined ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from bus.sample.municipality.subjects import HEAD

HUSBAND, WIFE = "11", "12"
HUSBAND_UNREGISTERED, WIFE_UNREGISTERED = "13", "14"
CHILD, FATHER, MOTHER = "20", "51", "52"
BROTHER, SISTER, RELATIVE, LODGER = "74", "84", "96", "99"  # younger ones
ELDER_BROTHER, ELDER_SISTER = "71", "81"
MALE, FEMALE = "1", "2"


@dataclass(frozen=True, slots=True)
class Role:
    """One member: relation to the head, sex, age."""

    relationship: str | None
    sex: str
    age: int
    has_own_name: bool = False  # not the household's family name


@dataclass(frozen=True, slots=True)
class Family:
    """The roles of one household."""

    roles: tuple[Role, ...]
    is_foreign: bool = False
    is_protected: bool = False
    has_old_dates: bool = field(default=False)  # a birth date that nobody knows any more


def alone(random: Random) -> Family:
    """One person."""
    age = random.choice((random.randint(18, 39), random.randint(40, 69), random.randint(70, 99)))
    return Family((Role(HEAD, random.choice((MALE, FEMALE)), age),))


def couple(random: Random) -> Family:
    """Two, one of them the head."""
    return Family(_couple(random, random.randint(24, 88)))


def with_children(random: Random) -> Family:
    """A couple and one to three children."""
    age = random.randint(26, 54)
    return Family((*_couple(random, age), *_children(random, age, random.choice((1, 1, 2, 2, 3)))))


def single_parent(random: Random) -> Family:
    """Mother or father with children."""
    age = random.randint(24, 52)
    head = Role(HEAD, MALE if random.random() < 0.15 else FEMALE, age)
    return Family((head, *_children(random, age, random.choice((1, 1, 2)))))


def three_generations(random: Random) -> Family:
    """A couple, children, and the head's mother or father."""
    age = random.randint(32, 58)
    old = age + random.randint(22, 34)
    grandparent = Role(MOTHER, FEMALE, old) if random.random() < 0.7 else Role(FATHER, MALE, old)
    return Family((*_couple(random, age), *_children(random, age, 2), grandparent))


def siblings(random: Random) -> Family:
    """Brothers and sisters."""
    age = random.randint(20, 70)
    younger = (
        Role(BROTHER, MALE, age - 2) if random.random() < 0.5 else Role(SISTER, FEMALE, age - 3)
    )
    return Family((Role(HEAD, random.choice((MALE, FEMALE)), age), younger))


def lodgers(random: Random) -> Family:
    """Friends, or relations of whom nobody knows how."""
    age = random.randint(20, 40)
    other = random.choice((LODGER, RELATIVE))
    return Family(
        (
            Role(HEAD, random.choice((MALE, FEMALE)), age),
            Role(other, random.choice((MALE, FEMALE)), age + 1, has_own_name=True),
        )
    )


def grandchild(random: Random) -> Family:
    """A head with a child and that child's child: joined relations (子の妻, 子の子)."""
    age = random.randint(66, 85)
    parent = age - random.randint(24, 32)
    return Family(
        (
            Role(HEAD, random.choice((MALE, FEMALE)), age),
            Role(CHILD, MALE, parent),
            Role(CHILD + WIFE, FEMALE, parent - 2),
            Role(CHILD + CHILD, random.choice((MALE, FEMALE)), max(0, parent - 28)),
        )
    )


def without_head(random: Random) -> Family:
    """Children whose guardian lives elsewhere: allowed, and sent as it is (1.1.10)."""
    return Family(
        (
            Role(None, random.choice((MALE, FEMALE)), random.randint(10, 17)),
            Role(None, random.choice((MALE, FEMALE)), random.randint(1, 9)),
        )
    )


def very_old(random: Random) -> Family:
    """Somebody of whose birth only the year is known."""
    role = Role(HEAD, random.choice((MALE, FEMALE)), random.randint(96, 108))
    return Family((role,), has_old_dates=True)


def protected_parent(random: Random) -> Family:
    """A mother with children, all under protection."""
    age = random.randint(25, 45)
    return Family((Role(HEAD, FEMALE, age), *_children(random, age, 2)), is_protected=True)


def foreign_family(random: Random) -> Family:
    """A couple and children from abroad."""
    return Family(with_children(random).roles, is_foreign=True)


def foreign_alone(random: Random) -> Family:
    """A student or worker from abroad."""
    return Family((Role(HEAD, random.choice((MALE, FEMALE)), random.randint(18, 45)),), True)


SHOWCASE: tuple[Callable[[Random], Family], ...] = (
    three_generations, couple, protected_parent, very_old, foreign_family, without_head,
    with_children, protected_parent, grandchild, foreign_alone, siblings, single_parent,
)  # fmt: skip
"""The first households of every municipality, so that a small one has everything too."""

_SHARES: tuple[tuple[Callable[[Random], Family], float], ...] = (
    (alone, 0.355), (couple, 0.225), (with_children, 0.215), (single_parent, 0.075),
    (three_generations, 0.04), (siblings, 0.015), (lodgers, 0.015), (grandchild, 0.01),
    (without_head, 0.003), (very_old, 0.002), (protected_parent, 0.003), (foreign_family, 0.012),
    (foreign_alone, 0.03),
)  # fmt: skip
_KINDS = [kind for kind, _ in _SHARES]
_WEIGHTS = [share for _, share in _SHARES]


def some_family(random: Random) -> Family:
    """A household of any kind, by the shares of each."""
    return random.choices(_KINDS, _WEIGHTS)[0](random)


def _couple(random: Random, age: int) -> tuple[Role, Role]:
    registered = random.random() > 0.02
    if random.random() < 0.85:
        wife = WIFE if registered else WIFE_UNREGISTERED
        other = Role(wife, FEMALE, max(18, age - random.randint(-2, 6)), not registered)
        return Role(HEAD, MALE, age), other
    husband = HUSBAND if registered else HUSBAND_UNREGISTERED
    return Role(HEAD, FEMALE, age), Role(husband, MALE, age + random.randint(-2, 5), not registered)


def _children(random: Random, parent: int, count: int) -> tuple[Role, ...]:
    oldest = max(0, parent - random.randint(22, 34))
    return tuple(
        Role(CHILD, random.choice((MALE, FEMALE)), max(0, oldest - 3 * number))
        for number in range(count)
    )
