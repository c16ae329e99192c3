"""Cases of a protection on the real engines, beside a publisher that is not upgraded yet."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from bus.broker import Message
from bus.broker.partitioner import partition_of
from bus.catalog.single import encode_one
from bus.catalog.wire import Reader, frame
from bus.control.fence import RESTS_ON, Fence
from bus.model import Change
from bus.publish.outcome import Outcome
from tests.support.changes import body, by_cases, case, change, record

pytestmark = pytest.mark.service

PERSON, SISTER = "000000012345674", "000000000000019"
SPRING, SUMMER = "2025-05-01", "2025-06-10"


def event(what: str, made: dict[str, Any], version: int) -> Change:
    """A protection with the snapshot beside it."""
    flag = made["status"] != "ENDED"
    beside = record(version=version, body=body("resident", protected=flag))
    protection = record("protection", event_type=f"protection.{what}", version=version, body=made)
    return Change.model_validate_json(json.dumps(change(beside, protection)), strict=True)


def codes(outcome: Outcome) -> list[str]:
    """Why it was refused."""
    return [fault.code for fault in outcome.faults if fault.is_error]


async def test_an_end_lifts_the_case_that_it_names(cluster: Any) -> None:
    """What an old publisher says is one case's; what a new one takes follows from all of it."""
    first, second = case(SPRING), case(SUMMER, shared_with=[SISTER])
    over = {"status": "ENDED"}
    async with (
        cluster.open() as (broker, registry),
        cluster.publisher() as publisher,
    ):
        old = cluster.catalog.stream("protection").versions[1]
        old_id = await registry.id_of(old)
        producer = broker.producer()
        await producer.start()

        async def say_before(what: str, version: int, status: str) -> None:
            """As the release before wrote it."""
            written = body("protection", status=status, started_on=date.fromisoformat(SPRING))
            header = {
                "event_id": f"019d3f00-0000-7000-8000-{version:012d}",
                "event_type": f"protection.{what}", "nature": "CHANGE",
                "change_id": f"019d3f00-0000-7000-8000-{version:012d}",
                "change_size": 1, "change_index": 0, "municipality_code": "131016",
                "subject_id": PERSON, "version": version, "reason": None,
                "effective_date": {"date": None, "unknown": False, "text": None},
                "notified_on": None, "processed_at": datetime(2026, 4, 2, tzinfo=UTC),
                "source": "resident_registry", "cancels": None,
            }  # fmt: skip
            names = {entry["name"] for entry in old.schema["fields"]}
            row = {k: v for k, v in {"header": header, **written}.items() if k in names}
            row["ends_on"] = None
            (value,) = frame(old_id, [encode_one(old, row)])
            key = f"131016/{PERSON}".encode()
            topic = cluster.catalog.stream("protection").topic
            (place,) = partition_of([key], 3)
            await producer.send([Message(topic, place, key, value)])

        streams = cluster.catalog.streams
        readers = {n: Reader(streams[n], cluster.catalog, registry) for n in RESTS_ON}
        fence = Fence(broker, streams, readers)
        await fence.start()

        async def covered() -> set[str]:
            return {key.partition("/")[2] for key in (await fence.all_by_now()).persons}

        await say_before("started", 1, "ACTIVE")
        assert await covered() == {PERSON}
        (taken,) = await publisher.publish(
            [_alone(event("started", by_cases(SUMMER, first, second), 2), 1)]
        )
        assert codes(taken) == []
        assert await covered() == {PERSON, SISTER}

        listed = by_cases(SPRING, first | over, decided_on="2025-06-01")
        (refused,) = await publisher.publish([_alone(event("ended", listed, 3), 2)])
        assert codes(refused) == ["case-dropped"]
        await say_before("ended", 3, "ENDED")
        assert await covered() == {PERSON, SISTER}

        again = by_cases(SPRING, first | over, second, decided_on="2025-12-01")
        (refused,) = await publisher.publish([_alone(event("ended", again, 4), 2)])
        assert codes(refused) == ["case-ended"]
        last = by_cases(SUMMER, second | over, decided_on="2025-12-01")
        (taken,) = await publisher.publish([_alone(event("ended", last, 4), 2)])
        assert codes(taken) == []
        assert await covered() == set()
        await fence.close()
        await producer.close()
    events = await cluster.events("protection")
    assert [e["status"] for e in events] == ["ACTIVE", "ACTIVE", "ENDED", "ENDED"]


def _alone(made: Change, version: int) -> Change:
    """With the person's snapshot at another version than the protection."""
    beside, protection = made.records
    return made.model_copy(
        update={"records": (beside.model_copy(update={"version": version}), protection)}
    )
