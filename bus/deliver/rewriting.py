"""Rewrite rows of the version that a store has; the lane's position stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bus.deliver.applier import Applier
from bus.deliver.rows import Rows
from bus.errors import BusError, Reaction
from bus.halving import Halves
from bus.log.run import subject_of

AT_ONCE = 500  # rows that are rewritten in one transaction


async def rewrite(applier: Applier, rows: Rows, keys: Sequence[str]) -> Mapping[str, BusError]:
    """Have *rows* rewritten, and *keys* done with; those that the store refuses, and why.

    Args:
        rows: Of subjects in *keys*, the version that the store has, seen as of now.
        keys: Whom it is about, whether there is still a row or not.
    """
    refused: dict[str, BusError] = {}
    for first in range(0, len(keys), AT_ONCE):
        halves = Halves(keys[first : first + AT_ONCE])
        for piece in halves:
            asked = set(piece)
            mine = rows.without([subject_of(key) not in asked for key in rows.keys])
            try:
                await applier.move(mine, applier.position, restored=tuple(piece))
            except BusError as error:
                if error.reaction is not Reaction.PARK:
                    raise
                if not halves.halve(piece):
                    refused[piece[0]] = error
    await applier.settle()
    return refused
