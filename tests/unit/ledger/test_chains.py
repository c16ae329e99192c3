"""Which receipts of a lane hang together, and which do not."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bus.ledger.chains import ChainFaultKind, LaneVerdict, ReceiptRow, check_lane
from bus.model import Receipt
from tests.support.ledgers import BEGAN, Chain


def rows(log: Sequence[dict[str, Any]]) -> list[ReceiptRow]:
    fields = Receipt.__dataclass_fields__
    rest = ("chain", "applied_at", "cluster_id", "is_replay", "log_partition", "log_offset")
    return [
        ReceiptRow(receipt=Receipt(**{n: row[n] for n in fields}), **{n: row[n] for n in rest})
        for row in log
    ]


def verdict(log: Sequence[dict[str, Any]]) -> LaneVerdict:
    return check_lane(rows(log), {})


def lane(log: list[dict[str, Any]]) -> Chain:
    return Chain("school", "resident", 0, log)


def test_a_chain_with_retries_and_repeats() -> None:
    """What a lane does on ordinary days."""
    log: list[dict[str, Any]] = []
    chain = lane(log)
    chain.give([0, 1], 2)
    chain.give([])
    chain.repeat()
    chain.give([1])
    chain.give([2], 5)

    found = verdict(log)

    assert (found.receipts, found.repeats, found.chains, found.forks) == (5, 1, 1, 0)
    assert found.findings == []


def test_a_rebuilt_lane_has_a_chain_more() -> None:
    """From offset 0 again, beside the first; also in the same batches."""
    log: list[dict[str, Any]] = []
    chain = lane(log)
    chain.give([0], 1)
    chain.give([1], 2)
    rebuilt = Chain("school", "resident", 0, log, at=BEGAN + timedelta(hours=1))
    rebuilt.give([0], 1)
    rebuilt.give([1], 2)
    rebuilt.give([2], 3)
    chain.give([2], 3)

    found = verdict(log)

    assert (found.chains, found.repeats, found.findings) == (2, 0, [])


def test_a_restored_store_goes_on_from_before() -> None:
    """Two receipts follow one: the copy was older than the store."""
    log: list[dict[str, Any]] = []
    chain = lane(log)
    chain.give([0], 1)
    restored = copy.copy(chain)
    chain.give([1], 2)
    chain.give([2], 3)
    restored.at += timedelta(days=1)
    restored.give([1, 2], 3)

    found = verdict(log)

    assert (found.chains, found.forks, found.findings) == (1, 1, [])


def test_a_chain_that_begins_in_the_middle_is_broken() -> None:
    """Nobody starts at offset 5 with nothing before it."""
    log: list[dict[str, Any]] = []
    Chain("school", "resident", 0, log, position=5).give([5], 6)

    (found,) = verdict(log).findings

    assert found.kind is ChainFaultKind.BROKEN


def test_a_jump_is_broken() -> None:
    """A receipt that follows another and starts elsewhere, though its chain value is right."""
    log: list[dict[str, Any]] = []
    chain = lane(log)
    chain.give([0], 1)
    chain.position = 3
    chain.give([3], 4)

    (found,) = verdict(log).findings

    assert (found.kind, found.start, found.end) == (ChainFaultKind.BROKEN, 3, 4)
