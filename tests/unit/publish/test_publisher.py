"""Changes in, events out: whole or not at all, in order, and once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from bus.broker import PartitionBatch
from bus.broker.partitioner import partition_of
from bus.catalog.single import encode_one
from bus.catalog.wire import frame
from bus.errors import BrokerUnavailable, ConfigurationError, RegistryUnavailable, SchemaMismatch
from bus.model import Change
from bus.observe.metrics import Metrics
from bus.publish.identity import event_id_of, is_uuid7
from bus.publish.outcome import Outcome
from bus.publish.publisher import Publisher
from tests.support.changes import body, change, record

Parse = Callable[[dict[str, Any]], Change]
KEY = b"131016/000000012345674"


def ident(number: int) -> str:
    """A change id."""
    return f"019d4be0-0000-7abc-8def-{number:012d}"


def codes(outcome: Outcome) -> list[str]:
    """The errors of an outcome."""
    return [fault.code for fault in outcome.faults if fault.is_error]


@pytest.fixture
def publish(parse: Parse) -> Callable[..., Any]:
    """Publishes changes given as JSON has them."""

    async def published(publisher: Publisher, *changes: dict[str, Any]) -> list[Outcome]:
        return await publisher.publish([parse(value) for value in changes])

    return published


async def test_what_kafka_acknowledged_is_counted(house: Any, publish: Any) -> None:
    """Once, by stream: what was there already, was refused or only tried is not."""
    metrics = Metrics()
    publisher = await house.publisher(metrics=metrics)
    dry = await house.publisher(metrics=metrics, is_dry=True)
    whole = change(record(), record("household", subject_id="000000012345674"), change_id=ident(1))

    await publish(dry, whole)
    await publish(publisher, whole, change(record(version=9), change_id=ident(2)))
    await publish(publisher, whole)

    counted = [
        metrics.value("renkei_publish_events_total", stream=name)
        for name in ("resident", "household", "protection")
    ]
    assert counted == [1.0, 1.0, None]


async def test_a_change_becomes_its_events(house: Any, publish: Any) -> None:
    """Every record is an event under its subject's key, with the change's identity."""
    publisher = await house.publisher()

    (outcome,) = await publish(
        publisher,
        change(record(), record("household", subject_id="000000012345674"), change_id=ident(1)),
    )

    assert outcome.is_published
    assert outcome.change_id == ident(1)
    assert outcome.event_ids == (event_id_of(ident(1), 0), event_id_of(ident(1), 1))
    (event,), (household,) = house.events("resident"), house.events("household")
    header = event["header"]
    assert header["event_id"] == outcome.event_ids[0]
    assert (header["change_size"], header["change_index"]) == (2, 0)
    assert household["header"]["change_index"] == 1
    assert header["reason"] == "MOVED_WITHIN"
    assert header["processed_at"].isoformat() == "2026-04-02T00:30:00+00:00"
    assert [key for key, _ in house.log("resident")] == [KEY]


async def test_text_goes_through_unchanged(house: Any, publish: Any) -> None:
    """No normalisation: selectors, compatibility kanji and half-width kana stay what they are."""
    name = "辻\U000e0100﨑\u304b\u3099ｶﾞＡ①㈱\u2010𠮷"
    publisher = await house.publisher()

    await publish(publisher, change(record(body=body("resident", name__full=name))))

    (event,) = house.events("resident")
    assert event["name"]["full"].encode() == name.encode()
    assert name.encode() in house.log("resident")[0][1]


async def test_a_date_of_no_calendar_arrives_as_text(house: Any, publish: Any) -> None:
    """It is carried, and the outcome warns."""
    publisher = await house.publisher()
    birth = {"date": "2023-02-29", "unknown": False, "text": None}

    (outcome,) = await publish(publisher, change(record(body=body("resident", birth_date=birth))))

    assert outcome.is_published
    assert [fault.code for fault in outcome.faults] == ["no-calendar-date"]
    assert house.events("resident")[0]["birth_date"] == {
        "date": None,
        "unknown": False,
        "text": "2023-02-29",
    }


async def test_an_id_is_made_where_there_is_none(house: Any, publish: Any) -> None:
    """A core system that has no ids gets one."""
    publisher = await house.publisher()

    (outcome,) = await publish(publisher, change())

    assert is_uuid7(outcome.change_id)


async def test_a_fault_refuses_the_whole_change_and_no_other(house: Any, publish: Any) -> None:
    """All records of a change are sent, or none."""
    publisher = await house.publisher()
    wrong = record("household", body=body("household", member_count=9))

    outcomes = await publish(
        publisher,
        change(record()),
        change(record(subject_id="000000000000010"), wrong),
        change(record("household")),
    )

    assert [codes(outcome) for outcome in outcomes] == [[], ["member-count"], []]
    assert outcomes[1].event_ids == ()
    assert outcomes[1].faults[-1].record == 1
    assert house.versions() == [("000000012345674", 1)]
    assert house.versions("household") == [("000000012345674", 1)]


async def test_later_changes_of_a_refused_subject_are_refused(house: Any, publish: Any) -> None:
    """Order per subject holds: what follows a refused version has a gap before it."""
    publisher = await house.publisher()
    spoilt = body("resident", sex="x")

    outcomes = await publish(
        publisher,
        change(record()),
        change(record(version=2, body=spoilt)),
        change(record(version=3)),
        change(record(subject_id="000000000000010")),
    )

    assert [codes(outcome) for outcome in outcomes] == [[], ["code-list"], ["version-gap"], []]
    assert ("000000012345674", 2) not in house.versions()
    mended = await publish(publisher, change(record(version=2)), change(record(version=3)))
    assert all(outcome.is_published for outcome in mended)


async def test_a_gap_in_one_record_holds_back_the_others(house: Any, publish: Any) -> None:
    """A change whose second record is out of line takes its first back."""
    publisher = await house.publisher()

    first, second = await publish(
        publisher,
        change(record(), record(subject_id="000000000000010", version=2)),
        change(record(), record(subject_id="000000000000010")),
    )

    assert codes(first) == ["version-gap"]
    assert first.faults[-1].record == 1
    assert second.is_published


async def test_versions_are_learnt_from_the_topic(house: Any, publish: Any) -> None:
    """A publisher that starts later knows what is there."""
    await publish(await house.publisher(), change(record()), change(record(version=2)))
    later = await house.publisher()

    outcomes = await publish(
        later, change(record(version=4)), change(record(version=2)), change(record(version=3))
    )

    assert [codes(outcome) for outcome in outcomes] == [["version-gap"], ["version-repeat"], []]
    assert outcomes[0].faults[-1].item == "履歴番号"


async def test_two_publishers_see_each_other(house: Any, publish: Any) -> None:
    """Each catches up with the log before it sends."""
    one, two = await house.publisher(), await house.publisher()

    for version in range(1, 7):
        publisher = one if version % 2 else two
        (outcome,) = await publish(publisher, change(record(version=version)))
        assert outcome.is_published

    assert [version for _, version in house.versions()] == [1, 2, 3, 4, 5, 6]


async def test_what_another_appends_meanwhile_is_not_skipped(
    house: Any, publish: Any, parse: Parse
) -> None:
    """Passing over its own events, a publisher still reads what lies between them."""
    other = await house.publisher()
    await publish(other, change(record(subject_id="000000000000010")))
    foreign = house.log("resident")[0]
    house.broker.truncate("linkage.resident", partition_of([foreign[0]], 3)[0], 1)

    def guard() -> None:  # right before this one's append
        place = ("linkage.resident", partition_of([foreign[0]], 3)[0])
        house.broker._log(place).append(*foreign)

    publisher = await house.publisher(guard=guard)
    twin = next(
        f"{number:015d}"
        for number in range(11, 99)
        if partition_of([b"131016/%015d" % number], 3) == partition_of([foreign[0]], 3)
    )
    await publish(publisher, change(record(subject_id=twin)))
    publisher._guard = lambda: None

    (outcome,) = await publish(publisher, change(record(subject_id="000000000000010")))

    assert codes(outcome) == ["version-repeat"]


async def test_a_first_load_starts_where_the_register_is(house: Any, publish: Any) -> None:
    """An unknown subject may come at version 7 if it is recorded, not if it is changed."""
    publisher = await house.publisher()

    changed, recorded = await publish(
        publisher, change(record(version=7)), change(record(version=7, nature="RECORD"))
    )

    assert codes(changed) == ["version-gap"]
    assert recorded.is_published


async def test_sending_again_changes_nothing(house: Any, publish: Any) -> None:
    """What was sent is recognised, newest or not, by this publisher and by the next."""
    publisher = await house.publisher()
    changes = [change(record(version=v), change_id=ident(v)) for v in (1, 2, 3)]
    await publish(publisher, *changes)

    for again in (publisher, await house.publisher()):
        outcomes = await publish(again, *changes)
        assert all(outcome.is_published for outcome in outcomes)
        assert [outcome.resent for outcome in outcomes] == [1, 1, 1]
        assert outcomes[0].event_ids == (event_id_of(ident(1), 0),)

    assert len(house.events("resident")) == 3


async def test_an_id_is_not_used_for_something_else(house: Any, publish: Any) -> None:
    """A change id that comes again with another version is a mistake, not a repetition."""
    publisher = await house.publisher()
    await publish(publisher, change(record(), change_id=ident(1)))

    (outcome,) = await publish(publisher, change(record(version=2), change_id=ident(1)))

    assert codes(outcome) == ["event-repeat"]


class Flaky:
    """A producer that loses its broker once, after or before it appended."""

    def __init__(self, inner: Any, appended: int) -> None:
        self._inner = inner
        self._appended = appended
        self.has_failed = False

    async def append(self, batches: Sequence[PartitionBatch]) -> Sequence[Sequence[int]]:
        if not self.has_failed:
            self.has_failed = True
            left = self._appended
            for batch in batches:
                some = replace(batch, keys=batch.keys[:left], values=batch.values[:left])
                left -= len(some.keys)
                await self._inner.append([some])
            raise BrokerUnavailable("the broker does not acknowledge")
        return await self._inner.append(batches)

    async def close(self) -> None:
        await self._inner.close()


@pytest.mark.parametrize("appended", [0, 1, 2, 3])
async def test_a_broker_that_goes_away_in_the_middle(
    house: Any, publish: Any, appended: int
) -> None:
    """Calling again sends exactly what is not there yet."""
    publisher = await house.publisher()
    changes = [
        change(record(), record(subject_id="000000000000010"), change_id=ident(1)),
        change(record(version=2), change_id=ident(2)),
    ]
    publisher._producer = Flaky(publisher._producer, appended)
    with pytest.raises(BrokerUnavailable):
        await publish(publisher, *changes)

    outcomes = await publish(publisher, *changes)

    assert all(outcome.is_published for outcome in outcomes)
    assert sorted(house.versions()) == [
        ("000000000000010", 1),
        ("000000012345674", 1),
        ("000000012345674", 2),
    ]
    assert sum(outcome.resent for outcome in outcomes) == appended


async def test_nothing_is_sent_without_a_registry(house: Any, publish: Any) -> None:
    """An id that was never learnt cannot be guessed."""
    publisher = await house.publisher()
    house.registry.is_away = True

    with pytest.raises(RegistryUnavailable):
        await publish(publisher, change())

    assert house.log("resident") == []


async def test_a_schema_that_was_not_pushed_is_no_fault_of_the_change(
    house: Any, publish: Any
) -> None:
    """An operator has to push it; the change waits and is not refused."""
    house.registry.forget("resident")

    with pytest.raises(ConfigurationError, match="schemas push"):
        await publish(await house.publisher(), change())


async def test_a_missing_topic_is_named(catalog: Any, house: Any, publish: Any) -> None:
    """Topics are made by an operator, never by sending."""
    del house.broker._topics["linkage.household"]
    publisher = await house.publisher()

    with pytest.raises(ConfigurationError, match=r"linkage\.household"):
        await publish(publisher, change(record("household")))


async def test_what_cannot_be_read_is_passed_over(house: Any, publish: Any) -> None:
    """Garbage in a topic does not stop the publisher, and says nothing of its subject."""
    publisher = await house.publisher()
    await publish(publisher, change(record()))
    framed = house.log("resident")[0][1][:5]
    garbage = (b"", framed + b"\x02", b"\x00\xff\xff\xff\xff", b"{}" * 99)
    await house.append("resident", KEY, *garbage)

    (outcome,) = await publish(publisher, change(record(version=2)))

    assert outcome.is_published
    assert publisher._tail.unreadable == 4


async def test_another_streams_schema_stops_the_publisher(house: Any, publish: Any) -> None:
    """Where ids mean something else than they did, nothing more is written with them."""
    publisher = await house.publisher()
    await publish(publisher, change(record("household")))
    await house.append("resident", KEY, house.log("household")[0][1])

    with pytest.raises(SchemaMismatch):
        await publish(publisher, change(record()))


async def test_another_streams_schema_that_was_set_aside_is_passed_over(
    house: Any, publish: Any
) -> None:
    """An operator has judged that one event, in whichever system; the next one stops again.

    What else was set aside in the partition is learnt from as ever.
    """
    await publish(await house.publisher(), change(record("household")), change(record()))
    publisher = await house.publisher()
    foreign = house.log("household")[0][1]
    await house.append("resident", KEY, foreign)
    (partition,) = partition_of([KEY], 3)
    await house.append("exception", b"x", b"garbage", await exception(house, partition, 0))
    with pytest.raises(SchemaMismatch):
        await publish(publisher, change(record(version=2)))

    await house.append("exception", b"x", foreign, await exception(house, partition, 1))
    (following,) = await publish(publisher, change(record(version=2)))
    assert following.is_published
    assert publisher._tail.unreadable == 1

    await house.append("resident", KEY, foreign)
    with pytest.raises(SchemaMismatch):
        await publish(publisher, change(record(version=3)))


async def exception(house: Any, partition: int, offset: int) -> bytes:
    """The record of an event that was set aside and closed again."""
    version = house.catalog.stream("exception").latest
    row = {
        "system": "ledger",
        "stream": "resident",
        "partition": partition,
        "offset": offset,
        "subject": KEY.decode(),
        "event_id": None,
        "state": "DISMISSED",
        "code": "RK-210",
        "attempts": 0,
        "at": datetime(2026, 4, 2, tzinfo=UTC),
        "note": "T-1",
        "since": None,
        "operator": None,
    }
    return frame(await house.registry.id_of(version), [encode_one(version, row)])[0]


async def test_an_erased_subject_starts_anew(house: Any, publish: Any) -> None:
    """After an erasure nothing is known of the subject."""
    publisher = await house.publisher()
    await publish(publisher, change(record()), change(record(version=2)))
    await house.append("resident", KEY, None)

    on, anew = await publish(publisher, change(record(version=3)), change(record()))

    assert codes(on) == ["version-gap"]
    assert anew.is_published


async def test_an_event_above_the_limit_is_refused_before_sending(house: Any, publish: Any) -> None:
    """It takes its change with it, and nothing else."""
    publisher = await house.publisher(max_message_bytes=2000)
    members = [{"subject_id": f"{number:015d}"} for number in range(500)]
    large = body("household", members=members, member_count=500, head_subject_id=None)

    outcomes = await publish(
        publisher,
        change(record(), record("household", body=large)),
        change(record(), record("household")),
        change(record("household", body=large, version=2)),
        change(record("household", version=3)),
    )

    assert [codes(o) for o in outcomes] == [["too-large"], [], ["too-large"], ["version-gap"]]
    assert len(house.events("household")) == 1


async def test_a_topic_with_a_lower_limit_is_named(house: Any, publish: Any) -> None:
    """Kafka would refuse whole batches there, good events among them."""
    await house.broker.alter_topic_config("linkage.household", {"max.message.bytes": "2000"})
    publisher = await house.publisher()

    with pytest.raises(ConfigurationError, match=r"linkage\.household"):
        await publish(publisher, change(record("household")))
    (outcome,) = await publish(publisher, change())
    assert outcome.is_published


class Watching:
    """A producer that notes what is sent together."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.calls: list[list[str]] = []

    async def append(self, batches: Sequence[PartitionBatch]) -> Sequence[Sequence[int]]:
        topics = [batch.topic for batch in batches for _ in batch.keys]
        self.calls.append([topic.removeprefix("linkage.") for topic in topics])
        return await self._inner.append(batches)

    async def close(self) -> None:
        await self._inner.close()


@pytest.mark.parametrize("event_type", ["protection.started", "protection.ended"])
async def test_protection_is_acknowledged_before_the_rest(
    house: Any, publish: Any, event_type: str
) -> None:
    """Whoever reads what comes after it in any topic finds it in its own."""
    publisher = await house.publisher()
    publisher._producer = watching = Watching(publisher._producer)
    status = "ENDED" if event_type.endswith("ended") else "ACTIVE"
    protection = record(  # a first load: of a case that nobody knows no other end is taken
        "protection",
        event_type=event_type,
        nature="RECORD",
        body=body("protection", status=status),
    )
    flagged = record(body=body("resident", protected=status == "ACTIVE"))

    outcomes = await publish(
        publisher,
        change(record(subject_id="000000000000010")),
        change(flagged, protection, record("household")),
    )

    assert all(outcome.is_published for outcome in outcomes)
    assert watching.calls == [["protection"], ["household"], ["resident", "resident"]]


async def test_what_coverage_rests_on_is_acknowledged_before_who_says_where(
    house: Any, publish: Any
) -> None:
    """Whoever moves in is a member of the household before any record says where that is."""
    publisher = await house.publisher()
    publisher._producer = watching = Watching(publisher._producer)

    outcomes = await publish(publisher, change(record(), record("household")))

    assert all(outcome.is_published for outcome in outcomes)
    assert watching.calls == [["household"], ["resident"]]


async def test_protection_does_not_overtake_its_persons_events(house: Any, publish: Any) -> None:
    """What was entered before the protection is appended before it."""
    publisher = await house.publisher()
    publisher._producer = watching = Watching(publisher._producer)
    flagged = record(version=2, body=body("resident", protected=True))

    outcomes = await publish(
        publisher,
        change(record()),
        change(record(subject_id="000000000000010")),
        change(record("protection"), flagged),
        change(record("protection", subject_id="000000000000020")),
    )

    assert all(outcome.is_published for outcome in outcomes)
    assert watching.calls == [["resident", "resident"], ["protection", "protection"], ["resident"]]


async def test_the_guard_is_asked_before_each_append(house: Any, publish: Any) -> None:
    """A relay that has lost its lease appends nothing more."""
    asked = []

    def guard() -> None:
        asked.append(len(house.log("protection")))
        if len(asked) > 1:
            raise ConfigurationError("the lease is lost")

    publisher = await house.publisher(guard=guard)
    flagged = record(body=body("resident", protected=True))

    with pytest.raises(ConfigurationError):
        await publish(publisher, change(record("protection"), flagged))

    assert asked == [0, 1]
    assert house.log("resident") == []


async def test_a_dry_run_checks_everything_and_sends_nothing(house: Any, publish: Any) -> None:
    """It goes on as if it had sent, so that a whole file can be judged."""
    await publish(await house.publisher(), change(record()))
    dry = await house.publisher(is_dry=True)
    house.registry.is_away = False

    first = await publish(dry, change(record(version=2)), change(record(version=4)))
    second = await publish(dry, change(record(version=3)))

    assert [codes(outcome) for outcome in first] == [[], ["version-gap"]]
    assert second[0].is_published
    assert len(house.events("resident")) == 1


async def test_calls_at_once_are_taken_one_after_the_other(house: Any, publish: Any) -> None:
    """Two callers of one publisher do not both believe to be next."""
    publisher = await house.publisher()

    results = await asyncio.gather(
        *(publish(publisher, change(record(), change_id=ident(n))) for n in range(1, 9))
    )

    assert sorted(outcome.is_published for (outcome,) in results) == [False] * 7 + [True]
    assert len(house.events("resident")) == 1


async def test_publishing_nothing(house: Any, publish: Any) -> None:
    """No changes, no outcomes."""
    assert await publish(await house.publisher()) == []


# -- columns ------------------------------------------------------------------------------------


def columns(house: Any, parse: Parse, *changes: dict[str, Any]) -> pa.RecordBatch:
    """Residents in the stream's own columns, as a bulk source has them."""
    from bus.catalog.columns import arrow_schema
    from bus.publish.body import Fitter
    from bus.publish.rows import StreamRows, add_rows

    stream = house.catalog.stream("resident")
    rows, fitters = {"resident": StreamRows()}, {"resident": Fitter(stream)}
    for number, value in enumerate(changes):
        add_rows(rows, fitters, number, parse(value), value.get("change_id") or ident(100 + number))
    return rows["resident"].batch(arrow_schema(stream.latest))


async def test_columns_are_published_as_changes_are(house: Any, parse: Parse) -> None:
    """The bulk path makes the same events."""
    value = change(record(), change_id=ident(1))
    records = columns(house, parse, value)
    stream = house.catalog.stream("resident")

    outcome = await (await house.publisher()).publish_columns(stream, records)

    assert (outcome.published, outcome.resent, outcome.refused, outcome.faults) == (1, 0, (), ())
    assert house.events("resident") == records.to_pylist()
    (again,) = await (await house.publisher()).publish([parse(value)])
    assert again.resent == 1


async def test_rows_of_columns_are_refused_with_their_change(house: Any, parse: Parse) -> None:
    """A row with a fault takes its change along, and a warning is counted."""
    wrong = record(subject_id="000000000000020", body=body("resident", sex="x"))
    records = columns(
        house,
        parse,
        change(record()),
        change(record(subject_id="000000000000010"), wrong),
        change(record(version=3)),
        change(record(version=2)),
        change(
            record(subject_id="000000000000040"), record(subject_id="000000000000050", version=2)
        ),
    )
    stream = house.catalog.stream("resident")
    publisher = await house.publisher()

    outcome = await publisher.publish_columns(stream, records)

    assert outcome.published == 2
    assert outcome.refused == (1, 2, 3, 5, 6)
    assert [(f.code, f.record) for f in outcome.faults] == [
        ("code-list", 2),
        ("version-gap", 3),
        ("version-gap", 6),
    ]
    assert outcome.warnings == {("check-digit", "header.subject_id"): 4}
    assert sorted(house.versions()) == [("000000012345674", 1), ("000000012345674", 2)]
    again = await publisher.publish_columns(stream, records)
    assert (again.published, again.resent) == (1, 2)


async def test_columns_too_large_for_the_broker(house: Any, parse: Parse) -> None:
    """They are refused one by one, before anything is sent."""
    publisher = await house.publisher(max_message_bytes=600)
    long = body("resident", name__kana="カ" * 100, address__building="ビ" * 300)
    records = columns(
        house, parse, change(record(subject_id="000000000000010", body=long)), change(record())
    )

    outcome = await publisher.publish_columns(house.catalog.stream("resident"), records)

    assert (outcome.published, outcome.refused) == (1, (0,))
    assert [fault.code for fault in outcome.faults] == ["too-large"]


async def test_a_slow_clock_of_the_house_is_seen(house: Any, publish: Any) -> None:
    """The publisher's clock is the one it was given."""
    house.now -= timedelta(days=2)

    (outcome,) = await publish(await house.publisher(), change())

    assert codes(outcome) == ["processed-at"]
