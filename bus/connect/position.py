"""Check that a delivery begins at its lane's position."""

from __future__ import annotations

from bus.errors import LaneLost
from bus.model import Checkpoint, Delivery


def insist_on_position(held: Checkpoint | None, delivery: Delivery) -> None:
    """Refuse a delivery that does not begin at the lane's position, in the same log.

    Raises:
        LaneLost: Somebody else moved it.
    """
    end, here = delivery.end, held.position.offset if held else 0
    is_same_log = held is None or (held.position.cluster_id, held.position.topic) == (
        end.cluster_id, end.topic,
    )  # fmt: skip
    if here != delivery.start or not is_same_log:
        raise LaneLost(
            "somebody else moved this lane",
            stream=delivery.view.stream,
            partition=delivery.partition,
            expected=delivery.start,
            stored=here,
        )
