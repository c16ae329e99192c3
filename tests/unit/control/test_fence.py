"""The protection fence: what was appended after protection started is masked, always."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from bus.control.fence import RESTS_ON, Fence
from bus.errors import (
    BrokerUnavailable,
    ConfigurationError,
    RegistryUnavailable,
)
from bus.model import knows
from tests.support.changes import living
from tests.support.lanes import CATALOG, Town, hosted
from tests.support.madeup import passes

ONE, TWO, THREE = (f"00000000000000{number}" for number in (1, 2, 3))
HOME = "000000000000077"
ADDRESS = "address_lot"


SUBJECT = ("header.subject_id",)


def fence_of(town: Town) -> Fence:
    return Fence(town.broker, CATALOG.streams, {name: town.reader(name) for name in RESTS_ON})


async def is_protected(town: Town, fence: Fence, *subjects: str) -> list[bool]:
    values = [town.value("resident", subject, 1) for subject in subjects]
    records = await town.reader("resident").read(values)
    await fence.catch_up()
    return [bool(each) for each in fence.protected(records, SUBJECT).to_pylist()]


@pytest.fixture
async def fence(town: Town):
    made = fence_of(town)
    await made.start()
    yield made
    await made.close()


async def test_follows_the_stream(town: Town, fence: Fence) -> None:
    """Provisional and active protect, ended does not; who is erased is forgotten."""
    assert await is_protected(town, fence, ONE, TWO) == [False, False]
    await town.publish("protection", ONE, 1, status="PROVISIONAL")
    await town.publish("protection", TWO, 1, status="ACTIVE")
    assert await is_protected(town, fence, ONE, TWO) == [True, True]
    await town.publish("protection", ONE, 2, status="ENDED")
    assert await is_protected(town, fence, ONE, TWO) == [False, True]
    await town.append("protection", TWO, None)
    assert await is_protected(town, fence, ONE, TWO) == [False, False]


async def test_knows_what_was_there_before(town: Town) -> None:
    """The stream is read from its beginning when the process starts."""
    await town.publish("protection", ONE, 1)
    fence = fence_of(town)
    await fence.start()

    assert await is_protected(town, fence, ONE, TWO) == [True, False]
    await fence.close()


@pytest.mark.parametrize("spelled", ["1", "00000000000001", "1 ", " 000000000000001"])
async def test_another_spelling_is_the_same_person(town: Town, fence: Fence, spelled: str) -> None:
    """A protection that was published before the site's form was kept covers the person; and so
    is a record found that is spelled otherwise than its person's protection."""
    await town.publish("protection", spelled, 1, shared_with=["2 "], household_number="3")
    assert await is_protected(town, fence, ONE, TWO, THREE, "0001", "02") == [
        True, True, False, True, True,
    ]  # fmt: skip
    everybody = fence.everybody
    assert {f"131016/{ONE}", f"131016/{spelled}", f"131016/{TWO}"} <= everybody.persons
    assert f"131016/{THREE}" in everybody.households


async def test_whoever_shares_the_address(town: Town, fence: Fence) -> None:
    """The others whom a protection names are covered as long as it names them."""
    await town.publish("protection", ONE, 1, shared_with=[TWO, THREE])
    assert await is_protected(town, fence, ONE, TWO, THREE) == [True, True, True]
    await town.publish("protection", ONE, 2, shared_with=[TWO])
    assert await is_protected(town, fence, ONE, TWO, THREE) == [True, True, False]
    await town.publish("protection", TWO, 1)
    await town.publish("protection", ONE, 3, status="ENDED", shared_with=[TWO])
    assert await is_protected(town, fence, ONE, TWO, THREE) == [False, True, False]


async def test_whoever_lives_in_the_household(town: Town, fence: Fence) -> None:
    """Everybody whose record names the household of a protected person."""
    await town.publish("protection", ONE, 1, household_number=TWO)
    values = [
        town.value("resident", subject, 1, household_number=number)
        for subject, number in (("000000000000007", TWO), ("000000000000008", THREE))
    ]
    records = await town.reader("resident").read(values)
    await fence.catch_up()
    assert fence.protected(records, SUBJECT).to_pylist() == [True, False]
    await town.publish("protection", ONE, 2, status="ENDED")
    await fence.catch_up()
    assert fence.protected(records, SUBJECT).to_pylist() == [False, False]


async def test_the_end_date_passing_lifts_nothing(town: Town, fence: Fence) -> None:
    """A protection whose year is over years ago protects; only an event ends it."""
    await town.publish("protection", ONE, 1, started_on="2019-04-01", ends_on="2020-03-31")
    assert await is_protected(town, fence, ONE) == [True]


async def test_somebody_who_never_lived_here(town: Town, fence: Fence) -> None:
    """By another municipality's notice, provisionally; no snapshot of a resident is needed."""
    await town.publish(
        "protection", ONE, 1, status="PROVISIONAL", from_other_municipality=True, suppresses=[]
    )
    assert await is_protected(town, fence, ONE, TWO) == [True, False]


@pytest.mark.parametrize(
    ("items", "is_release"),
    [
        ({"status": "ENDED"}, True),
        ({"shared_with": [TWO]}, False),
        ({"household_number": THREE}, False),
        ({"shared_with": []}, True),
        ({"household_number": None}, True),
    ],
)
async def test_what_releases_somebody_is_noted(
    town: Town, fence: Fence, items: dict[str, Any], is_release: bool
) -> None:
    """Whoever is covered no longer may be shown again: by an end, or by being left out."""
    before: dict[str, Any] = {"shared_with": [TWO], "household_number": THREE}
    await town.publish("protection", ONE, 1, **before)
    await fence.catch_up()
    assert fence.released == {}

    await town.publish("protection", ONE, 2, **(before | items))
    await fence.catch_up()

    so_far = {"protection/0": 2, "household/0": 0, "nonresident/0": 0}
    assert fence.released == (so_far if is_release else {})
    assert fence.reached == so_far


async def test_one_that_cannot_be_read_releases_nobody(town: Town, fence: Fence) -> None:
    """Whoever was covered before still is."""
    await town.publish("protection", ONE, 1, shared_with=[TWO])
    await town.append("protection", ONE, b"garbage")

    assert await is_protected(town, fence, ONE, TWO) == [True, True]
    assert fence.released == {}


async def test_in_doubt_protected(town: Town, fence: Fence) -> None:
    """An event of the protection stream that nobody can read protects whom its key names."""
    await town.publish("protection", TWO, 1, status="ENDED")
    await town.append("protection", ONE, b"\x00garbage")

    assert await is_protected(town, fence, ONE, TWO) == [True, False]


GARBAGE = b"\x00garbage"


async def test_what_is_no_household_ties_nobody(town: Town, fence: Fence) -> None:
    """Neither a key that is no subject's, nor what cannot be read of another stream."""
    await town.append("household", "no subject", GARBAGE)
    await town.append("protection", ONE, GARBAGE)
    await fence.catch_up()

    await fence.insist_on_ties()


async def test_the_same_number_elsewhere_is_another_person(town: Town, fence: Fence) -> None:
    """A subject is known by municipality and number together."""
    await town.publish("protection", ONE, 1)
    records = await town.reader("resident").read([town.value("resident", ONE, 1)])
    await fence.catch_up()
    header = records.column("header")
    names = [field.name for field in header.type]
    other = ["011002" if name == "municipality_code" else header[0].as_py()[name] for name in names]
    moved = pa.StructArray.from_arrays(
        [pa.array([v], t.type) for v, t in zip(other, header.type, strict=True)], names
    )
    elsewhere = records.set_column(records.schema.get_field_index("header"), "header", moved)

    assert fence.protected(records, SUBJECT).to_pylist() == [True]
    assert fence.protected(elsewhere, SUBJECT).to_pylist() == [False]


async def test_nothing_passes_while_the_end_is_unknown(town: Town, fence: Fence) -> None:
    """Broker away: the caller is told, and waits."""
    town.memory.is_away = True

    with pytest.raises(BrokerUnavailable):
        await fence.catch_up()


async def test_nothing_is_skipped_while_the_registry_is_away(town: Town, fence: Fence) -> None:
    """What was fetched and could not be decoded is decoded by the next call."""
    town.registry.is_away = True
    await town.publish("protection", ONE, 1)
    with pytest.raises(RegistryUnavailable):
        await fence.catch_up()
    town.registry.is_away = False

    assert await is_protected(town, fence, ONE) == [True]


async def test_without_its_topic_nothing_starts(town: Town) -> None:
    """A missing topic is a configuration error, not an empty set."""
    del town.memory._topics["linkage.protection"]

    with pytest.raises(ConfigurationError):
        await fence_of(town).start()


@pytest.mark.made_up_time
async def test_callers_share_a_round_trip_but_never_an_older_answer(
    town: Town, fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred callers at once cost one question; one that comes during it costs one more."""
    consumer = fence._tail._consumer
    asked, may_answer = 0, asyncio.Event()
    real = consumer.end_offsets

    async def slow(places: Any) -> Any:
        nonlocal asked
        asked += 1
        ends = await real(places)
        await may_answer.wait()
        return ends

    monkeypatch.setattr(consumer, "end_offsets", slow)
    early = [asyncio.create_task(fence.catch_up()) for _ in range(100)]
    await passes(0.01)
    await town.publish("protection", ONE, 1)
    late = asyncio.create_task(fence.catch_up())
    await passes(0.01)
    may_answer.set()
    await asyncio.gather(*early, late)

    assert asked == 2
    assert fence.everybody.persons == {f"131016/{ONE}"}


async def test_what_was_asked_is_waited_for_and_asked_anew_if_it_failed(
    town: Town, fence: Fence
) -> None:
    """A lane asks while it decodes: what was appended before it asked is known."""
    await town.publish("protection", ONE, 1)
    asked = fence.ask()
    await fence.catch_up(asked)
    assert fence.everybody.persons == {f"131016/{ONE}"}

    town.memory.is_away = True
    asked = fence.ask()
    await asyncio.wait({asked})
    with pytest.raises(BrokerUnavailable):
        await fence.catch_up(asked)
    town.memory.is_away = False
    await town.publish("protection", TWO, 1)
    await fence.catch_up(asked)
    assert fence.everybody.persons == {f"131016/{ONE}", f"131016/{TWO}"}


async def test_an_address_is_withheld_from_then_on(town: Town, sinks, store) -> None:
    """Through the whole lane: before protection the address, afterwards the fact alone."""
    async with hosted(town, sinks) as bus:
        await town.publish("resident", ONE, 1)
        await bus.at(1)
        (before,) = store.rows("resident")
        await town.publish("protection", ONE, 1)
        await town.publish("resident", ONE, 2)
        await bus.at(2)

    (after,) = store.rows("resident")
    assert (before["protected"], after["protected"]) == (False, True)
    assert before[ADDRESS] is not None
    assert after[ADDRESS] is None


@pytest.mark.slow
async def test_a_thousand_races(town: Town, sinks, store) -> None:
    """Protection starts while another publisher sends locations: what came after is masked.

    Each round lets the two publishers, the lane and the fence go in another order. Both events
    are in the log; whether the location came after is what the log says, by the order in which
    the appends were acknowledged.
    """
    clock = iter(range(1_000_000))
    acknowledged: dict[tuple[str, str], int] = {}
    begun: dict[tuple[str, str], int] = {}

    async def publish(stream: str, subject: str, dice: random.Random) -> None:
        for _ in range(dice.randrange(6)):
            await asyncio.sleep(0)
        begun[stream, subject] = next(clock)
        await town.publish(stream, subject, 1)
        acknowledged[stream, subject] = next(clock)

    async with hosted(town, sinks) as bus:
        for seed in range(1000):
            dice = random.Random(seed)
            subject = f"{seed:015d}"
            await asyncio.gather(
                publish("protection", subject, dice), publish("resident", subject, dice)
            )
            if seed % 7 == 0:
                await bus.at(seed + 1)
        await bus.at(1000)

    rows = {row["subject_id"]: row for row in store.rows("resident")}
    after = [
        subject
        for stream, subject in begun
        if stream == "resident" and begun["resident", subject] > acknowledged["protection", subject]
    ]
    assert len(after) > 100
    assert [subject for subject in after if rows[subject][ADDRESS] is not None] == []
    assert any(row[ADDRESS] is not None for row in rows.values())  # the race is a race


async def test_the_races_would_show_a_fence_that_does_not_ask(
    town: Town, sinks, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the question for the log's end an address gets through: the test above can fail."""

    async def nothing() -> None:
        return None

    async with hosted(town, sinks) as bus:
        await bus.until(lambda: bus.lanes and bus.lane().offset == 0)
        monkeypatch.setattr(Fence, "ask", lambda _: None)
        monkeypatch.setattr(Fence, "catch_up", lambda *_: nothing())
        await town.publish("protection", ONE, 1)
        await town.publish("resident", ONE, 1)
        await bus.at(1)

    (row,) = store.rows("resident")
    assert row[ADDRESS] is not None


async def test_a_log_that_ends_in_a_hole(town: Town, fence: Fence) -> None:
    """Behind a transaction's marker there is nothing to wait for."""
    await town.publish("protection", ONE, 1)
    await town.publish("protection", TWO, 1)
    town.memory._topic("linkage.protection").logs[0].keep([0])

    async with asyncio.timeout(30):
        assert await is_protected(town, fence, ONE, TWO) == [True, False]


async def test_every_partition_is_taken_in() -> None:
    """Pieces of several partitions that come together are each taken once."""
    town = Town(partitions=3)
    await town.build()
    for partition, subject in enumerate((ONE, TWO, "000000000000003")):
        await town.publish("protection", subject, 1, partition=partition)
    fence = fence_of(town)
    await fence.start()

    assert await is_protected(town, fence, ONE, TWO, "000000000000003") == [True] * 3
    await fence.close()


async def test_says_since_when(town: Town) -> None:
    """A store that was told up to somewhere need look for whoever is said to be covered since, and
    for releases since; of what was there at the start, what was released is not known."""
    await town.publish("protection", ONE, 1, shared_with=[TWO])
    fence = fence_of(town)
    await fence.start()
    at_start = fence.everybody
    told = dict(fence.reached)
    assert at_start.newly({}) == at_start.newly(None) == at_start
    assert not at_start.newly(told)
    assert (at_start.may_release({}), at_start.may_release(told)) == (True, False)

    await town.publish("protection", THREE, 1)
    started = await fence.all_by_now()
    assert [key.partition("/")[2] for key in started.newly(told).persons] == [THREE]
    assert not started.may_release(told)

    await town.publish("protection", ONE, 2, status="ENDED")
    ended = await fence.all_by_now()
    assert ended.newly(told) == started.newly(told)
    assert ended.may_release(told)
    assert not ended.may_release(fence.reached)
    await fence.close()


async def test_what_was_long_ago_is_remembered_together(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that was told more changes ago than are remembered one by one looks for those who
    are new since, and for few others; never for everybody, and the begin is never forgotten."""
    monkeypatch.setattr("bus.control.fence.ALIKE", 3)
    subjects = [f"{number:015d}" for number in range(101, 141)]
    await town.publish("protection", ONE, 1)
    fence = fence_of(town)
    await fence.start()
    begin, told = dict(fence.reached), []
    for subject in subjects:
        told.append(dict(fence.reached))
        await town.publish("protection", subject, 1)
        await fence.catch_up()

    now = fence.everybody
    assert now.history is not None
    assert (len(now.history.changes) <= 13, now.history.begin) == (True, begin)
    for at, since in enumerate(told):
        found = {key.partition("/")[2] for key in now.newly(since).persons}
        assert set(subjects[at:]) <= found <= set(subjects)
        assert len(found) <= 2 * len(subjects[at:])
    await fence.close()


async def test_who_was_told_by_another_process_hears_of_those_known_all_the_time(
    town: Town,
) -> None:
    """One process reads that she is named before it reads that she has left, and always covers
    her; another did not for a while, and told a store so."""
    fence, other = fence_of(town), fence_of(town)
    await fence.start()
    await other.start()
    await town.publish("protection", ONE, 1)
    await town.publish("household", HOME, 1, **living(ONE, TWO))
    await fence.catch_up()
    await town.publish("household", HOME, 2, **living(ONE))
    assert await is_protected(town, other, ONE, TWO) == [True, False]
    told = dict(other.reached)

    await town.publish("protection", ONE, 2, shared_with=[TWO])
    now = await fence.all_by_now()
    assert TWO in {key.partition("/")[2] for key in now.newly(told).persons}
    assert fence.changed == fence.reached  # so that the store is told at all
    await fence.close()
    await other.close()


async def test_who_was_covered_for_another_process_alone_is_released(town: Town) -> None:
    """One process tells a store of her, and dies; another reads at once that she is under
    protection and no longer, or that another has left before what covers her at all."""
    fence, other = fence_of(town), fence_of(town)
    await fence.start()
    await other.start()
    for start, end in ((1, 2), (3, 4)):
        await town.publish("protection", ONE, start)
        told = (await other.all_by_now()).as_of
        assert await is_protected(town, other, ONE) == [True]
        await town.publish("protection", ONE, end, status="ENDED")
        now = await fence.all_by_now()
        assert not now
        assert now.may_release(told)
        assert not knows(told, fence.changed)  # so that the store is told at all
        await other.catch_up()

    await town.publish("household", HOME, 1, **living(ONE, TWO))
    await fence.catch_up()
    await other.catch_up()
    behind = other.reached
    await town.publish("household", HOME, 2, **living(ONE))
    await fence.catch_up()
    await town.publish("protection", ONE, 5)
    now = await fence.all_by_now()
    told = {**now.as_of, "household/0": behind["household/0"]}  # who is in the household still
    assert now.may_release(told)
    await fence.close()
    await other.close()


async def test_a_process_that_starts_in_the_middle_of_a_move(town: Town) -> None:
    """It finds who left together, as one does that was there."""
    before = fence_of(town)
    await before.start()
    await town.publish("protection", ONE, 1)
    await town.publish("household", HOME, 1, **living(ONE, TWO))
    await town.publish("household", HOME, 2, **living())
    assert await is_protected(town, before, ONE, TWO, THREE) == [True, True, False]
    after = fence_of(town)
    await after.start()
    assert await is_protected(town, after, ONE, TWO, THREE) == [True, True, False]
    await after.close()
    await before.close()


async def test_a_seal_is_of_who_is_covered(town: Town) -> None:
    """It is the same in another process, whatever else came, for as long as the same are covered;
    with another key it is another. It holds while they are covered on the same grounds."""
    key = (await town.proofs.ring()).current
    first = fence_of(town)
    await first.start()
    nobody = await first.sealed_by_now(key)
    await town.publish("protection", ONE, 1)
    one = await first.sealed_by_now(key)
    assert one.history is not None
    assert one.history.seal == nobody.seal != one.seal
    assert (await first.sealed_by_now(replace(key, secret=bytes(32)))).seal != one.seal

    await town.publish("household", HOME, 1, **living(THREE))
    later = fence_of(town)
    await later.start()
    begun = await later.sealed_by_now(key)
    assert begun.history is not None
    assert begun.history.seal == begun.seal == one.seal
    assert begun.since(one.as_of, one.seal) == begun.history.begin
    assert begun.since(nobody.as_of, nobody.seal) == nobody.as_of
    assert begun.since(one.as_of, "") == one.as_of

    await town.publish("protection", ONE, 2)
    again = fence_of(town)
    await again.start()
    anew = await again.sealed_by_now(key)
    assert anew.seal == one.seal
    assert anew.since(one.as_of, one.seal) == one.as_of  # she may not have been, in between
    for each in (first, later, again):
        await each.close()


async def test_a_process_that_starts_between_two_who_leave(town: Town) -> None:
    """Each leaves by a word of their own; it finds what one knows that was there all the time."""
    before = fence_of(town)
    await before.start()
    await town.publish("protection", ONE, 1)
    for version, members in enumerate([(ONE, TWO), (TWO,), ()], start=1):
        await town.publish("household", HOME, version, **living(*members))
        expected = [True, True] if version != 2 else [True, False]
        assert await is_protected(town, before, ONE, TWO) == expected
        after = fence_of(town)
        await after.start()
        assert await is_protected(town, after, ONE, TWO) == expected
        await after.close()
    await before.close()


@pytest.mark.parametrize("topic", [f"linkage.{name}" for name in RESTS_ON])
async def test_a_log_that_is_compacted_too_soon_is_refused(town: Town, topic: str) -> None:
    """Of two processes one would not find who moved with whom."""
    lag = 28 * 24 * 3_600_000
    for is_kept, milliseconds in ((True, lag), (False, lag - 1)):
        change = {"cleanup.policy": "compact", "min.compaction.lag.ms": str(milliseconds)}
        await town.broker.alter_topic_config(topic, change)
        fence = fence_of(town)
        if is_kept:
            await fence.start()
        else:
            with pytest.raises(ConfigurationError, match=r"compacted too soon.*topics apply"):
                await fence.start()
        await fence.close()
