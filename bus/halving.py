"""Find what fails among many: a piece that fails is tried again as its two halves, in order.

One loop for whoever decodes, checks, sends or applies many at once because that is quick::

    halves = Halves(many)
    for piece in halves:
        try:
            act(piece)
        except Refused:
            if not halves.halve(piece):
                ...  # this one it is
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

P = TypeVar("P", bound=Sized)


def _slice(many: Any, first: int, last: int) -> Any:
    return many[first:last]


class Halves(Generic[P], Iterator[P]):
    """*whole*; in place of a piece that was halved, its earlier and then its later half.

    Args:
        whole: A sequence, or something of a length that *part* takes parts of.
        part: Makes of a piece that from one index up to another.
    """

    def __init__(self, whole: P, part: Callable[[P, int, int], P] = _slice) -> None:
        self._left = [whole]
        self._part = part

    def __next__(self) -> P:
        if not self._left:
            raise StopIteration
        return self._left.pop()

    @property
    def is_last(self) -> bool:
        """Whether nothing comes after the piece that was given last."""
        return not self._left

    def halve(self, piece: P) -> bool:
        """Have the halves of *piece* come next; False if it is a single one."""
        if len(piece) < 2:
            return False
        middle = len(piece) // 2
        self._left += [self._part(piece, middle, len(piece)), self._part(piece, 0, middle)]
        return True


def spans(many: Sequence[Any]) -> Halves[range]:
    """Halves of the indices of *many*."""
    return Halves(range(len(many)))
