"""A race of protections against publishers, and a judge of it that knows nothing of the product.

A *family* has persons, two households, and rows in five streams that say where they are: as the
subject, as whoever a number is linked to, as co-owner, user and guardian, and by the household.
Publishers send new versions of all rows; the register starts, changes and ends two protections,
moves persons in and out of the households and links numbers, all in a seeded order. Whoever runs
the race disturbs the lanes meanwhile. A protection may be shared with a number that is linked. A
*varied* family has rows in every stream that says where somebody is, its numbers are spelled in
several ways, and its protections may have several cases.

The judge keeps what was published and when, by a counter: *begun* before an append is asked for,
*acknowledged* after it has returned. It reads the stores' rows alone, and as of what the store says
that coverage is applied. Of each record that coverage rests on, some word is known to whoever wrote
a row: one that was acknowledged before the row's own event was begun, or that is applied in this
store. It may have known any later one that was begun by now; with a word, all before it are known
(who left a household is not in its newest). A row may say no location if it is covered whichever of
these it knew (:mod:`tests.unit.deliver.coverage_cases`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from bus.broker.partitioner import partition_of
from bus.model import PROTECTION, Suppression, View
from bus.policy import compile_view
from tests.support.changes import MUNICIPALITY, body, by_cases, case, living
from tests.support.lanes import CATALOG, SUBSCRIPTIONS, TODAY, Town
from tests.unit.deliver.coverage_cases import Body, Oracle

SYSTEM = "child_allowance"
STREAMS = (
    "resident", "nonresident", "fixed_asset_tax.levy", "light_vehicle_tax.vehicle",
    "school_enrollment.enrollment",
)  # fmt: skip
EVERY = (
    *STREAMS, "application.received", "child_childcare_support.certification",
    "electoral_roll.registration",
)  # fmt: skip
"""All streams that say where somebody is."""
PLACES = {
    "resident": ("address_lot", "previous_address_lot"),
    "nonresident": ("address_lot",),
    "fixed_asset_tax.levy": ("mailing_address_lot",),
    "light_vehicle_tax.vehicle": ("kept_at_lot", "owner_address_lot"),
    "school_enrollment.enrollment": ("school",),
    "application.received": ("applicant_address_lot",),
    "child_childcare_support.certification": ("facility",),
    "electoral_roll.registration": ("polling_district",),
}
"""By stream: columns that are never empty in what is published here."""
NUMBERS = ("linked_to", "household_number", "shared_with")
"""Names of items that are a person's or a household's number, beside what ends in its name."""
REFUSABLE = (
    "plate", "taxpayer_name", "school", "name", "applicant_name", "facility", "polling_district",
)  # fmt: skip
"""Of each stream an item that may be text that no store takes."""
_EXAMPLES = Path(__file__).parents[3] / "schemas" / "streams"
_ADDRESS = body("resident")["address"]
_NUL = "a\x00b"  # no store of these tests takes it

Row = tuple[str, str]  # stream, subject
Rows = Callable[[str], Iterator[Mapping[str, Any]]]  # of a stream, in a store
Reached = Callable[[str], int]  # log -> as of where coverage is applied in a store
Spans = tuple[tuple[int, int], ...]  # by record: the newest word that is known, and all words


@cache
def view_of(system: str, stream: str) -> View:
    """Everything of a stream, with locations withheld."""
    grants = SUBSCRIPTIONS[SYSTEM].streams
    items = [item.path for item in CATALOG.stream(stream).items]
    fields = tuple(
        dict.fromkeys(
            path if path.startswith("co_owners.s") else path.partition(".")[0]
            for path in items
            if path.split(".")[0] not in ("header", "co_owners") or path.startswith("co_owners.s")
        )
    )
    grant = grants["resident"].model_copy(
        update={
            "fields": fields,
            "event_types": CATALOG.stream(stream).event_types,
            "suppression": Suppression.WITHHOLD,
        }
    )
    granted = {**grants, stream: grant}
    subscription = SUBSCRIPTIONS[SYSTEM].model_copy(update={"system": system, "streams": granted})
    return compile_view(subscription, CATALOG.stream(stream), TODAY)


@dataclass
class Word:
    """One word on what coverage rests on, and when and where it was appended."""

    said: Body
    begun: float
    acknowledged: float = math.inf
    log: str = ""
    offset: int = -1


Words = Mapping[Row, Sequence[Word]]


@dataclass
class Published:
    """One version of a row: whose location it says, and when it was appended."""

    persons: frozenset[str]
    household: str | None
    begun: float
    is_refused: bool
    family: int
    told: Sequence[int] | None = None
    """Of each record that coverage rests on, the newest word acknowledged before; -1 for none."""

    def is_covered(self, oracle: Oracle) -> bool:
        """Whether it is about somebody who is covered."""
        persons, homes = oracle.covered()
        return bool(self.persons & persons) or self.household in homes


@dataclass
class Judge:
    """What was published, and what must not be seen in the tables of *streams*."""

    streams: Sequence[str] = STREAMS
    events: dict[tuple[str, str, int], Published] = field(default_factory=dict)
    words: defaultdict[int, dict[Row, list[Word]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """By family, of each record that coverage rests on what was said of it, oldest first."""
    newest: dict[Row, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    looks: int = 0
    _answers: dict[tuple[float, Spans], bool] = field(default_factory=dict)
    _time: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def now(self) -> int:
        """Later than every earlier answer."""
        return next(self._time)

    def look(self, rows: Rows, reached: Reached) -> None:
        """Note every location that a store shows and must not."""
        now = self.now()
        self.looks += 1
        applied: dict[int, Spans] = {}
        for stream in self.streams:
            for row in rows(stream):
                if all(row[name] is None for name in PLACES[stream]):
                    continue
                event = self.events[stream, row["subject_id"], row["version"]]
                if event.family not in applied:
                    applied[event.family] = _applied(self.words[event.family], reached)
                if self._is_forbidden(event, applied[event.family]):
                    self.failures.append(f"{stream} {row['subject_id']} v{row['version']} at {now}")

    def is_settled(self, rows: Rows) -> list[str]:
        """What is not yet as it must be in the end: newest versions, seen or withheld."""
        wrong = []
        held = {(s, row["subject_id"]): row for s in self.streams for row in rows(s)}
        oracles: dict[int, Oracle] = {}
        for (stream, subject), version in self.newest.items():
            row, event = held.get((stream, subject)), self.events[stream, subject, version]
            parked = any(self.events[stream, subject, v].is_refused for v in range(1, version + 1))
            if parked:
                continue
            if event.family not in oracles:
                words = self.words[event.family]
                oracles[event.family] = _oracle(words, [len(said) for said in words.values()])
            covered = event.is_covered(oracles[event.family])
            is_there = row is not None and all(row[c] is not None for c in PLACES[stream])
            is_right = row is not None and (row["version"], row["protected"], is_there) == (
                version, covered, not covered,
            )  # fmt: skip
            if not is_right:
                wrong.append(f"{stream} {subject}")
        return wrong

    def _is_forbidden(self, event: Published, applied: Spans) -> bool:
        words = self.words[event.family]
        if not any(key[0] == PROTECTION for key in words):
            return False
        if event.told is None:
            event.told = [_told(said, event) for said in words.values()]
        told = itertools.chain(event.told, itertools.repeat(-1))  # of others there was no word yet
        spans = tuple(
            [(max(at, known), end) for (at, end), known in zip(applied, told, strict=False)]
        )
        asked = event.begun, spans
        if asked not in self._answers:
            self._answers[asked] = _is_always_covered(event, words, spans)
        return self._answers[asked]


def _told(said: Sequence[Word], event: Published) -> int:
    """The newest word that whoever wrote the event knew for certain, -1 for none. What is said
    later cannot change it."""
    return max((at for at, word in enumerate(said) if word.acknowledged < event.begun), default=-1)


def _applied(words: Words, reached: Reached) -> Spans:
    """By record: the newest word that is applied, -1 for none, and how many there are by now."""
    return tuple([(_newest(said, reached), len(said)) for said in words.values()])


def _newest(said: Sequence[Word], reached: Reached) -> int:
    for at in range(len(said) - 1, -1, -1):
        if 0 <= said[at].offset < reached(said[at].log):
            return at
    return -1


def _oracle(words: Words, heard: Sequence[int]) -> Oracle:
    """One that has heard so many words of each record."""
    oracle = Oracle()
    for (key, said), end in zip(words.items(), heard, strict=True):
        for word in said[:end]:
            oracle.hear(*key, word.said)
    return oracle


def _is_always_covered(event: Published, words: Words, spans: Spans) -> bool:
    newest = itertools.product(*(range(*span) for span in spans))
    return all(event.is_covered(_oracle(words, [at + 1 for at in each])) for each in newest)


class Family:
    """One family's rows in the judge's streams and its protections, in an order of its own."""

    def __init__(
        self, number: int, town: Town, judge: Judge, dice: Random, *, is_varied: bool = False
    ) -> None:
        self.number = number
        self._town = town
        self._judge = judge
        self._dice = dice
        self._is_varied = is_varied
        self._moves: Counter[str] = Counter()
        ids = [f"{number:08d}00000{kind:02d}" for kind in range(17)]
        self._protected, self._shares, self._lives_there, self._outsider, self._mother = ids[:5]
        self._home, self._elsewhere, self._linked = ids[5:8]
        p, o, m = self._protected, self._outsider, self._mother
        self._rows: list[tuple[Row, frozenset[str], str | None, dict[str, Any]]] = [
            self._resident(p, self._home),
            self._resident(self._shares, self._elsewhere),
            self._resident(self._lives_there, self._home),
            self._resident(o, self._elsewhere + "1"),
            self._row("nonresident", ids[8], {p}, linked_to=p, linked_source=True),
            self._row("nonresident", self._linked, {m}, linked_to=m, linked_source=True),
            self._row(
                "fixed_asset_tax.levy", ids[9], {o, p}, taxpayer_subject_id=o,
                co_owners=[{**_example("fixed_asset_tax.levy", "co_owners"), "subject_id": s}
                           for s in (o, p)],
            ),
            self._row(
                "light_vehicle_tax.vehicle", ids[10], {o, p}, owner_subject_id=o, user_subject_id=p
            ),
            self._row(
                "light_vehicle_tax.vehicle", ids[11], {o, m}, owner_subject_id=o, user_subject_id=m
            ),
            self._row("school_enrollment.enrollment", ids[12], {p}, guardian_subject_id=p),
            self._row("school_enrollment.enrollment", ids[13], {m}, guardian_subject_id=m),
            self._row(
                "light_vehicle_tax.vehicle", ids[14], {self._linked},
                owner_subject_id=self._linked, user_subject_id=self._linked,
            ),
            self._row(
                "application.received", ids[15], {o, m}, applicant_subject_id=o,
                concerned=[{"subject_id": m}],
            ),
            self._row(
                "child_childcare_support.certification", ids[16], {m}, guardian_subject_id=m
            ),
            self._row("electoral_roll.registration", m, {m}),
        ]  # fmt: skip
        self._rows = [row for row in self._rows if row[0][0] in judge.streams]
        # a key with a blank is no subject's key, so a row under it stays masked for good
        self._written = {each: self._spelled(each).strip() for each in ids}

    async def live(self) -> None:
        """Publish everything."""
        others = (self._mother, self._lives_there)
        await asyncio.gather(
            self._protect(self._protected, frozenset([self._shares]), self._home),
            self._protect(self._shares, frozenset([self._linked]), None),
            self._live_in(self._home, self._protected, *others),
            self._live_in(self._elsewhere, self._shares, self._mother),
            *(self._publish(row, persons, home, items) for row, persons, home, items in self._rows),
        )

    async def move(self) -> None:
        """Somebody moves into the household, or out of it, and nothing else is said."""
        await self._say_members(self._home, [self._mother] if self._dice.random() < 0.5 else [])

    def _resident(self, subject: str, household: str) -> Any:
        return ("resident", subject), frozenset([subject]), household, {
            **body("resident"), "household_number": household, "previous_address": _ADDRESS
        }  # fmt: skip

    def _row(self, stream: str, subject: str, persons: set[str], **items: Any) -> Any:
        own = {subject} if "header.subject_id" in CATALOG.stream(stream).located else set()
        return (stream, subject), frozenset(persons | own), None, {**_example(stream), **items}

    async def _pause(self) -> None:
        for _ in range(self._dice.choice([0, 0, 1, 3, 10, 60])):
            await asyncio.sleep(0)

    async def _publish(
        self, row: Row, persons: frozenset[str], household: str | None, items: dict[str, Any]
    ) -> None:
        judge, (stream, subject) = self._judge, (row[0], self._written[row[1]])
        last = self._dice.randint(1, 4)
        for version in range(1, last + 1):
            await self._pause()
            is_refused = version > 1 and self._dice.random() < 0.05
            named = dict(items)
            if is_refused:  # something that the store does not take
                name = next(n for n in REFUSABLE if n in items)
                named[name] = {**items["name"], "full": _NUL} if name == "name" else _NUL
            about = persons
            if row == ("nonresident", self._linked):  # to the mother, to nobody, and back
                to = self._dice.choice([self._mother, self._mother, None])
                named |= {"linked_to": to, "linked_source": to is not None}
                about = frozenset([self._linked, to] if to else [self._linked])
            named = self._respelled(named)
            event = Published(about, household, judge.now(), is_refused, self.number)
            judge.events[stream, subject, version] = event
            judge.newest[stream, subject] = version
            if stream == "nonresident":
                await self._say(stream, subject, version, named)
            else:
                await self._append(stream, subject, version, named)

    async def _protect(self, whom: str, shares: frozenset[str], home: str | None) -> None:
        has_cases = self._is_varied and self._dice.random() < 0.5
        for version in range(1, self._dice.choice([1, 1, 2, 3, 4]) + 1):
            await self._pause()
            if has_cases:
                items = self._respelled(self._several_cases(shares, home))
                await self._say(PROTECTION, self._written[whom], version, items)
                continue
            kind = "start" if version == 1 else self._dice.choice(["start", "less", "end", "end"])
            is_whole = kind == "start"
            items = {
                "status": "ENDED"
                if kind == "end"
                else self._dice.choice(["ACTIVE", "PROVISIONAL"]),
                "shared_with": sorted(shares) if is_whole else [],
                "household_number": home if is_whole and self._dice.random() < 0.5 else None,
                "ends_on": "2020-03-31",  # lifts nothing
                "started_on": "2019-04-01",
            }
            items = self._respelled(body("protection", **items))
            await self._say(PROTECTION, self._written[whom], version, items)

    def _several_cases(self, shares: frozenset[str], home: str | None) -> dict[str, Any]:
        """What a register says that keeps cases: some of them open, some shared."""
        begun = ["2019-04-01", "2019-05-01", "2019-06-01"][: self._dice.randint(2, 3)]
        cases = [
            case(
                day,
                status=self._dice.choice(["ACTIVE", "PROVISIONAL", "ENDED"]),
                shared_with=sorted(shares) if self._dice.random() < 0.5 else [],
            )
            for day in begun
        ]
        if self._dice.random() < 0.5:
            home = None
        return by_cases(self._dice.choice(begun), *cases, household_number=home)

    async def _live_in(self, home: str, *members: str) -> None:
        """Persons move in and out."""
        for _ in range(1, self._dice.randint(2, 5)):
            await self._pause()
            await self._say_members(home, [m for m in members if self._dice.random() < 0.7])

    async def _say_members(self, home: str, there: Sequence[str]) -> None:
        self._moves[home] += 1
        items = self._respelled(living(*there))
        await self._say("household", self._written[home], self._moves[home], items)

    def _respelled(self, items: Any, name: str = "") -> Any:
        """The same items, each number in them written in a way of its own."""
        if isinstance(items, dict):
            return {each: self._respelled(value, each) for each, value in items.items()}
        if isinstance(items, list):
            return [self._respelled(value, name) for value in items]
        is_number = name in NUMBERS or name.endswith("subject_id")
        return self._spelled(items) if is_number and items else items

    def _spelled(self, number: str) -> str:
        if not self._is_varied or len(number) > 15 or self._dice.random() < 0.8:
            return number
        short = number.lstrip("0")
        return self._dice.choice([short, number + " ", short.zfill(self._dice.randint(1, 15))])

    async def _say(self, stream: str, subject: str, version: int, items: dict[str, Any]) -> None:
        """Append what coverage rests on; the judge knows of it before."""
        word = Word(items, self._judge.now())
        self._judge.words[self.number].setdefault((stream, subject), []).append(word)
        partition, word.offset = await self._append(stream, subject, version, items)
        word.log = f"{stream}/{partition}"
        word.acknowledged = self._judge.now()

    async def _append(
        self, stream: str, subject: str, version: int, items: Mapping[str, Any]
    ) -> tuple[int, int]:
        known = CATALOG.stream(stream)
        header = {
            **_example(stream, "header"),
            "event_id": f"{stream}/{subject}/{version}",
            "event_type": known.event_types[0],
            "municipality_code": MUNICIPALITY,
            "subject_id": subject,
            "version": version,
            "processed_at": datetime(2026, 11, 24, tzinfo=UTC),
        }
        value = self._town.framed(known.latest, {**items, "header": header})
        (partition,) = partition_of([f"{MUNICIPALITY}/{subject}".encode()], self._town.partitions)
        return partition, await self._town.append(stream, subject, value, partition=partition)


def _example(stream: str, part: str | None = None) -> dict[str, Any]:
    """A valid body with every location filled in; or one part of the record."""
    return {**_read(stream, part)}


@cache
def _read(stream: str, part: str | None) -> dict[str, Any]:
    if part == "co_owners":
        return {"name": None, "share": "1/2", "representative": False}
    known = "nonresident" if part == "header" else stream
    file = min((_EXAMPLES / known / "examples" / "valid").glob("*.json"))
    record = json.loads(file.read_text(encoding="utf-8"))
    header = record.pop("header")
    if part == "header":
        return dict(header)
    for field_name in (
        "address", "mailing_address", "owner_address", "kept_at", "applicant_address",
    ):  # fmt: skip
        if field_name in record:
            record[field_name] = _ADDRESS
    for field_name in ("school", "facility", "polling_district"):
        if field_name in record:
            record[field_name] = "霞が関"
    if "received_at" in record:
        record["received_at"] = datetime.fromisoformat(record["received_at"])
    return {**record, "protected": False}
