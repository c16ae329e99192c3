"""Changes of the register: each is entered into its books and returned as a change.

Each function picks somebody it can happen to (or takes whom it is given), changes the register
and returns the change as the register hands it in. *at* is when the clerk enters it, aware.

Raises, each of them, :class:`LookupError` where it can happen to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from bus.model import Change, Nature
from bus.sample.municipality import families
from bus.sample.municipality.families import (
    CHILD,
    FEMALE,
    HUSBAND,
    HUSBAND_UNREGISTERED,
    WIFE,
    WIFE_UNREGISTERED,
)
from bus.sample.municipality.making import JAPAN, new_child
from bus.sample.municipality.places import anywhere
from bus.sample.municipality.register import Municipality, Part
from bus.sample.municipality.subjects import (
    DECEASED,
    HEAD,
    MOVED_OUT,
    Day,
    Household,
    Person,
    known,
)

_SPOUSES = (HUSBAND, WIFE, HUSBAND_UNREGISTERED, WIFE_UNREGISTERED)


def family_moves(
    municipality: Municipality, at: datetime, household: Household | None = None
) -> Change:
    """A family of three or more moves within the municipality (転居): one event per member."""
    household = household or municipality.some_household(
        lambda each: len(each.members) >= 3 and not each.is_protected
    )
    return _move_within(municipality, at, household)


def protected_person_moves(municipality: Municipality, at: datetime) -> Change:
    """Somebody under protection moves within the municipality, with whoever lives there."""
    return _move_within(
        municipality, at, municipality.some_household(lambda each: each.is_protected)
    )


def birth(municipality: Municipality, at: datetime, household: Household | None = None) -> Change:
    """A child is born to a couple (出生): the child's first entry and the household's next."""
    household = household or municipality.some_household(_may_have_child)
    parents = [m for m in household.members if m.relationship == HEAD or _is_spouse(m)]
    mother = next((m for m in parents if m.sex == FEMALE and not m.is_foreign), parents[0])
    birthday = _day_before(municipality, at, 13)
    child = new_child(municipality.make, household, mother, birthday)
    household.members.append(child)
    municipality.persons.append(child)
    return municipality.enter(
        at,
        "BIRTH",
        _today(at),
        [
            Part(
                subject=child,
                event_type="resident.born",
                effective=known(birthday),
                nature=Nature.RECORD,
            ),
            _household_changed(household, known(birthday)),
        ],
    )


def death(municipality: Municipality, at: datetime, person: Person | None = None) -> Change:
    """Somebody dies (死亡). Where it was the head, the spouse or the eldest follows.

    Everybody whose 続柄 that changes has an event of their own in the same change.
    """
    if person is None:
        household = municipality.some_household(_has_old_head)
        person = household.head
    assert person is not None  # the household was chosen for its head
    day = _day_before(municipality, at, 6)
    _keep(person)
    person.state = DECEASED
    parts = [
        Part(
            subject=person,
            event_type="resident.died",
            effective=known(day),
            nature=Nature.CESSATION,
        )
    ]
    parts += _leave(person, known(day))
    return municipality.enter(at, "DEATH", _today(at), parts)


def moves_in(
    municipality: Municipality, at: datetime, family: families.Family | None = None
) -> Change:
    """A household moves in from elsewhere in Japan (国内転入)."""
    make = municipality.make
    family = family or families.some_family(municipality.random)
    household = make.household(families.Family(family.roles))
    household.version = 0
    day = known(_day_before(municipality, at, 13))
    came_from = municipality.places.elsewhere(municipality.random)
    parts = []
    for person in household.members:
        person.version = 0
        person.previous_address = came_from
        person.became_resident_on = person.address_set_on = day
        parts.append(
            Part(
                subject=person,
                event_type="resident.moved_in",
                effective=day,
                nature=Nature.RECORD,
            )
        )
    municipality.households.append(household)
    municipality.persons += household.members
    parts.append(_household_changed(household, day, Nature.RECORD))
    return municipality.enter(at, "MOVED_IN_DOMESTIC", _today(at), parts)


def moves_out(
    municipality: Municipality, at: datetime, household: Household | None = None
) -> Change:
    """A whole household moves out (国内転出); nobody is left in it."""
    household = household or municipality.some_household(
        lambda each: bool(each.members) and not each.is_protected
    )
    day = known(_day_before(municipality, at, 3))
    goes_to = municipality.places.elsewhere(municipality.random)
    parts = []
    for person in household.members:
        _keep(person)
        person.state = MOVED_OUT
        person.forwarding_address = goes_to
        person.household = None
        parts.append(
            Part(
                subject=person,
                event_type="resident.moved_out",
                effective=day,
                nature=Nature.CESSATION,
            )
        )
    household.members.clear()
    parts.append(_household_changed(household, day))
    return municipality.enter(at, "MOVED_OUT_DOMESTIC", _today(at), parts)


def name_changes(municipality: Municipality, at: datetime) -> Change:
    """A former family name is entered (旧氏の記載)."""
    household = municipality.some_household(
        lambda each: any(_is_spouse(member) and not member.is_foreign for member in each.members)
    )
    person = next(m for m in household.members if _is_spouse(m) and not m.is_foreign)
    _keep(person)
    person.former_family_name, person.former_family_name_kana = "髙橋", "タカハシ"
    part = Part(subject=person, event_type="resident.name_changed", effective=known(_today(at)))
    return municipality.enter(at, "FORMER_FAMILY_NAME_ENTRY", _today(at), [part])


def correction(municipality: Municipality, at: datetime, earlier: Change | None = None) -> Change:
    """A clerical error is corrected (誤記修正): each event names the one that was wrong.

    Args:
        earlier: The change in which the lot of an address was wrong; it must be the newest of
            everybody in it. By default the newest entries of some household.
    """
    if earlier is None:
        household = municipality.some_household(lambda each: bool(each.members))
        persons = list(household.members)
    else:
        persons = _of(municipality, earlier)
    parts = []
    address = dict(persons[0].address or {})
    address["lot"] = municipality.places.here(municipality.random)["lot"]
    for person in persons:
        wrong = person.entry
        _keep(person)
        person.address = address
        parts.append(
            Part(
                subject=person,
                event_type="resident.corrected",
                effective=wrong.effective,
                nature=Nature.CORRECTION,
                cancels=wrong.event_id,
            )
        )
    return municipality.enter(at, "CLERICAL_ERROR_CORRECTION", None, parts)


def cancellation(municipality: Municipality, at: datetime, earlier: Change) -> Change:
    """A change is undone (異動の取消し（修正）): everybody in it is as before, one version on.

    Args:
        earlier: A change of addresses or names; it must be the newest of everybody in it.
    """
    parts = []
    for person in _of(municipality, earlier):
        if person.before is None:
            raise LookupError("nothing is known of the state before this change")
        wrong, before = person.entry, person.before
        person.before = None
        person.address = before["address"]
        person.previous_address = before["previous_address"]
        person.address_set_on = before["address_set_on"]
        person.former_family_name = before["former_family_name"]
        person.former_family_name_kana = before["former_family_name_kana"]
        parts.append(
            Part(
                subject=person,
                event_type="resident.change_cancelled",
                effective=wrong.effective,
                nature=Nature.CANCELLATION,
                cancels=wrong.event_id,
            )
        )
    return municipality.enter(at, "CANCELLATION_CORRECTION", None, parts)


def protection_starts(
    municipality: Municipality, at: datetime, person: Person | None = None
) -> Change:
    """Somebody is put under protection (支援措置), with the new snapshot in the same change.

    Args:
        person: Who; by default somebody who lives alone, whom no one else's address gives away.
    """
    if person is None:
        household = municipality.some_household(
            lambda each: len(each.members) == 1 and not each.is_protected
        )
        person = household.members[0]
    if person.is_protected:
        raise LookupError("this person is under protection already")
    day = _today(at)
    ended = municipality.protections.get(person.number)
    protection = municipality.make.protection_of(person.number, day, at)
    protection.version = ended.version if ended else 0
    municipality.protections[person.number] = protection
    return _protect(
        municipality,
        at,
        person,
        Part(
            subject=protection,
            event_type="protection.started",
            effective=known(day),
            nature=Nature.CHANGE if ended else Nature.RECORD,
        ),
        is_protected=True,
    )


def protection_ends(
    municipality: Municipality, at: datetime, person: Person | None = None
) -> Change:
    """Somebody's protection is lifted, by an act of its own and never by a date."""
    if person is None:
        household = municipality.some_household(lambda each: each.is_protected)
        person = next(member for member in household.members if member.is_protected)
    protection = municipality.protections[person.number]
    protection.status, protection.decided_on = "ENDED", _today(at)
    part = Part(
        subject=protection,
        event_type="protection.ended",
        effective=known(_today(at)),
        nature=Nature.CESSATION,
    )
    return _protect(municipality, at, person, part, is_protected=False)


def anything(municipality: Municipality, at: datetime) -> Change:
    """Some change of an ordinary day, each kind about as often as it happens.

    What can happen to nobody any more gives way to something else.
    """
    for kind in municipality.random.choices(_KINDS, _WEIGHTS, k=_TRIES):
        try:
            return kind(municipality, at)
        except LookupError:
            continue
    return moves_in(municipality, at)


def _any_move(municipality: Municipality, at: datetime) -> Change:
    return _move_within(
        municipality, at, municipality.some_household(lambda each: bool(each.members))
    )


_TRIES = 5
_SHARES: tuple[tuple[Callable[[Municipality, datetime], Change], int], ...] = (
    (_any_move, 26), (moves_in, 29), (moves_out, 28), (birth, 4), (death, 8), (correction, 4),
    (name_changes, 1),
)  # fmt: skip
_KINDS = [kind for kind, _ in _SHARES]
_WEIGHTS = [share for _, share in _SHARES]


# -- parts of a change ------------------------------------------------------------------------


def _move_within(municipality: Municipality, at: datetime, household: Household) -> Change:
    address = municipality.places.here(municipality.random)
    day = known(_day_before(municipality, at, 13))
    parts = []
    for person in household.members:
        _keep(person)
        person.previous_address = anywhere(person.address) if person.address else None
        person.address = address
        person.address_set_on = day
        parts.append(Part(subject=person, event_type="resident.address_changed", effective=day))
    return municipality.enter(at, "MOVED_WITHIN", _today(at), parts)


def _leave(person: Person, day: Day) -> list[Part]:
    """Take *person* out of the household; the new head, and which relations change."""
    household, person.household = person.household, None
    if household is None:
        return []
    household.members.remove(person)
    parts = []
    if person.relationship == HEAD and household.members:
        heir = next((m for m in household.members if _is_spouse(m)), None)
        heir = heir or max(household.members, key=_age_order)
        for member in household.members:
            now = _relation_to(heir, member, person)
            if now != member.relationship:
                parts.append((member, now))
    changed = []
    for member, now in parts:
        _keep(member)
        member.relationship = now
        changed.append(Part(subject=member, event_type="resident.corrected", effective=day))
    return [*changed, _household_changed(household, day)]


def _relation_to(heir: Person, member: Person, late: Person) -> str | None:
    """A member's relation to the new head, from the relations of both to the old one."""
    if member is heir:
        return HEAD
    was = member.relationship
    if was is None:
        return None
    if _is_spouse(heir):
        return was if was.startswith(CHILD) else f"{HUSBAND if late.sex == '1' else WIFE}{was}"
    if heir.relationship == CHILD and was == CHILD:
        is_elder = _age_order(member) > _age_order(heir)
        if member.sex == FEMALE:
            return families.ELDER_SISTER if is_elder else families.SISTER
        return families.ELDER_BROTHER if is_elder else families.BROTHER
    return families.RELATIVE


def _protect(
    municipality: Municipality, at: datetime, person: Person, part: Part, *, is_protected: bool
) -> Change:
    _keep(person)
    person.is_protected = is_protected
    snapshot = Part(subject=person, event_type="resident.corrected", effective=part.effective)
    return municipality.enter(at, None, None, [part, snapshot])


def _household_changed(household: Household, day: Day, nature: Nature = Nature.CHANGE) -> Part:
    return Part(subject=household, event_type="household.changed", effective=day, nature=nature)


def _of(municipality: Municipality, earlier: Change) -> list[Person]:
    """The residents of *earlier*, if nothing has happened to them since."""
    numbers = {record.subject_id for record in earlier.records if record.stream == "resident"}
    found = [person for person in municipality.persons if person.number in numbers]
    if not found or any(person.entry.change_id != earlier.change_id for person in found):
        raise LookupError("this change is not the newest of everybody in it")
    return found


def _keep(person: Person) -> None:
    """Remember a state before it is replaced, for corrections and cancellations."""
    person.before = person.body()


def _may_have_child(household: Household) -> bool:
    couple = [m for m in household.members if m.relationship == HEAD or _is_spouse(m)]
    return len(couple) == 2 and any(
        person.sex == FEMALE
        and not person.is_foreign
        and not person.is_protected
        and person.birth["date"] is not None
        and date(1984, 1, 1) < person.birth["date"] < date(2005, 1, 1)
        for person in couple
    )


def _has_old_head(household: Household) -> bool:
    head = household.head
    return (
        head is not None
        and not head.is_protected
        and len(household.members) > 1
        and head.birth["date"] is not None
        and head.birth["date"] < date(1966, 1, 1)
    )


def _is_spouse(person: Person) -> bool:
    return person.relationship in _SPOUSES


def _age_order(person: Person) -> int:
    """A sort key, larger for who is older; an unknown birth date counts as very old."""
    born = person.birth["date"]
    return -born.toordinal() if born else 0


def _today(at: datetime) -> date:
    return at.astimezone(JAPAN).date()


def _day_before(municipality: Municipality, at: datetime, most: int) -> date:
    """A day up to *most* days before *at*."""
    return _today(at) - timedelta(days=municipality.random.randint(0, most))
