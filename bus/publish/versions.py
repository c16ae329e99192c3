"""The newest version of each subject, learnt from the topic itself.

There is no store of its own to lose or to disagree: the index reads a stream's topic from the
beginning once and then only what was appended since. It answers two questions of an event that
is about to be sent.

*Is it the next in line?* The version must be the subject's newest plus one. A subject of which
nothing is known starts at 1, except that an event of nature RECORD may start at any version up to
``HIGHEST_START``: a first load hands over each subject at the version its register has reached. An
erased subject is one of which nothing is known.

*Is it there already?* An event that was sent before has the same id (see
:mod:`bus.publish.identity`) and is silently done. The id of each subject's newest event is kept
for ever, those of earlier events for the last ``RECENT`` events of the stream: what is sent
again was sent lately, and a file that is begun anew meets the newest.

Memory: some 25 bytes a subject (twice that while it grows), and 40 MB for recent events. Keys
and ids are held as keyed hashes of 64 bits (Python's SipHash, per process). Two subjects of five
million share one with a chance of one in a million; then a change of one is refused as a gap,
nothing is lost and nothing wrong is sent.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import xor

HIGHEST_START = 99_999
"""The highest version at which a subject may begin; far above any register's, and far enough below
the highest version there is that it has successors."""
RECENT = 200_000
"""Of how many events a stream's index remembers the id, beside each subject's newest."""

_MASK = (1 << 64) - 1
_EVENT_BITS = 33
_EVENT_MASK = (1 << _EVENT_BITS) - 1
_FIRST_BITS = 6  # of a key, to choose one of the first shelves
_LONG = 48  # entries on a shelf, on average, above which there should be more shelves


class Sequencing(Enum):
    """How an event's version follows those of its subject in the log."""

    NEXT = "next"  # the next version of its subject
    DONE = "done"  # in the log already: this very event
    GAP = "version-gap"  # an earlier version is missing
    REPEAT = "version-repeat"  # another event has this version, or a higher one
    START = "version-start"  # a subject cannot begin so far on
    TAKEN = "event-repeat"  # another event has this id

    @property
    def is_fault(self) -> bool:
        """Whether such an event is refused."""
        return self not in (Sequencing.NEXT, Sequencing.DONE)


@dataclass(frozen=True, slots=True)
class Entries:
    """Events as the index needs them, in order; parallel lists. Keys and ids are hashed once."""

    subjects: Sequence[int]
    versions: Sequence[int]
    events: Sequence[int]

    @classmethod
    def of(
        cls, keys: Sequence[bytes], versions: Sequence[int], event_ids: Sequence[str]
    ) -> Entries:
        """The entries of events with these Kafka keys, versions and ids."""
        return cls(_hashes(keys), versions, _hashes(event_ids))

    def __len__(self) -> int:
        return len(self.subjects)

    def picked(self, indices: Sequence[int]) -> Entries:
        """The entries at *indices*."""
        return Entries(
            [self.subjects[index] for index in indices],
            [self.versions[index] for index in indices],
            [self.events[index] for index in indices],
        )


class VersionIndex:
    """The newest version and event of every subject of one stream. Not safe for threads."""

    def __init__(self, recent: int = RECENT) -> None:
        self._subjects = _Shelves()
        self._most_recent = recent
        self._recent: dict[int, int] = {}
        self._before: dict[int, int] = {}  # the generation before: together 1 to 2 x RECENT

    def __len__(self) -> int:
        return len(self._subjects)

    def newest(self, key: bytes) -> int:
        """The newest version of the subject with that Kafka key; 0 if none is known."""
        return self._subjects.get(hash(key) & _MASK)[0]

    def learn(self, entries: Entries) -> None:
        """Take in events of the log, in its order; those known already change nothing."""
        subjects, versions, events = entries.subjects, entries.versions, entries.events
        self._subjects.put(subjects, versions, events)
        self._recent.update(zip(events, map(xor, subjects, versions), strict=True))
        if len(self._recent) >= self._most_recent:
            self._before, self._recent = self._recent, {}

    def forget(self, key: bytes) -> None:
        """Take in that the subject with that key was erased."""
        self._subjects.clear(hash(key) & _MASK)

    def draft(self) -> Draft:
        """A draft to which events can be added that are not in the log yet."""
        return Draft(self)

    def _recently(self, event: int) -> int | None:
        """The (version, event) of an event id, if it is among those remembered."""
        found = self._recent.get(event)
        return self._before.get(event) if found is None else found


class Draft:
    """The index as it would be after the added events; the index itself is not changed.

    A change is all or nothing: :meth:`keep` what was added since the last of these two calls,
    or go :meth:`back`.
    """

    def __init__(self, index: VersionIndex) -> None:
        self._index = index
        self._subjects: dict[int, tuple[int, int]] = {}
        self._events: dict[int, int] = {}
        self._journal: list[tuple[int, tuple[int, int] | None, int]] = []
        self._added_whole: Entries | None = None  # not in the two maps yet

    def add(self, key: bytes, version: int, event_id: str, *, opens: bool) -> Sequencing:
        """The event's sequencing; if it is next in line, it is added as the newest.

        Args:
            opens: Whether its nature is RECORD, so that an unknown subject may start anywhere.
        """
        return self._add(hash(key) & _MASK, version, hash(event_id) & _MASK, opens)

    def add_at(self, entries: Entries, at: int, *, opens: bool) -> Sequencing:
        """:meth:`add` for one of *entries*."""
        return self._add(entries.subjects[at], entries.versions[at], entries.events[at], opens)

    def _add(self, subject: int, version: int, event: int, opens: bool) -> Sequencing:
        self._unfold()
        drafted = self._subjects.get(subject)
        newest, newest_event = drafted or self._index._subjects.get(subject)
        said = self._events.get(event)
        if said is None:
            said = self._index._recently(event)
        if said is not None:
            return Sequencing.DONE if said == subject ^ version else Sequencing.TAKEN
        if newest and event & _EVENT_MASK == newest_event & _EVENT_MASK:
            return Sequencing.DONE if version == newest else Sequencing.TAKEN
        if version <= newest:
            return Sequencing.REPEAT
        if version != newest + 1 and not (newest == 0 and opens):
            return Sequencing.GAP
        if newest == 0 and version > HIGHEST_START:
            return Sequencing.START
        self._journal.append((subject, drafted, event))
        self._subjects[subject] = (version, event)
        self._events[event] = subject ^ version
        return Sequencing.NEXT

    def add_all(self, entries: Entries, opens: Sequence[bool]) -> list[Sequencing]:
        """:meth:`add` for each in order, each a change of its own."""
        if self._are_all_next(entries, opens):
            self._added_whole = entries
            return [Sequencing.NEXT] * len(entries)
        found = [self.add_at(entries, at, opens=opening) for at, opening in enumerate(opens)]
        self.keep()
        return found

    def _are_all_next(self, entries: Entries, opens: Sequence[bool]) -> bool:
        """Whether these are events of different subjects and all next in line.

        The common case of a load, in a few passes without a call per event.
        """
        index, subjects, events = self._index, entries.subjects, entries.events
        if (
            self._subjects
            or self._added_whole is not None
            or len(set(subjects)) < len(subjects)
            or len(set(events)) < len(events)
            or not index._recent.keys().isdisjoint(events)
            or not index._before.keys().isdisjoint(events)
        ):
            return False
        for word, version, event, is_opening in zip(
            index._subjects.words(subjects), entries.versions, events, opens, strict=True
        ):
            newest = word >> _EVENT_BITS
            if newest and word & _EVENT_MASK == event & _EVENT_MASK:
                return False  # it may be this very event
            if version != newest + 1 and (
                newest or not is_opening or not 1 <= version <= HIGHEST_START
            ):
                return False
        return True

    def _unfold(self) -> None:
        """Move entries that were added all at once into the maps; most drafts never need it."""
        if self._added_whole is None:
            return
        entries, self._added_whole = self._added_whole, None
        versions, events = entries.versions, entries.events
        self._subjects = dict(
            zip(entries.subjects, zip(versions, events, strict=True), strict=True)
        )
        self._events = dict(zip(events, map(xor, entries.subjects, versions), strict=True))

    def keep(self) -> None:
        """Keep the events that were added."""
        self._journal.clear()

    def back(self) -> None:
        """Drop the events that were added since the last :meth:`keep`."""
        while self._journal:
            subject, before, event = self._journal.pop()
            del self._events[event]
            if before is None:
                del self._subjects[subject]
            else:
                self._subjects[subject] = before


class _Shelves:
    """A map from 64-bit keys to (version, event), of 16 bytes an entry and little more.

    The top bits of a key choose a shelf, a short sorted array on which it is found by bisection.
    When shelves grow long there are twice as many, each cut in two. Version and event share a
    word: 31 bits for the one, 33 of the other's hash. Version 0 is a subject that was erased.
    """

    def __init__(self) -> None:
        self._shift = 64 - _FIRST_BITS
        self._keys = [array("Q") for _ in range(1 << _FIRST_BITS)]
        self._words = [array("Q") for _ in self._keys]
        self._entries = 0

    def __len__(self) -> int:
        return sum(word >> _EVENT_BITS > 0 for words in self._words for word in words)

    def get(self, key: int) -> tuple[int, int]:
        """The version, and 33 bits of the event's hash; zeros if the key is not there."""
        number = key >> self._shift
        keys = self._keys[number]
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            word = self._words[number][at]
            return word >> _EVENT_BITS, word & _EVENT_MASK
        return 0, 0

    def words(self, keys: Iterable[int]) -> list[int]:
        """The word of each key; 0 where the key is not there."""
        all_keys, all_words, shift = self._keys, self._words, self._shift
        found = []
        for key in keys:
            number = key >> shift
            shelf = all_keys[number]
            at = bisect_left(shelf, key)
            is_there = at < len(shelf) and shelf[at] == key
            found.append(all_words[number][at] if is_there else 0)
        return found

    def put(self, keys: Iterable[int], versions: Iterable[int], events: Iterable[int]) -> None:
        """Set each key's version and event, unless a newer version is there."""
        all_keys, all_words, shift = self._keys, self._words, self._shift
        added = 0
        for key, version, event in zip(keys, versions, events, strict=True):
            number = key >> shift
            shelf = all_keys[number]
            at = bisect_left(shelf, key)
            if at < len(shelf) and shelf[at] == key:
                if version > all_words[number][at] >> _EVENT_BITS:
                    all_words[number][at] = version << _EVENT_BITS | event & _EVENT_MASK
            elif version > 0:  # somebody else's log may hold anything
                shelf.insert(at, key)
                all_words[number].insert(at, version << _EVENT_BITS | event & _EVENT_MASK)
                added += 1
        self._entries += added
        while self._entries > _LONG * len(self._keys):
            self._cut()

    def clear(self, key: int) -> None:
        """Remove the subject."""
        number = key >> self._shift
        keys = self._keys[number]
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            self._words[number][at] = 0

    def _cut(self) -> None:
        """Double the number of shelves."""
        self._shift -= 1
        all_keys: list[array[int]] = []
        all_words: list[array[int]] = []
        for number, (keys, words) in enumerate(zip(self._keys, self._words, strict=True)):
            at = bisect_left(keys, (2 * number + 1) << self._shift)
            all_keys += (keys[:at], keys[at:])
            all_words += (words[:at], words[at:])
        self._keys, self._words = all_keys, all_words


def _hashes(values: Iterable[bytes] | Iterable[str]) -> list[int]:
    return [value & _MASK for value in map(hash, values)]
