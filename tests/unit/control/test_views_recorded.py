"""A view is recorded before anything is applied under it, and once."""

from __future__ import annotations

import asyncio
import hashlib

from bus.broker import Message
from bus.errors import BrokerUnavailable
from tests.support.lanes import CATALOG, Town, hosted, view_of
from tests.unit.deliver.conftest import SYSTEM, Sinks, WatchedStore


async def test_it_is_recorded_before_the_first_row_is_applied(
    town: Town, sinks: Sinks, store: WatchedStore
) -> None:
    """Every receipt's fingerprint finds its ground; the statement proves the fingerprint."""
    await town.publish("resident", "1", 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)

    (said,) = town.read_all("view")
    (receipt,) = town.read_all("receipt")
    grant = view_of(SYSTEM, "resident").ground
    assert grant is not None
    assert said["fingerprint"] == receipt["view"]
    assert hashlib.sha256(said["statement"].encode()).hexdigest() == said["fingerprint"]
    assert (said["legal_basis"], said["expires_on"]) == (grant.legal_basis, grant.expires_on)
    assert (said["system_ja"], said["stream_ja"]) == ("児童手当", CATALOG.stream("resident").ja)
    assert "name_full" in [column["name"] for column in said["columns"]]
    assert store.versions() == {"1": 1}


async def test_nothing_is_applied_while_it_cannot_be_recorded(
    town: Town, sinks: Sinks, store: WatchedStore, monkeypatch
) -> None:
    """The broker refuses the record: the batch waits, and then goes."""
    await town.publish("resident", "1", 1)
    away = True
    send = type(town.producer).send

    async def unheard(self, messages: list[Message]) -> object:
        if away and any(message.topic == "linkage.view" for message in messages):
            assert not store.applies
            raise BrokerUnavailable("the broker does not answer")
        return await send(self, messages)

    monkeypatch.setattr(type(town.producer), "send", unheard)
    async with hosted(town, sinks) as bus:
        await bus.until(lambda: len(town.moved.slept) > 5)
        assert not store.applies
        away = False
        await bus.at(1)

    assert len(town.read_all("view")) == 1


async def test_each_is_recorded_once_however_many_ask(town: Town) -> None:
    """Lanes of one process ask at once; another process finds it there."""
    view = view_of(SYSTEM, "resident")
    for _ in range(2):
        async with hosted(town, {}) as bus:
            await asyncio.gather(*(bus.process.control.views.record(view) for _ in range(5)))

    assert len(town.read_all("view")) == 1


async def test_the_buss_own_views_are_not_recorded(town: Town) -> None:
    """The ledger is given nothing under a grant."""
    async with hosted(town, {}) as bus:
        await bus.process.control.views.record(view_of("ledger", "resident"))

    assert town.read_all("view") == []
