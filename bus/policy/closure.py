"""Who is covered by protections (支援措置): the protected, and everybody they lead to.

Covered are the persons of open protections and those whom they name; everybody who is a member now
of a household that somebody covered lives in, or that a protection names; and every number that a
non-resident's record links to somebody covered, whichever of the two the record is about. What
follows from one of these follows from all that it leads to. Who has left a household is covered by
it no longer; but those who left it, together or one after the other, stay together until a
household has them again (:mod:`bus.policy.departures`). In doubt somebody is covered: a record that
cannot be read takes nobody out.

Pure: records go in, in the order of each log, and who is covered comes out. The order between logs
does not matter: the newest record of each subject counts, and who left together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import compress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bus.model import NumberForm, Protected, event_key
from bus.model.number import AS_SHIPPED
from bus.policy.adjacency import Adjacency, lists_of
from bus.policy.departures import Departures
from bus.policy.numbering import Numbering

NOBODY = Protected()
RECOMPUTE_FROM = 500
"""From so many records on, who is covered is computed anew, not extended record by record."""
LOAD_FROM = 50_000
"""Up to so many records of households are searched for who left; of more at once those of which
nobody can have left, because nothing was said before, are appended first: a first load."""
MOST_MOVES = 200_000
"""If still more are left, all households were said again, and nobody's move is looked for."""
MOST_PIECES = 1_000
"""So many pieces of records are at most kept until they are applied together."""
MOST_LOOSENED = 100_000
"""Of so many it is remembered that somebody was parted from them; then of everybody."""


class Relation(StrEnum):
    """Why somebody is covered."""

    CASE = "case"  # is under protection
    NAMED = "named"  # a protection names the person
    HOUSEHOLD = "household"  # is a member now of a household that somebody covered lives in
    MOVE = "move"  # left a household as somebody covered did lately, and is in none since
    LINK = "link"  # is linked to somebody covered by the record of a non-resident


@dataclass(frozen=True, slots=True)
class Reason:
    """One of the ways in which somebody is covered."""

    relation: Relation
    via: str
    """Key: whose protection it is; the household; with whom it was left; whom the number is linked
    to."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Records of households that came together, or the erasure of one."""

    owners: pa.Int64Array
    lists: Any  # of members
    times: Sequence[int]  # ms since 1970
    is_erasure: bool = False

    def __len__(self) -> int:
        return len(self.owners)

    def part(self, first: int, end: int) -> _Piece:
        """The records from *first* to before *end*."""
        owners, lists = (each.slice(first, end - first) for each in (self.owners, self.lists))
        return replace(self, owners=owners, lists=lists, times=self.times[first:end])

    def picked(self, wanted: pa.BooleanArray) -> _Piece:
        """The *wanted* records."""
        owners, lists = (each.filter(wanted) for each in (self.owners, self.lists))
        return replace(
            self, owners=owners, lists=lists, times=list(compress(self.times, wanted.to_pylist()))
        )


class Closure:
    """The newest records of protections, households and non-residents, and whom they cover.

    Args:
        form: How the site writes its numbers.
        recompute_from: From so many records in one call on, who is covered is computed anew.
    """

    def __init__(self, form: NumberForm = AS_SHIPPED, recompute_from: int = RECOMPUTE_FROM) -> None:
        self._form = form
        self._recompute_from = recompute_from
        self._numbers = Numbering()
        self._protections: dict[str, Protected] = {}  # by the subject of the record
        self._households = Adjacency()
        self._links = Adjacency()
        self._departures = Departures()
        self._deferred: list[_Piece] = []  # of households, not yet applied
        self._deferred_count = 0
        self._deferred_most = LOAD_FROM  # with more, it is looked what need not be deferred
        self._persons: set[int] = set()  # covered as of the last settle()
        self._homes: set[int] = set()
        self._added: set[int] = set()  # persons and homes that were added since
        self._added_homes: set[int] = set()
        self._may_be_less = False
        self._touched: set[int] = set()  # persons and homes whose ties are others since
        self._touched_homes: set[int] = set()
        self._may_all_be_touched = False
        self._loosened: set[int] = set()  # persons and homes that somebody was ever parted from
        self._loosened_homes: set[int] = set()
        self._may_all_be_loosened = False
        self._is_loosened = False
        self._has_settled = False
        self._everybody: Protected | None = NOBODY
        self.stirred = NOBODY
        """Those covered by the last :meth:`settle` to whom led what was said since the one before.

        They may have been covered before, and all the time: but perhaps not for whoever heard the
        same in another order, or not all of it yet.
        """
        self.loosened = False
        """Whether what was said since the :meth:`settle` before the last may have released
        somebody: perhaps not here, where nobody was covered in between, but for others."""

    # -- what is said

    def protection(self, subject: str, now: Protected | None) -> None:
        """Take in whom the protection of *subject* names now; None if its record cannot be read."""
        before = self._protections.get(subject, NOBODY)
        if now is None:
            now = Protected(before.persons | {subject}, before.households)
        self._protections.pop(subject, None)
        if now:
            self._protections[subject] = now
        if not (before.persons <= now.persons and before.households <= now.households):
            self._may_be_less = self._is_loosened = True
        self._added |= {self._numbers.of(key) for key in now.persons}
        self._added_homes |= {self._numbers.of(key) for key in now.households}
        if before != now:
            named = before.persons | now.persons, before.households | now.households
            self._touched |= {self._numbers.of(key) for key in named[0]}
            self._touched_homes |= {self._numbers.of(key) for key in named[1]}

    def advance(self, at_ms: int) -> None:
        """Tell that a record was appended to one of the logs at *at_ms*."""
        self._departures.advance(at_ms)

    def households(self, records: pa.RecordBatch, times_ms: Sequence[int] = ()) -> None:
        """Take in who is a member of which household now.

        Args:
            times_ms: When each was appended.
        """
        members: Any = records.column("members")
        ids = pc.struct_field(members.flatten(), "subject_id")
        owners, lists = self._numbered(records, ids, pc.list_value_length(members))
        self._defer(_Piece(owners, lists, times_ms or [0] * len(owners)))

    def nonresidents(self, records: pa.RecordBatch) -> None:
        """Take in to whom each non-resident's number is linked now."""
        linked: Any = records.column("linked_to")
        counts = pc.is_valid(linked).cast(pa.int32())
        owners, lists = self._numbered(records, linked.drop_null(), counts)
        if len(owners) < self._recompute_from:
            said: Iterator[tuple[Any, Any]]
            said = zip(owners.to_pylist(), lists.to_pylist(), strict=True)
            for owner, named in said:
                self._link(owner, named)
        else:
            self._links.append(owners, lists)
            self._may_be_less = self._may_all_be_touched = self._may_all_be_loosened = True

    def household_gone(self, key: str, at_ms: int = 0) -> None:
        """Take in that a household was erased: nobody is a member of it, and nobody moved."""
        owner, nobody = pa.array([self._numbers.of(key)], pa.int64()), lists_of([()])
        self._defer(_Piece(owner, nobody, [at_ms], is_erasure=True))

    def nonresident_gone(self, key: str) -> None:
        """Take in that a non-resident was erased: its own record links it to nobody any more."""
        self._link(self._numbers.of(key), ())

    # -- whom it covers

    def settle(self) -> tuple[bool, bool]:
        """Compute who is covered now; whether anybody was added, and whether anybody was taken out.

        Persons and households both count.
        """
        self._append_old()
        self._apply_deferred()
        gone = self._departures.expire()
        self._loosened |= gone
        if not self._persons.isdisjoint(gone):
            self._may_be_less = True
            self._touched |= gone
        if self._may_be_less:
            before = self._persons, self._homes
            self._persons, self._homes = set(), set()
            self._added, self._added_homes = set(), set()
            for said in self._protections.values():
                self._added |= {self._numbers.of(key) for key in said.persons}
                self._added_homes |= {self._numbers.of(key) for key in said.households}
            self._propagate()
            grown = not (self._persons <= before[0] and self._homes <= before[1])
            shrunk = not (before[0] <= self._persons and before[1] <= self._homes)
        else:
            counted = len(self._persons), len(self._homes)
            self._propagate()
            grown, shrunk = counted != (len(self._persons), len(self._homes)), False
        self._may_be_less = False
        if grown or shrunk:
            self._everybody = None
        self._stir()
        return grown, shrunk

    def _stir(self) -> None:
        """Note to whom leads what was touched."""
        persons, homes = set[int](), set[int]()
        if self._may_all_be_touched:
            persons, homes = self._persons, self._homes
        elif self._touched or self._touched_homes:
            touched = self._touched & self._persons, self._touched_homes & self._homes
            self._spread(*touched, persons, homes)
        self._touched, self._touched_homes, self._may_all_be_touched = set(), set(), False
        self.stirred = Protected(self._keys(persons), self._keys(homes))
        self._loosen(persons, homes)

    def _loosen(self, persons: Set[int], homes: Set[int]) -> None:
        """Note whether somebody was parted from any of those who were stirred.

        Whoever heard of these before may have covered whom they were then parted from. What comes
        in large pieces before anybody looks is known to whoever tells a store, once there is a
        protection.
        """
        if not self._has_settled and self._protections:
            self._may_all_be_loosened = False
        self._has_settled = True
        if len(self._loosened) + len(self._loosened_homes) > MOST_LOOSENED:
            self._loosened, self._loosened_homes = set(), set()
            self._may_all_be_loosened = True
        among = not self._loosened.isdisjoint(persons) or not self._loosened_homes.isdisjoint(homes)
        is_anybody = self._may_all_be_loosened and bool(persons or homes)
        self.loosened, self._is_loosened = self._is_loosened or among or is_anybody, False

    @property
    def everybody(self) -> Protected:
        """Everybody who is covered, as of the last :meth:`settle`."""
        if self._everybody is None:
            said = self._protections.values()  # is found under its own spelling, too
            self._everybody = Protected(
                self._keys(self._persons).union(*(each.persons for each in said)),
                self._keys(self._homes).union(*(each.households for each in said)),
            )
        return self._everybody

    def _keys(self, numbers: Collection[int]) -> frozenset[str]:
        """The keys of *numbers*, each in full length and in the site's form."""
        keys = {self._numbers.key(number) for number in numbers}
        if self._form != AS_SHIPPED:
            for key in list(keys):
                municipality, _, number = key.partition("/")
                keys.add(event_key(municipality, self._form.of(number)))
        return frozenset(keys)

    def reasons(self, subject: str) -> Mapping[str, Sequence[Reason]]:
        """By key of each person whom the protection of *subject* covers, all reasons."""
        said, found = self._protections.get(subject, NOBODY), dict[str, list[Reason]]()
        for person in sorted(said.persons, key=lambda person: (person != subject, person)):
            relation = Relation.CASE if person == subject else Relation.NAMED
            found.setdefault(person, []).append(Reason(relation, subject))
        waiting = [self._numbers.of(person) for person in found]
        homes = [self._numbers.of(key) for key in sorted(said.households)]
        known, seen = set(waiting), set[int]()
        while waiting or homes:
            if homes:
                home = homes.pop(0)
                if home in seen:
                    continue
                seen.add(home)
                steps = [(Relation.HOUSEHOLD, member, home) for member in self._members(home)]
            else:
                here = waiting.pop(0)
                homes += self._homes_of(here)
                steps = [(Relation.LINK, other, here) for other in self._linked(here)]
                steps += [(Relation.MOVE, other, here) for other in self._moved_with(here)]
            for relation, number, via in steps:
                reason = Reason(relation, self._numbers.key(via))
                found.setdefault(self._numbers.key(number), []).append(reason)
                if number not in known:
                    known.add(number)
                    waiting.append(number)
        return found

    # -- on which records it rests

    def numbers_of(self, records: pa.RecordBatch) -> pa.Int64Array:
        """The whole numbers of those whom *records* are about; column: header."""
        header: Any = records.column("header")
        codes = pc.struct_field(header, "municipality_code")
        return self._numbers.column(codes, pc.struct_field(header, "subject_id"))

    def covered_among(self, numbers: pa.Int64Array, *, are_homes: bool) -> pa.BooleanArray:
        """Which of *numbers*, of persons or of households, were covered as of the last settle."""
        covered = pa.array(self._homes if are_homes else self._persons, pa.int64())
        return pc.is_in(numbers, covered)

    def protects(self, subject: str) -> bool:
        """Whether the protection of *subject* covers anybody."""
        return subject in self._protections

    @property
    def rests_on_moves(self) -> bool:
        """Whether somebody is covered who left a household, and is in none since."""
        return any(self._moved_with(person) for person in self._persons)

    # -- the relations

    def _members(self, home: int) -> Sequence[int]:
        """Who is a member of a household now."""
        return self._households.named_by(home)

    def _homes_of(self, person: int) -> Sequence[int]:
        """The households that name a person as a member now."""
        return self._households.owners_of(person)

    def _linked_on(self, person: int) -> Sequence[int]:
        """To whom the person's own record as a non-resident is linked."""
        return self._links.named_by(person)

    def _linked_back(self, person: int) -> Sequence[int]:
        """Whose records as non-residents are linked to the person."""
        return self._links.owners_of(person)

    def _moved_with(self, person: int) -> list[int]:
        """Who left a household together with a person, and is in none now."""
        beside = dict.fromkeys(self._departures.left_with(person))
        return [o for o in beside if o != person and not self._households.owners_of(o)]

    def _linked(self, person: int) -> Iterator[int]:
        yield from self._linked_on(person)
        yield from self._linked_back(person)

    def _propagate(self) -> None:
        """Cover everybody to whom those who were added lead."""
        self._spread(self._added, self._added_homes, self._persons, self._homes)
        self._added, self._added_homes = set(), set()

    def _spread(
        self, persons: Set[int], homes: Set[int], known: set[int], known_homes: set[int]
    ) -> None:
        """Add *persons* and *homes* to those that are known, and everybody to whom they lead."""
        new = [person for person in persons if person not in known]
        new_homes = [home for home in homes if home not in known_homes]
        known |= persons
        known_homes |= homes
        while new or new_homes:
            found: list[int] = []
            while new_homes:
                found += self._members(new_homes.pop())
            for person in new:
                found += self._linked(person)
                found += self._moved_with(person)
                for home in self._homes_of(person):
                    if home not in known_homes:
                        known_homes.add(home)
                        new_homes.append(home)
            new = [person for person in set(found) if person not in known]
            known.update(new)

    # -- taking in

    def _numbered(
        self, records: pa.RecordBatch, ids: pa.StringArray, counts: pa.Int32Array
    ) -> tuple[pa.Int64Array, Any]:
        """The owners of the records as numbers, and for each the list of those whom it names."""
        header: Any = records.column("header")
        codes = pc.struct_field(header, "municipality_code")
        owners = self.numbers_of(records)
        ends: Any = pc.cumulative_sum(counts).cast(pa.int32())
        starts: Any = pa.concat_arrays([pa.array([0], pa.int32()), ends])
        rows: Any = pc.list_parent_indices(pa.ListArray.from_arrays(starts, ids))
        others = self._numbers.column(codes.take(rows), ids)
        return owners, pa.ListArray.from_arrays(starts, others)

    def _defer(self, piece: _Piece) -> None:
        """Keep records of households until somebody asks: what many say is applied together."""
        self._deferred.append(piece)
        self._deferred_count += len(piece)
        if self._deferred_count > self._deferred_most or len(self._deferred) > MOST_PIECES:
            self._append_old()

    def _append_old(self) -> None:
        """Append in bulk the deferred records that are too old to be part of a move.

        Where more are left than ever move at once, those of households that were never said before
        are appended as well.
        """
        since, later = self._departures.horizon_ms, self._take_deferred()
        for piece in later:
            many = bisect_left(piece.times, since)
            self._append(piece.part(0, many))
            self._keep(piece.part(many, len(piece)))
        are_many = self._deferred_count > LOAD_FROM, len(self._deferred) > MOST_PIECES
        if any(are_many):
            self._append_first()
        if self._deferred_count > MOST_MOVES:
            for piece in self._take_deferred():
                self._append(piece)
        elif len(self._deferred) > MOST_PIECES // 2:  # not to look through them at each piece
            self._apply_deferred()
        self._deferred_most = self._deferred_count + LOAD_FROM

    def _append_first(self) -> None:
        """Append in bulk the deferred records of households of which nothing else was said.

        Nobody left them. All records of the others wait on, in their order.
        """
        later = self._take_deferred()
        owners = pa.concat_arrays([piece.owners for piece in later])
        counted: Any = pc.value_counts(owners)
        is_repeated: Any = pc.greater(counted.field("counts"), pa.scalar(1, pa.int64()))
        repeated = counted.field("values").filter(is_repeated)
        known = self._households.known_among(owners)
        left = pa.array(self._departures.homes, pa.int64())
        others = pa.concat_arrays([repeated, known, left])
        for piece in later:
            waits = pc.is_in(piece.owners, others)
            self._append(piece.picked(pc.invert(waits)))
            self._keep(piece.picked(waits))

    def _take_deferred(self) -> list[_Piece]:
        later, self._deferred, self._deferred_count = self._deferred, [], 0
        return later

    def _keep(self, piece: _Piece) -> None:
        if len(piece):
            self._deferred.append(piece)
            self._deferred_count += len(piece)

    def _append(self, piece: _Piece) -> None:
        if len(piece):
            self._households.append(piece.owners, piece.lists)
            self._may_be_less = self._may_all_be_touched = self._may_all_be_loosened = True

    def _apply_deferred(self) -> None:
        """Apply the deferred records one by one; what came before them is merged only once."""
        for piece in self._take_deferred():
            said: Iterator[tuple[Any, Any, int]]
            said = zip(piece.owners.to_pylist(), piece.lists.to_pylist(), piece.times, strict=True)
            for owner, members, at in said:
                self._household(owner, members, None if piece.is_erasure else at)

    def _household(self, home: int, members: Collection[int], at_ms: int | None) -> None:
        before = self._households.named_by(home)
        self._households.put(home, members)
        self._departures.returned(home, members)
        if at_ms is not None:
            self._departures.left(home, set(before).difference(members), at_ms)
        moved = set(before) ^ set(members)
        if not set(before) <= set(members):
            self._loosened.update(before)
            self._loosened_homes.add(home)
        together = {each for person in moved for each in self._departures.left_with(person)}
        self._loosened |= together
        if not self._persons.isdisjoint(together):
            self._may_be_less = True
            self._touched |= together
        if moved and (home in self._homes or not self._persons.isdisjoint({*before, *members})):
            self._touched.update(before, members)
            self._touched_homes.add(home)
        if home in self._homes or home in self._added_homes:
            self._may_be_less = self._may_be_less or not set(before) <= set(members)
            self._added.update(members)
        elif not self._persons.isdisjoint(members):
            self._added_homes.add(home)
            self._added.update(members)

    def _link(self, number: int, others: Collection[int]) -> None:
        before = self._links.named_by(number)
        self._links.put(number, others)
        if not set(before) <= set(others):
            self._loosened.update((number, *before))
        if self._persons.isdisjoint((number, *before, *others)):
            return
        if set(before) != set(others):
            self._touched.update((number, *before, *others))
        self._may_be_less = self._may_be_less or not set(before) <= set(others)
        if not self._persons.isdisjoint((number, *others)):
            self._added.update((number, *others))
