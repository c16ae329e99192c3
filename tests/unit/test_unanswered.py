"""Who does not answer is named by the address that was asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus.broker.kafka import KafkaBroker
from bus.catalog.registry import Registry
from bus.errors import BrokerUnavailable, RegistryUnavailable, StoreUnavailable
from bus.ledger import Ledger
from bus.local.ports import free_port


@pytest.fixture
def nobody() -> str:
    """An address of this machine where nobody listens."""
    return f"127.0.0.1:{free_port()}"


async def test_the_broker(nobody: str) -> None:
    """Not by the name of a class of a library alone."""
    with pytest.raises(BrokerUnavailable) as raised:
        await KafkaBroker(nobody, patience=timedelta(seconds=1)).start()

    assert raised.value.where["address"] == nobody


async def test_the_registry(nobody: str) -> None:
    """With the path that was asked."""
    async with Registry(f"http://{nobody}/apis") as registry:
        with pytest.raises(RegistryUnavailable) as raised:
            await registry.greet()

    assert raised.value.where["registry"] == f"http://{nobody}/apis/"


async def test_the_ledger(nobody: str) -> None:
    """Host and port; nothing of the login."""
    ledger = Ledger(f"postgresql://renkei:tr0ub4dor@{nobody}/ledger")

    with pytest.raises(StoreUnavailable) as raised:
        await ledger.reach("c", {})

    assert raised.value.where == {"address": nobody}
    assert "tr0ub4dor" not in str(raised.value)
