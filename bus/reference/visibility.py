"""Which items of a stream a grant shows, and what its masks leave of each."""

from __future__ import annotations

from dataclasses import dataclass

from bus.catalog.columns import arrow_schema
from bus.model import FLAG, Item, MaskKind, Sensitivity, Stream, Suppression
from bus.policy import Grant
from bus.policy.leaves import leaves_of
from bus.policy.masking import effect
from bus.reference.words import Words


@dataclass(frozen=True, slots=True)
class ItemVisibility:
    """One item as a system sees it."""

    item: Item
    is_withheld: bool  # while one of the persons is protected
    mask: MaskKind | None  # what is left of it, always


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of the matrix, what it is called, and what it means."""

    sign: str
    name: Words
    meaning: Words

    def __str__(self) -> str:
        return f"{self.sign} {self.name}"


PROVIDES = Sign("▲", Words("提供", "provides"), Words("ストリームを提供する", "publishes it"))
RECEIVES = Sign(
    "●", Words("受取", "receives"), Words("受け取る項目に所在がない", "no location among its items")
)
WITHHOLD = Sign(
    "◐",
    Words("秘匿", "withheld"),
    Words("支援措置対象者の所在は受け取らない", "never a protected person's location"),
)
CAPABLE = Sign(
    "◉",
    Words("自ら抑止", "capable"),
    Words(
        "支援措置対象者の所在も受け取り、自ら抑止する",
        "a protected person's location too, which it suppresses itself",
    ),
)
MARKS = (PROVIDES, RECEIVES, WITHHOLD, CAPABLE)


def body(stream: Stream) -> list[Item]:
    """The items that a grant can be about: all but the header's."""
    return [item for item in stream.items if not item.is_header]


def seen(stream: Stream, grant: Grant) -> list[ItemVisibility]:
    """The items of the body that *grant* lets its system see, as declared.

    The flag of protection is always among them.
    """
    masks = _masks(stream, grant)
    withholds = grant.suppression is Suppression.WITHHOLD
    return [
        ItemVisibility(
            item,
            withholds and item.sensitivity is Sensitivity.LOCATION,
            masks.get(item.path),
        )
        for item in body(stream)
        if item.path == FLAG or grant.grants(item.path)
    ]


def _masks(stream: Stream, grant: Grant) -> dict[str, MaskKind]:
    """Item -> what its mask, or that of a record around it, leaves of it."""
    if not grant.masks:
        return {}
    leaves = leaves_of(arrow_schema(stream.latest))
    found: dict[str, MaskKind] = {}
    for path, kind in grant.masks.items():
        found |= effect(kind, path, leaves, frozenset(stream.sealed)) or {}
    return found


def mark(stream: Stream, grant: Grant) -> Sign:
    """The mark in the matrix for a receiver with this grant."""
    given = seen(stream, grant)
    if not any(each.item.sensitivity is Sensitivity.LOCATION for each in given):
        return RECEIVES
    return WITHHOLD if any(each.is_withheld for each in given) else CAPABLE
