"""A group's coordinator that has just been named is asked again, for a bounded time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka
from aiokafka.structs import OffsetAndMetadata, TopicPartition

import bus.broker.kafka.cluster as cluster
from bus.broker.kafka import KafkaBroker
from bus.errors import BrokerUnavailable

_AT_FIRST = [
    kafka.GroupCoordinatorNotAvailableError,  # the topic of the groups is not made yet
    kafka.NotCoordinatorForGroupError,  # it has not heard of its office yet
    kafka.GroupLoadInProgressError,  # it reads what it is to know
]
_MEMBER = ("id", "renkei-tax@host:7:1", "/127.0.0.1", b"", b"")


class Young:
    """A cluster's admin client: each of *errors* is answered once, then what is asked for."""

    def __init__(self, errors: Iterator[type[kafka.BrokerResponseError]]) -> None:
        self._errors = errors

    async def describe_consumer_groups(self, groups: list[str]) -> Any:
        error = next(self._errors, None)
        if error is kafka.GroupCoordinatorNotAvailableError:  # by whoever is asked for the way
            raise error
        code = 0 if error is None else error.errno
        told = (code, groups[0], "Stable", "consumer", "range", [] if error else [_MEMBER])
        return [SimpleNamespace(groups=[told])]

    async def list_consumer_group_offsets(self, _: str) -> Any:
        if error := next(self._errors, None):
            raise error
        return {TopicPartition("t", 0): OffsetAndMetadata(7, "")}


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> KafkaBroker:
    """One that is asked again at once, and waits for no more than a moment."""
    monkeypatch.setattr(cluster, "_LOOK_AGAIN", 0)
    return KafkaBroker("127.0.0.1:1", patience=timedelta(milliseconds=200))


async def test_members_are_told_once_it_is_there(broker: KafkaBroker) -> None:
    """Whoever asks has no false alarm."""
    broker._admin = Young(iter(_AT_FIRST))

    assert await broker.members(["g"]) == {"g": ["renkei-tax@host:7:1"]}


async def test_offsets_are_told_once_it_is_there(broker: KafkaBroker) -> None:
    """As its members are."""
    broker._admin = Young(iter(_AT_FIRST))

    assert await broker.committed("g") == {("t", 0): 7}


@pytest.mark.parametrize("error", _AT_FIRST)
async def test_it_is_not_asked_for_ever(broker: KafkaBroker, error: Any) -> None:
    """One that never takes office is a broker that does not answer."""
    broker._admin = Young(iter(lambda: error, None))

    with pytest.raises(BrokerUnavailable):
        await broker.members(["g"])


async def test_a_refusal_is_not_asked_again(broker: KafkaBroker) -> None:
    """It will not go away."""
    errors = iter([kafka.InvalidGroupIdError, kafka.NotCoordinatorForGroupError])
    broker._admin = Young(errors)

    with pytest.raises(Exception, match="refuses"):
        await broker.members(["g"])
