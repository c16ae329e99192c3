"""What is refused is found among many: in order, each once, and not in too many tries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus.halving import Halves, spans


@given(st.lists(st.booleans(), max_size=70))
def test_each_is_done_or_found_in_order(are_good: list[bool]) -> None:
    """A piece in which one is bad is refused whole; the bad ones are found one by one."""
    many = list(enumerate(are_good))
    done: list[int] = []
    seen: list[int] = []
    tries = 0

    halves = Halves(many)
    for piece in halves:
        tries += 1
        if all(good for _, good in piece):
            done += [at for at, _ in piece]
            seen += [at for at, _ in piece]
        elif not halves.halve(piece):
            seen.append(piece[0][0])

    assert seen == list(range(len(many)))
    assert done == [at for at, good in many if good]
    assert tries <= 2 * max(len(many), 1)


def test_the_last_piece_knows_that_it_is() -> None:
    """For whoever has to go on to the end of all of them with it."""
    halves = spans("abcd")
    found = []
    for piece in halves:
        found.append((piece, halves.is_last))
        if len(piece) == 4:
            halves.halve(piece)

    assert found == [(range(4), True), (range(2), False), (range(2, 4), True)]


def test_parts_are_taken_as_they_can_be() -> None:
    """What cannot be sliced says itself how."""

    class Some:
        def __init__(self, text: str) -> None:
            self.text = text

        def __len__(self) -> int:
            return len(self.text)

        def part(self, first: int, last: int) -> Some:
            return Some(self.text[first:last])

    halves = Halves(Some("abc"), Some.part)

    assert [piece.text for piece in halves if not halves.halve(piece)] == ["a", "b", "c"]
