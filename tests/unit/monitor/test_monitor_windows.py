"""The arithmetic of one-minute windows."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bus.monitor.windows import MINUTE, ReceiptTimes, Windows, minute_of

T0 = 1_800_000_000 // MINUTE * MINUTE


def seen(
    at: float, rows: int = 1, *, system: str = "tax", chain: str | None = None
) -> ReceiptTimes:
    """A receipt applied *at* seconds after T0, told half a second later."""
    return ReceiptTimes(
        system=system,
        stream="resident",
        partition=0,
        end=1,
        rows=rows,
        chain=chain or f"{at}{system}",
        applied_at=T0 + at,
        told_at=T0 + at + 0.5,
        is_replay=False,
    )


@pytest.mark.parametrize(
    ("at", "minute"), [(0, 0), (59.999999, 0), (60, 60), (-0.000001, -60), (3_661.5, 3_660)]
)
def test_minutes_begin_on_the_minute(at: float, minute: int) -> None:
    """A window holds its first instant and not its last."""
    assert minute_of(T0 + at) == T0 + minute


def test_counts_rows_and_batches_by_system_and_minute() -> None:
    """Each receipt is in exactly one window."""
    windows = Windows()
    for one in (seen(1, 10), seen(59.9, 5), seen(60, 7), seen(2, 3, system="school")):
        assert windows.add(one)

    found = [(m - T0, system, w.rows, w.batches) for m, system, _, w in windows.last(60)]
    assert found == [(0, "school", 3, 1), (0, "tax", 15, 2), (60, "tax", 7, 1)]
    window = windows.at(T0)["tax", "resident"]
    assert window.latest == T0 + 59.9
    assert window.delay_mean == pytest.approx(0.5)


def test_the_order_of_reading_does_not_matter() -> None:
    """However receipts arrive, the windows are the same."""
    receipts = [seen(at, rows=int(at)) for at in range(0, 300, 7)]
    straight, shuffled = Windows(), Windows()
    for one in receipts:
        straight.add(one)
    random.Random(5).shuffle(receipts)
    for one in receipts:
        shuffled.add(one)

    assert list(straight.last(60)) == list(shuffled.last(60))


def test_a_receipt_told_twice_counts_once() -> None:
    """After a crash a lane may say again what it said last."""
    windows = Windows()

    assert windows.add(seen(1, chain="a"))
    assert not windows.add(replace(seen(1, chain="a"), told_at=T0 + 30))
    assert windows.add(seen(1, chain="b"))

    assert windows.at(T0)["tax", "resident"].batches == 2


def test_keeps_so_many_minutes_and_counts_what_comes_later() -> None:
    """Memory is bounded; what belongs before the oldest minute is late."""
    windows = Windows(keep=3)
    for minute in range(5):
        windows.add(seen(minute * 60))

    assert [m - T0 for m, *_ in windows.last(60)] == [120, 180, 240]
    assert not windows.add(seen(60, chain="late"))
    assert windows.add(seen(121, chain="in time"))
    assert windows.late == 1
    assert [m - T0 for m, *_ in windows.last(2)] == [180, 240]


def test_a_clock_ahead_does_not_make_a_delay_negative() -> None:
    """The store's clock and the log's are two clocks."""
    windows = Windows()
    windows.add(replace(seen(10), told_at=T0))

    assert windows.at(T0)["tax", "resident"].delay_most == 0.0
