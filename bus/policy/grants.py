"""The values that a subscription's file holds: grants and their terms (提供許可).

One entry of the purpose register per system and stream: on which ground, for which purpose, on
whose word and until when, which items, which rows, how masked and how used. Here is its form
alone; whether it makes sense for the stream is :mod:`bus.policy.check`'s business.

Source: 個人情報保護法 69条; 番号法 9条2項 (between sections of one municipality) and 19条11号
(to another organ of it): both need an ordinance that lists who receives what.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints, model_validator

from bus.model import Comparable, Comparison, Condition, MaskKind, Mode, Suppression
from bus.policy.leaves import is_covered

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A sentence somebody wrote: never blank."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")]
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class Zone(StrEnum):
    """Where in the municipality's network a system stands (三層の対策)."""

    INDIVIDUAL_NUMBER = "individual_number"
    LGWAN = "lgwan"
    INTERNET = "internet"

    @property
    def ja(self) -> str:
        """The zone's name in the guideline."""
        return _ZONES[self]


_ZONES = {
    Zone.INDIVIDUAL_NUMBER: "マイナンバー利用事務系",
    Zone.LGWAN: "LGWAN接続系",
    Zone.INTERNET: "インターネット接続系",
}


class LegalReference(BaseModel):
    """One ground: a law, an ordinance, or a notice that says how a law is applied."""

    model_config = _STRICT

    law: Text | None = None
    ordinance: Text | None = None
    notice: Text | None = None
    article: Text | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(name is not None for name in (self.law, self.ordinance, self.notice)) != 1:
            raise ValueError("one of law, ordinance and notice")
        return self

    @property
    def is_binding(self) -> bool:
        """Whether it can carry a grant alone: a notice cannot."""
        return self.notice is None

    def __str__(self) -> str:
        return f"{self.law or self.ordinance or self.notice}{self.article or ''}"


class LegalBasis(
    RootModel[Annotated[tuple[LegalReference, ...], Field(min_length=1, strict=False)]]
):
    """All grounds of a grant; ``str`` gives them one after the other."""

    model_config = ConfigDict(frozen=True)

    def __str__(self) -> str:
        return "、".join(str(ground) for ground in self.root)


class NumberLaw(StrEnum):
    """Under which article of 番号法 an ordinance lets a section have 個人番号."""

    OWN_USE = "第9条第2項"
    OTHER_ORGAN = "第19条第11号"


class NumberUse(BaseModel):
    """番号利用事務: the affair, and the ordinance that names it."""

    model_config = _STRICT

    affair: Text
    ordinance: Text
    article: Text
    under: Annotated[NumberLaw, Field(strict=False)]

    def __str__(self) -> str:
        return f"{self.ordinance}{self.article}（番号法{self.under.value}）: {self.affair}"


class Where(BaseModel):
    """One condition on a record: an item and exactly one comparison."""

    model_config = _STRICT

    field: Name
    equals: Comparable | None = None
    in_: Annotated[tuple[Comparable, ...] | None, Field(alias="in", min_length=1, strict=False)] = (
        None
    )
    is_null: bool | None = None
    at_least: int | date | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self._said) != 1:
            raise ValueError("one of equals, in, is_null and at_least")
        return self

    @property
    def _said(self) -> dict[Comparison, tuple[Comparable, ...]]:
        single = {
            Comparison.EQUALS: self.equals,
            Comparison.IS_NULL: self.is_null,
            Comparison.AT_LEAST: self.at_least,
        }
        said: dict[Comparison, tuple[Comparable, ...]] = {
            name: (value,) for name, value in single.items() if value is not None
        }
        return said if self.in_ is None else said | {Comparison.IN: self.in_}

    @property
    def condition(self) -> Condition:
        """The condition as a value of :mod:`bus.model`."""
        ((comparison, values),) = self._said.items()
        return Condition(self.field, comparison, values)


class Grant(BaseModel):
    """What a system may receive of one stream, for which purpose and by whose approval."""

    model_config = _STRICT

    event_types: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    """Events of these types only."""
    where: Annotated[tuple[Where, ...], Field(strict=False)] = ()
    """Conditions on the record, all of which hold in a row that the system may see."""
    fields: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Items of the body; a record's name grants everything in it. The header is always there."""
    masks: dict[Name, Annotated[MaskKind, Field(strict=False)]] = {}
    """Item, or record, that is granted -> what is left of it."""
    suppression: Annotated[Suppression, Field(strict=False)] = Suppression.WITHHOLD
    suppression_reason: Text | None = None
    """Why this system must have a protected person's address; needed with ``capable``."""
    mode: Annotated[Mode, Field(strict=False)] = Mode.AUTO_APPLY
    number_use: NumberUse | None = None
    """番号利用事務 with its ordinance; needed wherever a restricted item is granted."""
    legal_basis: LegalBasis
    purpose: Text
    approver: Text
    approved_on: date
    expires_on: date
    """The last day on which the grant is in force."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of ``where``, in an order that does not depend on the file's."""
        return tuple(sorted((each.condition for each in self.where), key=str))

    def grants(self, path: str) -> bool:
        """Whether the item at *path* is granted, masked or not."""
        return is_covered(path, self.fields)

    def is_in_force(self, today: date) -> bool:
        """Whether *today* lies between the days of approval and expiry, both included."""
        return self.approved_on <= today <= self.expires_on


class Subscription(BaseModel):
    """One business system and what it may receive."""

    model_config = _STRICT

    system: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    ja: Text
    business_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] | None
    """業務ID. The site's configuration; null where it has not been set."""
    ministry: Text
    separate_organ: Text | None
    """The organ that runs the system where it is not the mayor's (教育委員会 …)."""
    zone: Annotated[Zone, Field(strict=False)]
    streams: dict[str, Grant]
