"""What the composition root makes of settings and subscriptions for delivery."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from pydantic import SecretStr

from bus import app
from bus.deliver.fleet import Feed
from bus.errors import ConfigurationError, NotEntitled
from bus.policy import Subscription
from bus.settings import Settings, SystemConnection
from bus.testing.lanes import CATALOG, SUBSCRIPTIONS, Town
from connectors.memory.sink import MemorySink

MEMORY = SystemConnection(connector="memory")
POSTGRES = SystemConnection(options={"uri": "postgresql://nobody@127.0.0.1:1/none"})
TODAY = date(2026, 11, 24)


def fed(
    system: str, subscriptions: Mapping[str, Subscription] = SUBSCRIPTIONS, today: date = TODAY
) -> list[Feed]:
    readers = {name: Town().reader(name) for name in CATALOG.streams}
    connection = POSTGRES if system == "ledger" else MEMORY
    return app.feeds(system, connection, CATALOG, subscriptions, readers, today)


def test_a_system_is_fed_what_its_subscription_covers() -> None:
    """A view of each stream, in its topic, until the grant's last day."""
    grants = SUBSCRIPTIONS["child_allowance"].streams

    found = fed("child_allowance")

    assert {f.view.stream: (f.topic, f.expires_on) for f in found} == {
        name: (f"linkage.{name}", grant.expires_on) for name, grant in grants.items()
    }
    assert isinstance(found[0].sink(), MemorySink)


def test_the_ledger_is_fed_every_stream() -> None:
    """Internal ones too; no subscription is needed for identifiers."""
    assert {f.view.stream for f in fed("ledger")} == set(CATALOG.streams)


def test_without_a_subscription_nothing_is_delivered() -> None:
    """A store alone gives no right to anything."""
    with pytest.raises(NotEntitled):
        fed("unheard_of")


def test_an_expired_subscription_delivers_nothing() -> None:
    """The error has its own code; see docs/errors.md."""
    with pytest.raises(NotEntitled) as refused:
        fed("child_allowance", today=date(2126, 1, 1))

    assert refused.value.code == "RK-301"


def test_one_expired_grant_leaves_the_others() -> None:
    """What is still granted is delivered; what is not is said in the log."""
    subscription = SUBSCRIPTIONS["child_allowance"]
    first, *others = subscription.streams
    expired = subscription.streams[first].model_copy(update={"expires_on": date(2026, 11, 23)})
    changed = subscription.model_copy(update={"streams": {**subscription.streams, first: expired}})

    found = fed("child_allowance", {"child_allowance": changed})

    assert [f.view.stream for f in found] == others


@pytest.mark.parametrize(
    ("connection", "wanted"),
    [
        ({"connector": "telex"}, "no such connector"),
        ({"connector": "postgres", "options": {"uri": "x", "scheme": "y"}}, "scheme"),
        ({"connector": "postgres", "options": {}}, "uri"),
    ],
)
def test_a_connection_that_cannot_work(connection: dict[str, Any], wanted: str) -> None:
    """Refused before anything starts, by name and never by value."""
    with pytest.raises(ConfigurationError, match=wanted):
        app.sink(SystemConnection.model_validate(connection))


def test_which_systems_are_hosted() -> None:
    """All of the settings and the ledger; those named; an unknown one is an error."""
    settings = Settings(systems={"child_allowance": MEMORY, "electoral_roll": MEMORY})
    with_ledger = settings.model_copy(update={"database": SecretStr("postgresql://x")})

    assert list(app.connections(settings)) == ["child_allowance", "electoral_roll"]
    assert "ledger" in app.connections(with_ledger)
    assert list(app.connections(settings, ["electoral_roll"])) == ["electoral_roll"]
    with pytest.raises(ConfigurationError, match="no such system"):
        app.connections(settings, ["telex"])
    with pytest.raises(ConfigurationError, match="RENKEI_SYSTEMS"):
        app.connections(Settings())
