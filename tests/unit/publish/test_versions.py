"""Which version is next, what is there already, and what must be refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.publish.versions import Entries, Sequencing, VersionIndex

KEY, OTHER = b"131016/1", b"131016/2"


def known(*events: tuple[bytes, int, str]) -> VersionIndex:
    """An index that has read *events* in the log."""
    index = VersionIndex()
    for key, version, event_id in events:
        index.learn(Entries.of([key], [version], [event_id]))
    return index


@pytest.mark.parametrize(
    ("version", "opens", "standing"),
    [
        (1, False, Sequencing.NEXT),
        (1, True, Sequencing.NEXT),
        (2, False, Sequencing.GAP),
        (7, True, Sequencing.NEXT),  # a first load
        (99_999, True, Sequencing.NEXT),
        (100_000, True, Sequencing.START),  # no register is so far on
        (2_147_483_647, True, Sequencing.START),  # after which there would be none
        (0, False, Sequencing.REPEAT),
    ],
)
def test_where_an_unknown_subject_starts(version: int, opens: bool, standing: Sequencing) -> None:
    """At 1, except that a first load hands over what the register has reached."""
    assert VersionIndex().draft().add(KEY, version, "a", opens=opens) is standing


@pytest.mark.parametrize("opens", [False, True])
@pytest.mark.parametrize(
    ("version", "standing"),
    [
        (4, Sequencing.NEXT),
        (5, Sequencing.GAP),
        (3, Sequencing.REPEAT),
        (1, Sequencing.REPEAT),
    ],
)
def test_a_known_subject_goes_on(version: int, standing: Sequencing, opens: bool) -> None:
    """The next version is the newest plus one, whatever the nature."""
    index = known((KEY, 3, "c"))

    assert index.draft().add(KEY, version, "new", opens=opens) is standing


def test_what_was_sent_before_is_done() -> None:
    """An event that comes again, newest or not, is recognised by its id."""
    index = known((KEY, 1, "a"), (KEY, 2, "b"), (KEY, 3, "c"))
    draft = index.draft()

    standings = [draft.add(KEY, v, e, opens=False) for v, e in ((1, "a"), (2, "b"), (3, "c"))]

    assert standings == [Sequencing.DONE] * 3


def test_an_id_is_used_once() -> None:
    """An event id under which something else was sent is refused."""
    index = known((KEY, 1, "a"))

    assert index.draft().add(KEY, 2, "a", opens=False) is Sequencing.TAKEN
    assert index.draft().add(OTHER, 1, "a", opens=False) is Sequencing.TAKEN


def test_a_draft_counts_what_it_took() -> None:
    """Several versions of one subject may come at once, in order."""
    index = VersionIndex()
    draft = index.draft()

    standings = [draft.add(KEY, v, f"e{v}", opens=False) for v in (1, 2, 4, 3, 4)]

    assert standings == [
        Sequencing.NEXT,
        Sequencing.NEXT,
        Sequencing.GAP,
        Sequencing.NEXT,
        Sequencing.NEXT,
    ]
    assert index.newest(KEY) == 0


def test_a_refused_change_leaves_nothing() -> None:
    """What a change added goes with it; what came before stays."""
    draft = known((KEY, 1, "a")).draft()
    draft.add(KEY, 2, "b", opens=False)
    draft.keep()
    draft.add(KEY, 3, "c", opens=False)
    draft.add(KEY, 4, "d", opens=False)
    draft.add(OTHER, 1, "e", opens=False)

    draft.back()

    assert draft.add(OTHER, 1, "f", opens=False) is Sequencing.NEXT
    assert draft.add(KEY, 4, "g", opens=False) is Sequencing.GAP
    assert draft.add(KEY, 3, "c", opens=False) is Sequencing.NEXT


def test_an_erased_subject_is_unknown() -> None:
    """After an erasure a number that is given again starts anew."""
    index = known((KEY, 5, "a"))

    index.forget(KEY)
    index.forget(OTHER)

    assert index.newest(KEY) == 0
    assert len(index) == 0
    assert index.draft().add(KEY, 6, "b", opens=False) is Sequencing.GAP
    assert index.draft().add(KEY, 1, "b", opens=False) is Sequencing.NEXT


def test_the_newest_event_is_remembered_for_ever() -> None:
    """Ids of earlier events fade, those of newest events never."""
    index = VersionIndex(recent=2)
    index.learn(Entries.of([KEY], [1], ["a"]))
    index.learn(Entries.of([KEY], [2], ["b"]))
    for number in range(10):
        index.learn(Entries.of([b"131016/1%d" % number], [1], [f"x{number}"]))

    assert index.draft().add(KEY, 2, "b", opens=False) is Sequencing.DONE
    assert index.draft().add(KEY, 1, "a", opens=False) is Sequencing.REPEAT


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6), st.booleans()), max_size=60))
def test_the_index_agrees_with_a_plain_table(events: list[tuple[int, int, bool]]) -> None:
    """Whatever comes in whatever order, versions of a subject ascend by one."""
    index, newest = VersionIndex(), dict[int, int]()
    for place, (subject, version, opens) in enumerate(events):
        key, event_id = b"131016/%d" % subject, f"e{place}"
        last = newest.get(subject, 0)
        if version <= last:
            expected = Sequencing.REPEAT
        elif version == last + 1 or (last == 0 and opens):
            expected = Sequencing.NEXT
        else:
            expected = Sequencing.GAP

        standing = index.draft().add(key, version, event_id, opens=opens)

        assert standing is expected
        if standing is Sequencing.NEXT:
            index.learn(Entries.of([key], [version], [event_id]))
            newest[subject] = version
    assert all(index.newest(b"131016/%d" % s) == version for s, version in newest.items())


def test_reading_the_log_again_changes_nothing() -> None:
    """An older event that is read after a newer one does not turn the clock back."""
    index = known((KEY, 3, "c"), (KEY, 2, "b"))

    assert index.newest(KEY) == 3


EVENTS = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 5), st.integers(0, 12), st.booleans()), max_size=12
)


@given(EVENTS, EVENTS)
def test_many_at_once_stand_as_they_would_alone(
    before: list[tuple[int, int, int, bool]], then: list[tuple[int, int, int, bool]]
) -> None:
    """Whether a batch is judged in one pass or event by event makes no difference."""
    index = VersionIndex()
    for subject, version, event, _ in before:
        if version:
            index.learn(Entries.of([b"131016/%d" % subject], [version], [f"e{event}"]))
    keys = [b"131016/%d" % subject for subject, *_ in then]
    versions = [version for _, version, *_ in then]
    ids = [f"e{event}" for *_, event, _ in then]
    opens = [is_opening for *_, is_opening in then]

    alone = index.draft()
    expected = [
        alone.add(key, version, event, opens=is_opening)
        for key, version, event, is_opening in zip(keys, versions, ids, opens, strict=True)
    ]
    together = index.draft()

    assert together.add_all(Entries.of(keys, versions, ids), opens) == expected
    again = [draft.add_all(Entries.of(keys, versions, ids), opens) for draft in (alone, together)]
    assert again[0] == again[1]


def test_a_newest_event_is_known_in_a_batch_too() -> None:
    """An id that has faded from the recent ones is still its subject's newest."""
    index = VersionIndex(recent=2)
    index.learn(Entries.of([KEY], [1], ["a"]))
    for number in range(8):
        index.learn(Entries.of([b"131016/1%d" % number], [1], [f"x{number}"]))
    again = Entries.of([KEY], [2], ["a"])

    assert index.draft().add_at(again, 0, opens=False) is Sequencing.TAKEN
    assert index.draft().add_all(again, [False]) == [Sequencing.TAKEN]


def test_a_load_of_a_known_subject_goes_on() -> None:
    """RECORD opens what is unknown; it skips nothing of what is known, in a batch either."""
    index = known((KEY, 3, "c"))

    found = index.draft().add_all(Entries.of([OTHER, KEY], [7, 7], ["x", "y"]), [True, True])

    assert found == [Sequencing.NEXT, Sequencing.GAP]


def test_many_subjects_are_all_remembered() -> None:
    """However often the index has to grow, each subject keeps its version and its event."""
    index, count = VersionIndex(recent=10), 40_000
    keys = [b"131016/%015d" % number for number in range(count)]
    versions = [1 + number % 700 for number in range(count)]
    ids = [f"e{number}" for number in range(count)]
    for start in range(0, count, 1_000):
        part = slice(start, start + 1_000)
        index.learn(Entries.of(keys[part], versions[part], ids[part]))

    assert len(index) == count
    assert [index.newest(key) for key in keys] == versions
    assert set(index.draft().add_all(Entries.of(keys, versions, ids), [False] * count)) == {
        Sequencing.DONE
    }
    next_ = [version + 1 for version in versions]
    new_ids = [f"n{number}" for number in range(count)]
    assert set(index.draft().add_all(Entries.of(keys, next_, new_ids), [False] * count)) == {
        Sequencing.NEXT
    }


@pytest.mark.parametrize("version", [0, -1, -(2**31)])
def test_a_version_that_is_none_teaches_nothing(version: int) -> None:
    """What somebody else wrote into the log does not break the index."""
    index = known((KEY, version, "a"))

    assert index.newest(KEY) == 0
    assert known((KEY, 2**31 - 1, "b")).newest(KEY) == 2**31 - 1
