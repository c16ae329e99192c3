"""Which changes are under way."""

from __future__ import annotations

import pytest

from bus.monitor.open_changes import OpenChanges

EXPECTED = {"resident": {"tax", "school"}, "household": {"tax"}}


def opened() -> OpenChanges:
    """Change a: one resident; change b: a resident and a household."""
    changes = OpenChanges(EXPECTED)
    changes.appended("resident", 0, [(0, "a", 100.0), (1, "b", 101.0)], 2)
    changes.appended("household", 0, [(0, "b", 101.5)], 1)
    return changes


def test_a_change_is_open_until_all_expected_systems_passed_it() -> None:
    """The last of its systems and streams closes it."""
    changes = opened()
    assert changes.count == 2

    changes.moved("resident", 0, "tax", 2)
    assert changes.count == 2
    changes.moved("resident", 0, "school", 1)
    assert changes.count == 1
    changes.moved("resident", 0, "school", 2)
    assert changes.count == 1
    changes.moved("household", 0, "tax", 1)
    assert changes.count == 0


def test_a_receipt_may_be_read_before_its_event() -> None:
    """The two are read from different logs, in no order."""
    changes = OpenChanges(EXPECTED)
    for system in ("tax", "school"):
        changes.moved("resident", 0, system, 5)

    changes.appended("resident", 0, [(4, "a", 1.0), (5, "b", 2.0)], 6)

    assert changes.count == 1


def test_systems_that_nobody_expects_hold_nothing_up() -> None:
    """The ledger reads too, and a stream without subscribers has no open changes."""
    changes = OpenChanges({"resident": {"tax"}})
    changes.appended("resident", 0, [(0, "a", 1.0)], 1)
    changes.moved("resident", 0, "ledger", 0)
    changes.moved("resident", 0, "tax", 1)
    changes.appended("protection", 0, [(0, "c", 1.0)], 1)

    assert changes.count == 0


def test_says_how_far_each_system_is_behind() -> None:
    """Offsets not passed, and since when the oldest of them waits."""
    changes = opened()
    changes.moved("resident", 0, "tax", 1)
    changes.moved("resident", 0, "school", 2)

    assert changes.behind() == {
        ("tax", "resident"): (1, 101.0),
        ("school", "resident"): (0, None),
        ("tax", "household"): (1, 101.5),
    }


def test_holes_at_the_end_of_a_log_are_passed_over() -> None:
    """Compaction leaves holes; a lane at the log's end has nothing open."""
    changes = OpenChanges({"resident": {"tax"}})
    changes.appended("resident", 0, [(3, "a", 1.0)], 9)
    changes.moved("resident", 0, "tax", 9)

    assert changes.count == 0
    assert changes.behind() == {("tax", "resident"): (0, None)}


def test_reading_a_piece_again_counts_it_once() -> None:
    """A tail that is read anew after an error tells the same events again."""
    changes = OpenChanges({"resident": {"tax"}})
    for _ in range(2):
        changes.appended("resident", 0, [(0, "a", 1.0), (1, "b", 1.0)], 2)
    changes.moved("resident", 0, "tax", 2)

    assert changes.count == 0


@pytest.mark.parametrize("skip", [False, True])
def test_what_was_cut_makes_a_lower_bound(skip: bool) -> None:
    """Memory is bounded; the count says that it is not the whole."""
    changes = OpenChanges({"resident": {"tax"}}, most_tail=3)
    if skip:
        changes.skipped("resident", 0, 2)
    events = [(n, str(n), float(n)) for n in range(2 if skip else 0, 5)]
    changes.appended("resident", 0, events, 5)

    assert (changes.count, changes.is_at_least) == (3, True)
    changes.moved("resident", 0, "tax", 4)
    assert (changes.count, changes.is_at_least) == (1, False)


def test_a_system_that_goes_back_makes_a_lower_bound() -> None:
    """A store restored from a backup has events open that are no longer remembered."""
    changes = OpenChanges({"resident": {"tax"}})
    changes.appended("resident", 0, [(0, "a", 1.0), (1, "b", 2.0)], 2)
    changes.moved("resident", 0, "tax", 2)
    assert not changes.is_at_least

    changes.moved("resident", 0, "tax", 0)

    assert changes.is_at_least
    assert changes.behind() == {("tax", "resident"): (2, None)}
