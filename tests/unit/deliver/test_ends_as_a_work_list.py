"""Ends of protections as a work list: a clerk looks before an address is shown again."""

from __future__ import annotations

from datetime import date
from typing import Any

import yaml

from bus.model import Mode
from bus.policy import compile_view
from bus.policy.subscriptions import SubscriptionReport, read_subscription
from tests.support.changes import by_cases, case
from tests.support.lanes import CATALOG, TODAY, Town, hosted
from tests.support.policies import Grants, text_of

SYSTEM = "child_allowance"
ONE, TWO = "000000000000001", "000000000000002"
SPRING, SUMMER = date(2025, 5, 1), date(2025, 6, 10)


def read(text: str) -> Any:
    """The subscription of a text, which has no fault."""
    report: SubscriptionReport = read_subscription(SYSTEM, text.encode(), CATALOG, today=TODAY)
    assert report.errors == ()
    return report.subscriptions[SYSTEM]


def of_ends_alone(streams: Grants) -> None:
    """No location, and of protections those whose last case has ended."""
    protection = streams["protection"]
    protection["mode"] = "work_list"
    protection["where"] = [{"field": "status", "equals": "ENDED"}]
    protection["fields"] = ["status", "started_on", "decided_on"]
    streams.clear()
    streams["protection"] = protection


def all_as_a_list(streams: Grants) -> None:
    """Beside locations, which need all of the stream."""
    streams["protection"]["mode"] = "work_list"


def of(day: date, status: str = "ACTIVE") -> dict[str, Any]:
    """A case."""
    return case(str(day), status=status) | {"started_on": day}


def test_a_system_with_locations_confirms_each_version() -> None:
    """Starts, extensions and ends: the newest version that a clerk has confirmed is its own."""
    subscription = read(text_of(SYSTEM, all_as_a_list))
    view = compile_view(subscription, CATALOG.stream("protection"), TODAY)

    assert (view.mode, view.protects) == (Mode.WORK_LIST, True)


async def test_a_person_is_on_the_list_while_no_case_is_open(town: Town, sinks, store) -> None:
    """The end of one of two is nothing to look at; a new start takes the person off the list."""
    text = text_of(SYSTEM, of_ends_alone)
    assert yaml.safe_load(text)["streams"]["protection"]["mode"] == "work_list"
    view = compile_view(read(text), CATALOG.stream("protection"), TODAY)

    async def say(subject: str, version: int, what: str, named: date, *cases: Any) -> int:
        made = by_cases(str(named), *cases) | {"started_on": named}
        event_type = f"protection.{what}"
        return await town.publish("protection", subject, version, event_type=event_type, **made)

    views: dict[str, Any] = {"streams": ("protection",), "views": lambda _system, _stream: view}
    async with hosted(town, sinks, **views) as bus:
        await say(ONE, 1, "started", SPRING, of(SPRING))
        await say(ONE, 2, "started", SUMMER, of(SPRING), of(SUMMER))
        await say(ONE, 3, "ended", SPRING, of(SPRING, "ENDED"), of(SUMMER))
        await say(TWO, 1, "started", SPRING, of(SPRING))
        end = await say(TWO, 2, "ended", SPRING, of(SPRING, "ENDED"))
        await bus.at(end + 1, "protection")
        assert store.versions("protection") == {TWO: 2}

        await say(ONE, 4, "ended", SUMMER, of(SUMMER, "ENDED"))
        end = await say(TWO, 3, "started", SUMMER, of(SUMMER))
        await bus.at(end + 1, "protection")

    assert store.versions("protection") == {ONE: 4}
