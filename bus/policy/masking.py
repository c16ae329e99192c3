"""Which mask does what to which leaf, and which type its column then has.

A mask is named for an item or for a record that is granted. What it leaves of each leaf is settled
here, once, from the schema; what it does to a column is in :mod:`bus.policy.masks`.

A date that may be unknown is one item of three parts: whatever a mask leaves of its date, the
wording (令和３年春) goes, since it says more, and the flag stays. No deemed date is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from bus.model import MaskKind
from bus.policy.leaves import Leaf, base_of, covers, parts_of_date

_OF_TOWN = frozenset({"municipality_code", "town_code", "prefecture", "municipality", "town"})
_OF_TEXTS = (MaskKind.LAST_FOUR, MaskKind.KEYED_HASH)
_OF_SEALED = (MaskKind.WITHHOLD, MaskKind.PRESENT)

FITS: Final[Mapping[MaskKind, str]] = {
    MaskKind.WITHHOLD: "any item",
    MaskKind.BIRTH_YEAR: "a date",
    MaskKind.AGE_BAND: "a date",
    MaskKind.TOWN_ONLY: "an address",
    MaskKind.LAST_FOUR: "a text",
    MaskKind.KEYED_HASH: "a text",
    MaskKind.PRESENT: "an item outside lists",
}
"""What each mask is for, as a fault says it."""


def effect(
    kind: MaskKind, path: str, leaves: Sequence[Leaf], sealed: frozenset[str] = frozenset()
) -> Mapping[str, MaskKind] | None:
    """What *kind* on the item or record at *path* does to each leaf; leaves not named stay.

    Args:
        sealed: Paths of items that are encrypted on the wire: what could be read of them here
            says nothing, so that only masks that do not read fit.

    Returns:
        Leaf path -> mask. None if the mask does not fit what is there.
    """
    below = [leaf for leaf in leaves if covers(path, leaf.path)]
    if not below or (kind not in _OF_SEALED and any(leaf.path in sealed for leaf in below)):
        return None
    if kind is MaskKind.PRESENT and any(pa.types.is_list(leaf.type) for leaf in below):
        return None  # of each value, or of the list?
    if kind is MaskKind.WITHHOLD:
        return {leaf.path: kind for leaf in below}
    if kind is MaskKind.PRESENT:
        return {leaf.path: kind for leaf in below if not _is_flag_of_date(leaf, leaves)}
    if kind is MaskKind.TOWN_ONLY:
        return _town(path, below)
    if kind in _OF_TEXTS:
        fits = len(below) == 1 and below[0].path == path and base_of(below[0].type) == pa.string()
        return {path: kind} if fits and not _is_part_of_date(below[0], leaves) else None
    return _date(kind, path, below, leaves)


def left_of(leaf: Leaf, kind: MaskKind) -> tuple[pa.DataType, bool]:
    """The type of *leaf*'s column under a mask, and whether it may be null."""
    is_list = pa.types.is_list(leaf.type)
    if kind is MaskKind.PRESENT:
        return pa.bool_(), False
    if kind in (MaskKind.BIRTH_YEAR, MaskKind.AGE_BAND):
        left = pa.int32() if kind is MaskKind.BIRTH_YEAR else pa.string()
        return pa.list_(left) if is_list else left, True
    return leaf.type, leaf.is_nullable or kind is not MaskKind.KEYED_HASH


def _town(path: str, below: Sequence[Leaf]) -> Mapping[str, MaskKind] | None:
    parts = {leaf.path.removeprefix(f"{path}."): leaf.path for leaf in below}
    if not parts.keys() >= _OF_TOWN:
        return None
    return {full: MaskKind.WITHHOLD for part, full in parts.items() if part not in _OF_TOWN}


def _date(
    kind: MaskKind, path: str, below: Sequence[Leaf], leaves: Sequence[Leaf]
) -> Mapping[str, MaskKind] | None:
    found = {leaf.path: base_of(leaf.type) for leaf in below}
    if found.keys() == parts_of_date(path):
        return {f"{path}.date": kind, f"{path}.text": MaskKind.WITHHOLD}
    if found != {path: pa.date32()} or _is_part_of_date(below[0], leaves):
        return None
    return {path: kind}


def _is_part_of_date(leaf: Leaf, leaves: Sequence[Leaf]) -> bool:
    above = leaf.path.rpartition(".")[0]
    return {each.path for each in leaves if covers(above, each.path)} == parts_of_date(above)


def _is_flag_of_date(leaf: Leaf, leaves: Sequence[Leaf]) -> bool:
    return leaf.path.endswith(".unknown") and _is_part_of_date(leaf, leaves)
