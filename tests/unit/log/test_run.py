"""Runs of events, as values."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.deliver.rows import ranges
from bus.log.run import Run, split_erasures, subject_of
from bus.model import multirange


@given(st.sets(st.integers(0, 60)))
def test_ranges_are_those_of_the_plain_way(offsets: set[int]) -> None:
    """The quick way over columns says the same as the one that takes a step for each offset."""
    ascending = sorted(offsets)

    assert ranges(ascending) == multirange(ascending)


@given(st.lists(st.sampled_from([b"x", None]), min_size=1, max_size=12))
def test_split_keeps_everything_in_order(values: list[bytes | None]) -> None:
    """Runs of events and of erasures alternate, and together are the run."""
    run = Run(list(range(len(values))), [b"k"] * len(values), values)

    parts = list(split_erasures(run))

    assert [offset for _, part in parts for offset in part.offsets] == list(run.offsets)
    assert all(all((v is None) is gone for v in part.values) for gone, part in parts)
    kinds = [gone for gone, _ in parts]
    assert all(a != b for a, b in itertools.pairwise(kinds))


@pytest.mark.parametrize(
    ("key", "subject"),
    [
        (b"131016/000000012345674", "131016/000000012345674"),
        (b"131016/", None),
        (b"no key at all", None),
        (b"\xff\xfe", None),
        (None, None),
    ],
)
def test_a_key_that_is_no_key_is_known_by_its_digest(
    key: bytes | None, subject: str | None
) -> None:
    """What somebody put in place of a key may be anything, so it is not copied."""
    said = subject_of(key)

    assert said == subject if subject else said.startswith("sha256:")


def test_from_an_offset() -> None:
    """What lies before an offset is dropped, also where the log has holes."""
    run = Run([3, 5, 9], [b"a", b"b", b"c"], [b"1", b"2", b"3"])

    assert run.from_offset(4).offsets == [5, 9]
    assert run.from_offset(0) is run
    assert run.from_offset(10).offsets == []
