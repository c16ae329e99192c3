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
from collections.abc import Sequence
from enum import Enum

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
        put, recent = self._subjects.put, self._recent
        for key, version, event_id in zip(keys, versions, event_ids, strict=True):
            subject, event = hash(key) & _MASK, hash(event_id) & _MASK
            put(subject, version, event)
            recent[event] = subject ^ version
        if len(recent) >= self._most_recent:
            self._before, self._recent = recent, {}

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
        subject, event = hash(key) & _MASK, hash(event_id) & _MASK
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
        add = self.add
        found = [
            add(key, version, event_id, opens=is_opening)
            for key, version, event_id, is_opening in zip(
                keys, versions, event_ids, opens, strict=True
            )
        ]
        self.keep()
        return found

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

    def put(self, key: int, version: int, event: int) -> None:
        """The newest is now *version*, unless a newer one is known."""
        number = key >> _SHIFT
        keys = self._keys[number]
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            if version > self._versions[number][at]:
                self._versions[number][at] = version
                self._events[number][at] = event
        else:
            keys.insert(at, key)
            self._versions[number].insert(at, version)
            self._events[number].insert(at, event)

    def clear(self, key: int) -> None:
        number = key >> _SHIFT
        keys = self._keys[number]
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            self._versions[number][at] = 0
