"""Adjacency and numbering against plain dictionaries; keys there and back."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pytest

from bus.policy.adjacency import Adjacency
from bus.policy.numbering import Numbering


@pytest.mark.parametrize("seed", range(40))
def test_what_was_said_last_holds_both_ways(seed: int) -> None:
    """Whether it came alone or by the thousand, merged or not."""
    dice = Random(seed)
    merge_at, bulk = dice.choice([0, 3, 10]), dice.choice([1, 5, 20])
    named = Adjacency(merge_at=merge_at, bulk_merge_at=bulk)
    said: dict[int, list[int]] = {}

    def some() -> list[int]:
        return [dice.randint(-5, 12) for _ in range(dice.randint(0, 3))]

    for _ in range(40):
        if dice.random() < 0.5:
            owner, others = dice.randint(-5, 12), some()
            named.put(owner, others)
            said[owner] = others
        elif dice.random() < 0.7:
            owners = [dice.randint(-5, 12) for _ in range(dice.randint(0, 6))]
            lists = [some() for _ in owners]
            named.append(pa.array(owners, pa.int64()), pa.array(lists, pa.list_(pa.int64())))
            said.update(zip(owners, lists, strict=True))
        else:
            known = named.known_among(pa.array([-5, *range(13)], pa.int64())).to_pylist()
            assert set(known) >= {k for k, v in said.items() if v and (k == -5 or k >= 0)}
            for number in range(-6, 14):
                assert set(named.named_by(number)) == set(said.get(number, ()))
                assert set(named.owners_of(number)) == {k for k, v in said.items() if number in v}


def test_keys_and_numbers() -> None:
    """There and back; zeros in front make nobody another, another municipality does."""
    numbers = Numbering()
    keys = ["131016/000000012345674", "011002/000000012345674", "131016/A1", "bare"]
    keys.append("131016/" + "9" * 16)
    whole = [numbers.of(key) for key in keys]

    assert len(set(whole)) == len(keys)
    assert [numbers.key(each) for each in whole] == keys
    spelled = ("12345674", "1234-5674", "１2345674 ", "0012345674")
    assert {numbers.of(f"131016/{number}") for number in spelled} == {whole[0]}


def test_a_column_of_keys() -> None:
    """As one by one, also where something odd is among them."""
    numbers = Numbering()
    codes = ["131016", "131016", "011002", "131016"]
    for ids in (["1", "02", "3", "000000000000002"], ["000000000000000", "", "x", "٣"]):
        found = numbers.column(pa.array(codes), pa.array(ids)).to_pylist()
        assert found == [numbers.of(f"{c}/{i}") for c, i in zip(codes, ids, strict=True)]
    assert numbers.column(pa.array([], pa.string()), pa.array([], pa.string())).to_pylist() == []
