"""What a store is given: a closed set of values, each known by a token."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from bus.conformance.sink_suite import (
    batch_of,
    erasure_of,
    known_to,
    person,
    protection_of,
    rewrites_of,
    view_of,
)
from bus.model import Delivery, ProtectionChange, content_of, rows_in

VIEW = view_of()


def one_of_each() -> list[Delivery]:
    rows = batch_of(VIEW, [person("1")])
    return [
        rows,
        erasure_of(VIEW, ["011002/1"], start=0),
        rewrites_of(rows, "011002/1"),
        protection_of("1"),
    ]


def test_the_set_is_closed() -> None:
    """Whoever matches on a delivery has these to name."""
    assert {type(one) for one in one_of_each()} == set(get_args(Delivery))


def test_a_token_is_of_one_delivery() -> None:
    """The same again has the same; another kind, other keys or other coverage has another."""
    tokens = [one.token for one in one_of_each()]
    assert [one.token for one in one_of_each()] == tokens
    others = [
        *tokens,
        batch_of(VIEW, [person("1")], start=1).token,
        erasure_of(VIEW, ["011002/2"], start=0).token,
        rewrites_of(batch_of(VIEW, [person("1")]), "011002/2").token,
        protection_of("1", as_of=known_to(9)).token,
    ]
    assert len(set(others)) == len(others)


def test_a_token_does_not_say_how_rows_were_masked() -> None:
    """What is masked again after a lost answer is still the same delivery."""
    rows = batch_of(VIEW, [person("1")])
    assert replace(rows, masked_under=known_to(4)).token == rows.token


def test_a_protection_change_is_of_the_lane_that_brought_it() -> None:
    """It has no step of its own, and does to its table what it was brought by does."""
    change = protection_of("1", start=3)
    assert (change.start, change.end, change.receipt) == (
        change.brought_by.start,
        change.brought_by.end,
        change.brought_by.receipt,
    )
    assert content_of(change) is change.brought_by
    newer = replace(VIEW, edition=7)
    assert [one.under(newer).view for one in one_of_each()] == [newer] * 4
    erasing = ProtectionChange(
        protected=change.protected, brought_by=erasure_of(VIEW, ["011002/1"], start=0)
    )
    assert [rows_in(one) for one in (*one_of_each(), erasing)] == [1, 0, 1, 1, 0]
