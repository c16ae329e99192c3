"""No change, however malformed, is anything but published or refused with a code.

In every run a seeded share, and the whole, 200,000 changes, in the test marked ``slow``.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest

from bus.connect.source import Taken
from bus.model import Change, Fault
from bus.publish.admission import read
from bus.publish.parse import parse
from bus.sealing import Seals
from tests.support.keys import Pocket
from tests.support.mutation import spoilt, whole_changes

AT_ONCE = 1_000


async def fuzz(house: Any, seed: int, changes: int) -> tuple[int, int]:
    """So many spoilt changes through an outbox's reading and a publisher: published, refused."""
    publisher = await house.publisher(seals=Seals(Pocket("k1")))
    source = spoilt(whole_changes(house.catalog), seed)
    published = 0
    for _ in range(0, changes, AT_ONCE):
        texts = [json.dumps(change) for change in islice(source, AT_ONCE)]
        read_changes, refusals = read(
            [Taken(seq, text.encode(), is_from_json=True) for seq, text in enumerate(texts)]
        )
        assert len(read_changes) + len(refusals) == len(texts)
        assert all(is_said(refusal.reasons) for refusal in refusals)
        outcomes = await publisher.publish([change for _, change in read_changes])
        assert len(outcomes) == len(read_changes)
        for outcome in outcomes:
            errors = [fault for fault in outcome.faults if fault.is_error]
            assert bool(errors) is not outcome.is_published
            assert outcome.is_published or is_said(errors)
            published += outcome.is_published
    return published, changes - published


def is_said(faults: Any) -> bool:
    """Whether there are reasons, each with a word of the checks: a defect's is a check to mend."""
    return bool(faults) and all(fault.code and not fault.code.startswith("RK-") for fault in faults)


@pytest.mark.parametrize("changes", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
async def test_a_spoilt_change_is_published_or_refused(house: Any, changes: int) -> None:
    """Every stream's valid changes, spoilt in many ways: never an error that names no change."""
    published, refused = await fuzz(house, 1, changes)

    assert published > changes / 400
    assert refused > changes * 3 / 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
async def test_two_hundred_thousand_spoilt_changes(house: Any, seed: int) -> None:
    """The same, until nothing new is found."""
    published, refused = await fuzz(house, seed, 50_000)

    assert published > 50
    assert refused > 40_000


def test_a_spoilt_line_is_a_change_or_its_faults(catalog: Any) -> None:
    """Lines of a file are read a little more strictly than rows, and break no more."""
    for value in islice(spoilt(whole_changes(catalog), 6), 10_000):
        found = parse(json.dumps(value).encode())
        assert isinstance(found, Change) or (found and all(isinstance(f, Fault) for f in found))
