"""Events of both versions of ``resident`` in one log, and systems that read items of either alone.

The second version adds 旧氏. One system is granted nothing else, one only what the first version
has, one some of both: a mixture must reach all of them. Used over a log in memory and a real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus.model import LaneName
from bus.policy import Subscription
from tests.support.lanes import SUBSCRIPTIONS, Hosted, Town

GRANTED: Mapping[str, tuple[str, ...]] = {
    "child_allowance": ("former_family_name", "former_family_name_kana"),
    "national_pension": ("resident_state", "name.full"),
    "electoral_roll": ("resident_state", "former_family_name"),
}
"""System -> the items of ``resident`` that it is granted."""

_HAS = {"name__full": "佐藤　花子", "resident_state": "1"}
_FORMER = {"former_family_name": "髙橋", "former_family_name_kana": "タカハシ"}
OLD, NEW, OLD_THEN_NEW, NEW_THEN_OLD = (f"{number:015d}" for number in range(1, 5))


def narrowed() -> dict[str, Subscription]:
    """The shipped subscriptions, those of ``GRANTED`` with these items alone."""
    made = dict(SUBSCRIPTIONS)
    for system, fields in GRANTED.items():
        shipped = made[system]
        grant = shipped.streams["resident"].model_copy(update={"fields": fields})
        made[system] = shipped.model_copy(update={"streams": {"resident": grant}})
    return made


async def publish_mixed(town: Town) -> int:
    """Append six events, of both versions in turns; the log's end in their partition."""
    for subject, version, schema in (
        (OLD, 1, 1),
        (NEW, 1, 2),
        (OLD_THEN_NEW, 1, 1),
        (NEW_THEN_OLD, 1, 2),
        (OLD_THEN_NEW, 2, 2),
        (NEW_THEN_OLD, 2, 1),
    ):
        items: dict[str, Any] = _HAS | (_FORMER if schema == 2 else {})
        end = await town.publish("resident", subject, version, schema=schema, **items)
    return end + 1


async def all_at(bus: Hosted, end: int, seconds: float) -> None:
    """Wait until every system stands at *end*."""

    def are_there() -> bool:
        lanes = bus.process.lanes.all
        return all(
            (lane := lanes.get(LaneName(system, "resident", 0))) is not None and lane.offset == end
            for system in GRANTED
        )

    await bus.until(are_there, seconds)


def expected(system: str) -> dict[str, tuple[Any, ...]]:
    """Subject -> what the system must hold of it, in the order of its items."""
    values = {"resident_state": "1", "name.full": "佐藤　花子"}
    held = {}
    for subject, is_new in ((OLD, False), (NEW, True), (OLD_THEN_NEW, True), (NEW_THEN_OLD, False)):
        known = values | (_FORMER if is_new else {})
        held[subject] = tuple(known.get(field) for field in GRANTED[system])
    return held


def columns(system: str) -> tuple[str, ...]:
    """The names of those items in the system's own table."""
    return tuple(field.replace(".", "_") for field in GRANTED[system])
