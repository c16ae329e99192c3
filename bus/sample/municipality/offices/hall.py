"""The town hall: the other systems' records, made when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from random import Random

from bus.sample.municipality.making import JAPAN
from bus.sample.municipality.offices.circumstances import Circumstances
from bus.sample.municipality.offices.holdings import Holding, Scribe
from bus.sample.municipality.places import Places
from bus.sample.municipality.subjects import Household, Person, Protection

Maker = Callable[["Hall"], list[Holding]]


@dataclass(frozen=True, slots=True)
class Residents:
    """The people in the register, kept up to date by it."""

    persons: Sequence[Person]
    """Those who left included."""
    households: Sequence[Household]
    protections: Mapping[str, Protection]
    """By the person's number."""


class Hall:
    """The other systems of one municipality.

    Args:
        seed: The same seed and register give the same records.
        code: The municipality's code.
        at: The moment of the first load.
        places: Its towns.
        residents: Whom the register has.
        makers: By stream, who makes its records.
    """

    def __init__(
        self,
        seed: str,
        code: str,
        at: datetime,
        places: Places,
        residents: Residents,
        makers: Mapping[str, Maker],
    ) -> None:
        self.code = code
        self.at = at
        self.today = at.astimezone(JAPAN).date()
        self.places = places
        self.persons = residents.persons
        self.households = residents.households
        self.protections = residents.protections
        self._seed = seed
        self._makers = makers
        self._scribes: dict[str, Scribe] = {}
        self._held: dict[str, list[Holding]] = {}
        self._is_made = False

    @cached_property
    def circumstances(self) -> Circumstances:
        """The circumstances of everybody who lives here."""
        return Circumstances(Random(f"{self._seed}/life"), self.households, self.today)

    def scribe(self, stream: str) -> Scribe:
        """The writer of the records of *stream*; each stream has its own random source."""
        if stream not in self._scribes:
            self._scribes[stream] = Scribe(Random(f"{self._seed}/{stream}"), self.at)
        return self._scribes[stream]

    def holdings(self, stream: str) -> list[Holding]:
        """All records of *stream*; later changes add to it.

        The first to ask has those of all streams made, so that all are of the same moment.

        Raises:
            KeyError: No office has this stream.
        """
        self._make()
        if stream not in self._held:  # one maker asks for what another is to make
            self._held[stream] = self._makers[stream](self)
        return self._held[stream]

    def holding(self, stream: str, number: str) -> Holding | None:
        """The record of one subject, if there is one."""
        return next((each for each in self.holdings(stream) if each.number == number), None)

    @cached_property
    def assessed(self) -> dict[str, Holding]:
        """The last assessment of everybody who has one, by the person's number."""
        held = self.holdings("individual_resident_tax.assessment")
        return {each.content["taxpayer_subject_id"]: each for each in held}

    def turn_to(self, at: datetime) -> None:
        """Set the time to *at*. The first load is made before, as of the time then."""
        self._make()
        self.at = at
        self.today = self.circumstances.today = at.astimezone(JAPAN).date()
        for scribe in self._scribes.values():
            scribe.at, scribe.today = self.at, self.today

    def is_protected(self, *numbers: str | None) -> bool:
        """Whether any of these persons is under 支援措置."""
        found = (self.protections.get(number) for number in numbers if number is not None)
        return any(each is not None and each.status != "ENDED" for each in found)

    def _make(self) -> None:
        if not self._is_made:
            self._is_made = True
            for stream in self._makers:
                self.holdings(stream)
