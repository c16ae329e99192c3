"""Which version of each subject is the newest, learnt from the topic itself.

There is no store of its own to lose or to disagree: the index reads a stream's topic from the
beginning once and then only what was appended since. It answers two questions of an event that
is about to be sent.

*Is it the next in line?* The version must be the subject's newest plus one. A subject of which
nothing is known starts at 1, except that an event of nature RECORD may start anywhere: a first
load hands over each subject at the version its register has reached. An erased subject is one
of which nothing is known.

*Is it there already?* An event that was sent before has the same id (see
:mod:`bus.publish.identity`) and is silently done. The id of each subject's newest event is kept
for ever, those of earlier events for the last ``RECENT`` events of the stream: what is sent
again was sent lately, and a file that is begun anew meets the newest.

Memory: 20 bytes a subject, in sorted arrays, and some 30 MB for the recent events. Keys and ids
are held as 64-bit keyed hashes (Python's SipHash, per process). Two subjects of five million
share one with a chance of one in a million; then a change of one is refused as a gap, nothing
is lost and nothing wrong is sent.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from enum import Enum
from operator import xor

RECENT = 200_000
"""Of how many events a stream's index remembers the id, beside each subject's newest."""

_MASK = (1 << 64) - 1
_SHIFT = 52  # 4,096 shelves


class Standing(Enum):
    """How an event stands to what is in the log."""

    NEXT = "next"  # the next version of its subject
    DONE = "done"  # in the log already: this very event
    GAP = "version-gap"  # an earlier version is missing
    REPEAT = "version-repeat"  # another event has this version, or a higher one
    TAKEN = "event-repeat"  # another event has this id

    @property
    def is_fault(self) -> bool:
        """Whether such an event is refused."""
        return self not in (Standing.NEXT, Standing.DONE)


class VersionIndex:
    """The newest version and event of every subject of one stream. Not for several threads."""

    def __init__(self, recent: int = RECENT) -> None:
        self._subjects = _Shelves()
        self._most_recent = recent
        self._recent: dict[int, int] = {}
        self._before: dict[int, int] = {}  # the generation before: together 1 to 2 x RECENT

    def __len__(self) -> int:
        return len(self._subjects)

    def newest(self, key: bytes) -> int:
        """The newest version of the subject with that Kafka key; 0 if nothing is known."""
        return self._subjects.get(hash(key) & _MASK)[0]

    def learn(
        self, keys: Sequence[bytes], versions: Sequence[int], event_ids: Sequence[str]
    ) -> None:
        """Take in events that are in the log, in the log's order. Knowing one already is fine."""
        subjects, events = _hashes(keys), _hashes(event_ids)
        self._subjects.put(subjects, versions, events)
        self._recent.update(zip(events, map(xor, subjects, versions), strict=True))
        if len(self._recent) >= self._most_recent:
            self._before, self._recent = self._recent, {}

    def forget(self, key: bytes) -> None:
        """Take in that the subject with that key was erased."""
        self._subjects.clear(hash(key) & _MASK)

    def draft(self) -> Draft:
        """A view in which events may be added that are not in the log yet."""
        return Draft(self)

    def _recently(self, event: int) -> int | None:
        """What the event with that id was, if it is remembered."""
        found = self._recent.get(event)
        return self._before.get(event) if found is None else found


class Draft:
    """What the index would say after the events that were added here; the index itself stays.

    A change is all or nothing: :meth:`keep` what was added since the last of these two calls,
    or go :meth:`back`.
    """

    def __init__(self, index: VersionIndex) -> None:
        self._index = index
        self._subjects: dict[int, tuple[int, int]] = {}
        self._events: dict[int, int] = {}
        self._journal: list[tuple[int, tuple[int, int] | None, int]] = []

    def add(self, key: bytes, version: int, event_id: str, *, opens: bool) -> Standing:
        """How the event stands; if it is the next in line, it is now the newest.

        Args:
            opens: Whether its nature is RECORD, so that an unknown subject may start anywhere.
        """
        return self._add(hash(key) & _MASK, version, hash(event_id) & _MASK, opens)

    def _add(self, subject: int, version: int, event: int, opens: bool) -> Standing:
        drafted = self._subjects.get(subject)
        newest, newest_event = drafted or self._index._subjects.get(subject)
        said = self._events.get(event)
        if said is None:
            said = self._index._recently(event)
        if said is not None:
            return Standing.DONE if said == subject ^ version else Standing.TAKEN
        if event == newest_event and newest:
            return Standing.DONE if version == newest else Standing.TAKEN
        if version <= newest:
            return Standing.REPEAT
        if version != newest + 1 and not (newest == 0 and opens):
            return Standing.GAP
        self._journal.append((subject, drafted, event))
        self._subjects[subject] = (version, event)
        self._events[event] = subject ^ version
        return Standing.NEXT

    def add_all(
        self,
        keys: Sequence[bytes],
        versions: Sequence[int],
        event_ids: Sequence[str],
        opens: Sequence[bool],
    ) -> list[Standing]:
        """:meth:`add` for each in order, each a change of its own."""
        subjects, events = _hashes(keys), _hashes(event_ids)
        if self._are_all_next(subjects, versions, events, opens):
            return [Standing.NEXT] * len(subjects)
        found = []
        for subject, version, event, is_opening in zip(
            subjects, versions, events, opens, strict=True
        ):
            found.append(self._add(subject, version, event, is_opening))
        self.keep()
        return found

    def _are_all_next(
        self,
        subjects: Sequence[int],
        versions: Sequence[int],
        events: Sequence[int],
        opens: Sequence[bool],
    ) -> bool:
        """Whether events of different subjects are all next in line; then they are added.

        The common case of a load, in a few passes without a call per event.
        """
        index = self._index
        if (
            self._subjects
            or len(set(subjects)) < len(subjects)
            or len(set(events)) < len(events)
            or not index._recent.keys().isdisjoint(events)
            or not index._before.keys().isdisjoint(events)
        ):
            return False
        for newest, version, is_opening in zip(
            index._subjects.versions(subjects), versions, opens, strict=True
        ):
            if version != newest + 1 and (newest or not is_opening or version < 1):
                return False
        self._subjects = dict(zip(subjects, zip(versions, events, strict=True), strict=True))
        self._events = dict(zip(events, map(xor, subjects, versions), strict=True))
        return True

    def keep(self) -> None:
        """What was added stays."""
        self._journal.clear()

    def back(self) -> None:
        """What was added since it was last kept was never said."""
        while self._journal:
            subject, before, event = self._journal.pop()
            del self._events[event]
            if before is None:
                del self._subjects[subject]
            else:
                self._subjects[subject] = before


class _Shelves:
    """A map from 64-bit keys to (version, event), 20 bytes an entry.

    The top bits choose a shelf, a sorted array on which the key is found by bisection; four
    million entries put a thousand on each. A version of 0 is a subject that was erased.
    """

    def __init__(self) -> None:
        self._keys = [array("Q") for _ in range(1 << (64 - _SHIFT))]
        self._versions = [array("i") for _ in self._keys]
        self._events = [array("Q") for _ in self._keys]

    def __len__(self) -> int:
        return sum(len(versions) - versions.count(0) for versions in self._versions)

    def get(self, key: int) -> tuple[int, int]:
        number = key >> _SHIFT
        keys = self._keys[number]
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            return self._versions[number][at], self._events[number][at]
        return 0, 0

    def versions(self, keys: Iterable[int]) -> list[int]:
        """The version of each key, 0 where there is none."""
        all_keys, all_versions = self._keys, self._versions
        found = []
        for key in keys:
            number = key >> _SHIFT
            shelf = all_keys[number]
            at = bisect_left(shelf, key)
            is_there = at < len(shelf) and shelf[at] == key
            found.append(all_versions[number][at] if is_there else 0)
        return found

    def put(self, keys: Iterable[int], versions: Iterable[int], events: Iterable[int]) -> None:
        """Each key's newest is now its version, unless a newer one is known."""
        all_keys, all_versions, all_events = self._keys, self._versions, self._events
        for key, version, event in zip(keys, versions, events, strict=True):
            number = key >> _SHIFT
            shelf = all_keys[number]
            at = bisect_left(shelf, key)
            if at < len(shelf) and shelf[at] == key:
                if version > all_versions[number][at]:
                    all_versions[number][at] = version
                    all_events[number][at] = event
            else:
                shelf.insert(at, key)
                all_versions[number].insert(at, version)
                all_events[number].insert(at, event)

    def clear(self, key: int) -> None:
        number = key >> _SHIFT
        keys = self._keys[number]
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            self._versions[number][at] = 0


def _hashes(values: Iterable[bytes] | Iterable[str]) -> list[int]:
    return [value & _MASK for value in map(hash, values)]
