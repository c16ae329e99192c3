"""The story of the demo: which change comes when, who makes it, and what it shows.

Some happen in the register, and the others follow from them: a family moves, and its vehicle and
its child's school with it; another moves in, and is insured, granted an allowance and given a
nursery, of which the register hears in its turn. By the end every system has published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from bus.model import Change, ChangeRecord
from bus.sample.municipality import Household, Municipality, Person, consequences, events
from bus.sample.municipality.families import CHILD, FEMALE, HUSBAND, MALE, Family, Role
from bus.sample.municipality.subjects import HEAD

WITHHOLDS = "child_allowance"
"""A system that gets no address of a protected person."""

ARRIVING = Family(
    (
        Role(HEAD, FEMALE, 36),
        Role(HUSBAND, MALE, 38),
        Role(CHILD, FEMALE, 9),
        Role(CHILD, MALE, 2),
    )
)
"""The family that moves in: one child for school, one for a nursery."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One change, to be entered by the system that makes it."""

    kind: str
    ja: str
    what: str
    make: Callable[[datetime], Change]
    shows: Callable[[Change], ChangeRecord] | None = None
    """Whose row to show side by side afterwards; None: nobody's."""


class _Cast:
    """The persons of the story, each chosen when the first scene with them comes."""

    def __init__(self, town: Municipality) -> None:
        self.town = town
        self.moving: Household = _somebody_with_everything(town)
        self.moved: Change | None = None
        self.arrived: Household = self.moving
        self.born: Person | None = None
        self.died: Person | None = None
        self.protected: Household = self.moving

    def family_moves(self, at: datetime) -> Change:
        self.moved = events.family_moves(self.town, at, self.moving)
        return self.moved

    def family_moves_in(self, at: datetime) -> Change:
        change = events.moves_in(self.town, at, ARRIVING)
        self.arrived = self.town.households[-1]
        return change

    def child_is_born(self, at: datetime) -> Change:
        change = events.birth(self.town, at)
        self.born = self._person(change, "resident.born")
        return change

    def number_is_assigned(self, at: datetime) -> Change:
        if self.born is None:
            raise LookupError("nobody was born yet")
        return consequences.number_is_assigned(self.town, at, self.born)

    def somebody_dies(self, at: datetime) -> Change:
        change = events.death(self.town, at)
        self.died = self._person(change, "resident.died")
        return change

    def protected_person_moves(self, at: datetime) -> Change:
        owners = {
            each.content["owner_subject_id"]
            for each in self.town.hall.holdings("light_vehicle_tax.vehicle")
        }
        self.protected = self.town.some_household(
            lambda each: any(m.is_protected and m.number in owners for m in each.members)
        )
        return events.family_moves(self.town, at, self.protected)

    def move_is_corrected(self, at: datetime) -> Change:
        return events.correction(self.town, at, self.moved)

    def elector_is_struck_off(self, at: datetime) -> Change:
        if self.died is None:
            raise LookupError("nobody has died yet")
        return consequences.elector_is_struck_off(self.town, at, self.died)

    def _person(self, change: Change, event_type: str) -> Person:
        number = next(r.subject_id for r in change.records if r.event_type == event_type)
        return next(person for person in self.town.persons if person.number == number)


def scenes(town: Municipality) -> Iterator[Scene]:
    """The changes in order; each is made when its turn comes."""
    cast = _Cast(town)
    reached: dict[str, Person] = {}

    def comes_of_age(milestone: str) -> Callable[[datetime], Change]:
        def make(at: datetime) -> Change:
            person = reached[milestone] = consequences.somebody_who_reached(town, at, milestone)
            return consequences.milestone_is_reached(town, at, person, milestone)

        return make

    yield Scene("family_moves", "転居", "a family moves", cast.family_moves, _resident)
    yield Scene(
        "vehicle_follows",
        "定置場の変更",
        "its vehicle is kept at the new address",
        lambda at: consequences.vehicle_follows(town, at, cast.moving),
    )
    yield Scene(
        "levy_follows",
        "納税通知先の変更",
        "the levy on its house is sent there",
        lambda at: consequences.levy_follows(town, at, cast.moving),
    )
    yield Scene(
        "school_changes",
        "転校",
        "its children change school",
        lambda at: consequences.school_changes(town, at, cast.moving),
    )
    yield Scene(
        "family_moves_in", "国内転入", "another family moves in", cast.family_moves_in, _resident
    )
    yield Scene(
        "health_insurance_begins",
        "国保資格取得",
        "it is insured in 国民健康保険",
        lambda at: consequences.insured_on_arrival(town, at, cast.arrived),
    )
    yield Scene(
        "pension_begins",
        "国民年金資格取得",
        "the parents are enrolled in 国民年金",
        lambda at: consequences.pensioned_on_arrival(town, at, cast.arrived),
    )
    yield Scene(
        "application_arrives",
        "児童手当の認定請求",
        "a parent applies over マイナポータル",
        lambda at: consequences.application_arrives(town, at, cast.arrived),
    )
    yield Scene(
        "allowance_is_granted",
        "児童手当の認定",
        "the allowance is granted",
        lambda at: consequences.allowance_is_granted(town, at, cast.arrived),
    )
    yield Scene(
        "childcare_is_certified",
        "教育・保育給付認定",
        "the younger child may go to a nursery",
        lambda at: consequences.childcare_is_certified(town, at, cast.arrived),
    )
    yield Scene(
        "nonresident_is_linked",
        "名寄せ",
        "the father owned land here before",
        lambda at: consequences.nonresident_is_linked(town, at, cast.arrived.members[1]),
    )
    yield Scene("birth", "出生", "a child is born", cast.child_is_born, _resident)
    yield Scene(
        "number_is_assigned",
        "個人番号の付番",
        "the child gets its number",
        cast.number_is_assigned,
    )
    yield Scene("death", "死亡", "somebody dies", cast.somebody_dies, _resident)
    yield Scene(
        "elector_is_struck_off",
        "選挙人名簿の抹消",
        "the elector is struck off the roll",
        cast.elector_is_struck_off,
    )
    yield Scene("turns_65", "65歳到達", "somebody turns 65 today or did", comes_of_age("AGE_65"))
    yield Scene(
        "care_insurance_begins",
        "介護保険資格取得",
        "and is insured in 介護保険",
        lambda at: consequences.care_insurance_begins(town, at, reached["AGE_65"]),
    )
    yield Scene("turns_75", "75歳到達", "somebody turns 75 today or did", comes_of_age("AGE_75"))
    yield Scene(
        "elderly_care_begins",
        "後期高齢資格取得",
        "and is insured in 後期高齢者医療",
        lambda at: consequences.elderly_care_begins(town, at, reached["AGE_75"]),
    )
    yield Scene(
        "tax_is_reassessed",
        "個人住民税の税額変更",
        "a tax is assessed anew",
        lambda at: consequences.tax_is_reassessed(town, at),
    )
    yield Scene(
        "corporation_amends",
        "法人住民税の修正申告",
        "a corporation amends its return",
        lambda at: consequences.corporation_amends(town, at),
    )
    yield Scene(
        "rearing_allowance",
        "児童扶養手当の認定",
        "a single parent is granted an allowance",
        lambda at: consequences.rearing_allowance_is_granted(town, at),
    )
    yield Scene(
        "assistance_starts",
        "生活保護の開始",
        "a household is put on public assistance",
        lambda at: consequences.assistance_starts(town, at),
    )
    yield Scene(
        "certificate_is_issued",
        "障害者手帳の交付",
        "a certificate of disability is issued",
        lambda at: consequences.certificate_is_issued(town, at),
    )
    yield Scene(
        "vaccination_is_given",
        "予防接種",
        "somebody is vaccinated",
        lambda at: consequences.vaccination_is_given(town, at),
    )
    yield Scene(
        "protection_starts",
        "支援措置",
        "somebody is put under protection",
        lambda at: events.protection_starts(town, at),
        _resident,
    )
    yield Scene(
        "protected_person_moves",
        "転居（支援措置）",
        "a protected person moves",
        cast.protected_person_moves,
        _protected,
    )
    yield Scene(
        "protected_vehicle_follows",
        "定置場（支援措置）",
        "the vehicle follows, and tells nobody where",
        lambda at: consequences.vehicle_follows(town, at, cast.protected),
    )
    yield Scene(
        "correction",
        "誤記修正",
        "the family's move is corrected",
        cast.move_is_corrected,
        _resident,
    )


def _somebody_with_everything(town: Municipality) -> Household:
    """A family whose move concerns many systems: a vehicle, a house, a child at school."""
    hall = town.hall
    drivers = {h.content["owner_subject_id"] for h in hall.holdings("light_vehicle_tax.vehicle")}
    owners = {h.content["taxpayer_subject_id"] for h in hall.holdings("fixed_asset_tax.levy")}
    pupils = {
        h.number
        for h in hall.holdings("school_enrollment.enrollment")
        if h.content["school_kind"] == "ELEMENTARY" and (h.content["grade"] or 0) < 6
    }
    return town.some_household(
        lambda each: (
            len(each.members) >= 3
            and not each.is_protected
            and all(
                numbers & {member.number for member in each.members}
                for numbers in (drivers, owners, pupils)
            )
        )
    )


def _resident(change: Change) -> ChangeRecord:
    return next(record for record in change.records if record.stream == "resident")


def _protected(change: Change) -> ChangeRecord:
    return next(
        record
        for record in change.records
        if record.stream == "resident" and record.body.get("protected")
    )
