"""個人番号: checked as it is, in the log only sealed, and recognised whichever key it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from bus.broker.port import ENVELOPE_BYTES
from bus.catalog.columns import arrow_schema
from bus.errors import KeysUnavailable, KeysUnusable
from bus.model import Change
from bus.publish.outcome import Outcome
from bus.publish.publisher import FEW
from bus.sealing import KeyRing, Seals
from bus.sealing.seals import unseal_column
from tests.support.changes import change, record
from tests.support.keys import Pocket, key
from tests.support.sealed import STREAM, number_of

Publish = Callable[..., Any]


def ident(number: int) -> str:
    """A change id."""
    return f"019d4be0-0000-7abc-8def-{number:012d}"


def subject(number: int) -> str:
    """A 宛名番号."""
    return f"{number:015d}"


def errors(outcome: Outcome) -> list[str]:
    """The errors of an outcome."""
    return [fault.code for fault in outcome.faults if fault.is_error]


def assigned(person: int, version: int = 1, number: str | None = None) -> dict[str, Any]:
    """A change: somebody has a number."""
    held = record(
        STREAM,
        subject_id=subject(person),
        version=version,
        body={"number": number or number_of(person)},
    )
    return change(held, change_id=ident(person * 10 + version))


@pytest.fixture
def pocket() -> Pocket:
    """One key."""
    return Pocket("k1")


@pytest.fixture
def publish(house: Any, pocket: Pocket, parse: Callable[[dict[str, Any]], Change]) -> Publish:
    """Publishes changes given as JSON has them, by a publisher of its own."""

    async def published(*changes: dict[str, Any], **options: Any) -> list[Outcome]:
        options.setdefault("seals", Seals(pocket))
        publisher = await house.publisher(**options)
        return list(await publisher.publish([parse(value) for value in changes]))

    return published


def opened(house: Any, *ids: str) -> dict[str, str]:
    """Subject -> number, as the log holds them under these keys."""
    ring = KeyRing.parse("\n".join(key(each).line for each in ids))
    events = house.events(STREAM)
    batch = pa.RecordBatch.from_pylist(events, arrow_schema(house.catalog.stream(STREAM).latest))
    values = unseal_column(STREAM, "number", batch.column("number"), batch.column("header"), ring)
    return {
        event["header"]["subject_id"]: number
        for event, number in zip(events, values.to_pylist(), strict=True)
    }


def raw(house: Any) -> bytes:
    """All bytes of the topic."""
    return b"".join((key or b"") + (value or b"") for key, value in house.log(STREAM))


def sealed(house: Any, key_id: str) -> int:
    """How many texts of the topic are sealed by this key: its id, the nonce, the ciphertext."""
    return len(re.findall(rf"{key_id}\.[\w-]{{16}}\.[\w-]+".encode(), raw(house)))


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 60])
async def test_the_log_has_it_sealed(house: Any, publish: Publish, count: int) -> None:
    """One by one, or as columns: no number is in a byte of the topic, and each opens."""
    outcomes = await publish(*(assigned(person) for person in range(count)))

    assert all(outcome.is_published for outcome in outcomes)
    assert opened(house, "k1") == {subject(p): number_of(p) for p in range(count)}
    assert [p for p in range(count) if number_of(p).encode() in raw(house)] == []
    assert sealed(house, "k1") == count


async def test_columns_are_sealed_too(house: Any, publish: Publish, pocket: Pocket) -> None:
    """What comes as columns goes the same way; what came is left as it was."""
    await publish(*(assigned(person) for person in range(30)))
    stream = house.catalog.stream(STREAM)
    rows = house.events(STREAM)
    for row in rows:
        row["number"] = number_of(int(row["header"]["subject_id"]))
        row["header"]["version"] = 2
        row["header"]["event_id"] = ident(5_000_000 + int(row["header"]["subject_id"]))
        row["header"]["change_id"] = ident(6_000_000 + int(row["header"]["subject_id"]))
    batch = pa.RecordBatch.from_pylist(rows, arrow_schema(stream.latest))
    publisher = await house.publisher(seals=Seals(pocket))

    outcome = await publisher.publish_columns(stream, batch)

    assert outcome.published == 30
    assert opened(house, "k1") == {subject(p): number_of(p) for p in range(30)}
    assert [p for p in range(30) if number_of(p).encode() in raw(house)] == []
    assert batch.column("number").to_pylist() == [row["number"] for row in rows]


async def test_it_is_checked_as_it_is(house: Any, publish: Publish) -> None:
    """Its check digit is looked at before it is sealed; the fault does not say it."""
    wrong = number_of(1)[:-1] + str((int(number_of(1)[-1]) + 1) % 10)

    refused, good = await publish(assigned(1, number=wrong), assigned(2))

    assert errors(refused) == ["check-digit"]
    assert wrong not in json.dumps([str(fault) for fault in refused.faults])
    assert good.is_published
    assert opened(house, "k1") == {subject(2): number_of(2)}


async def test_a_second_sending_is_recognised(house: Any, publish: Publish, pocket: Pocket) -> None:
    """By its event id: it would be sealed in other bytes, and after a rotation with another key."""
    changes = [assigned(person) for person in range(20)]
    await publish(*changes)
    before = raw(house)
    pocket.hold("k1", "k2")

    outcomes = await publish(*changes)

    assert [outcome.resent for outcome in outcomes] == [1] * 20
    assert raw(house) == before


async def test_a_new_key_is_taken_up(house: Any, pocket: Pocket, parse: Any) -> None:
    """By a publisher that runs: what is there stays under the old one."""
    publisher = await house.publisher(seals=Seals(pocket))
    await publisher.publish([parse(assigned(1))])
    pocket.hold("k1", "k2")
    await publisher.publish([parse(assigned(2))])

    assert opened(house, "k1", "k2") == {subject(p): number_of(p) for p in (1, 2)}
    assert (sealed(house, "k1"), sealed(house, "k2")) == (1, 1)


@pytest.mark.parametrize("count", [1, FEW + 4])
async def test_without_keys_nothing_is_sent(house: Any, publish: Publish, count: int) -> None:
    """Not even a change of another stream of the same call; others are published as ever."""
    changes = [assigned(person) for person in range(count)]

    with pytest.raises(KeysUnusable):
        await publish(change(record(), change_id=ident(1)), *changes, seals=Seals())

    assert raw(house) == b""
    assert house.log("resident") == []
    (outcome,) = await publish(change(record(), change_id=ident(1)), seals=Seals())
    assert outcome.is_published


async def test_keys_that_should_be_there_are_asked_for_at_the_start(
    house: Any, pocket: Pocket
) -> None:
    """Before anything is taken from an outbox."""
    pocket.text = "half a fi"

    with pytest.raises(KeysUnusable):
        await house.publisher(seals=Seals(pocket))


async def test_a_key_service_that_is_away_is_waited_for(house: Any, publish: Publish) -> None:
    """Nothing was appended, and the caller may call again."""

    class Away(Pocket):
        async def read(self) -> str:
            raise KeysUnavailable("the command for keys does not end")

    with pytest.raises(KeysUnavailable):
        await publish(assigned(1), seals=Seals(Away()))


async def test_the_size_of_an_event_is_that_of_its_sealed_form(
    house: Any, publish: Publish, pocket: Pocket
) -> None:
    """An event that fits only while it can be read is refused."""
    await publish(assigned(1))
    ((kafka_key, value),) = house.log(STREAM)
    size = len(kafka_key) + len(value or b"")
    (fits,) = await publish(assigned(2), max_message_bytes=size + ENVELOPE_BYTES)
    (too_large,) = await publish(assigned(3), max_message_bytes=size + ENVELOPE_BYTES - 1)

    assert fits.is_published
    assert errors(too_large) == ["too-large"]


async def test_a_dry_run_appends_nothing_and_needs_the_keys(house: Any, publish: Publish) -> None:
    """It says what would happen, which without keys is nothing."""
    (outcome,) = await publish(assigned(1), is_dry=True)
    assert outcome.is_published

    with pytest.raises(KeysUnusable):
        await publish(assigned(1), is_dry=True, seals=Seals())
    assert raw(house) == b""
