"""Events that cannot be applied: found, set aside, tried again, and never lost."""

from __future__ import annotations

import pytest

from bus.errors import EventInvalid, EventRefused, SchemaUnknown, SubjectWaiting
from bus.model import ExceptionState, LaneName, ParkedEvent, rows_in
from tests.support.lanes import Hosted, Town, hosted

SUBJECTS = [f"{number:015d}" for number in range(1, 11)]
ONE, TWO, THREE = SUBJECTS[:3]
TRUNCATED = b"half of an event"


def states(events: list[ParkedEvent]) -> list[tuple[int, str, str]]:
    """(offset, state, code) of each."""
    return [(event.offset, event.state.value, event.code) for event in events]


def ends(town: Town) -> dict[int, str]:
    """Offset -> the last state that the exception stream says."""
    return {row["offset"]: row["state"] for row in town.read_all("exception")}


async def closed(bus: Hosted) -> None:
    """Wait until nothing is set aside."""
    await bus.until(lambda: not bus.parked())


@pytest.mark.parametrize(
    "bad", [[4], [4, 5], [0], [9], [0, 9], list(range(10)), [1, 3, 5, 7, 9]], ids=str
)
async def test_halving_finds_exactly_the_refused(town: Town, sinks, store, bad: list[int]) -> None:
    """One, adjacent, first, last, all: these are parked, the others are in the store."""
    store.refused = {SUBJECTS[index] for index in bad}
    for subject in SUBJECTS:
        await town.publish("resident", subject, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(10)
        assert states(bus.parked()) == [(i, "PARKED", EventRefused.code) for i in bad]

    assert set(store.versions()) == set(SUBJECTS) - store.refused
    delivered = sum(rows_in(batch) for batch in store.applied)
    assert delivered == 10 - len(bad)
    assert store.checkpoints["resident", 0].position.offset == 10


async def test_halving_costs_a_logarithm(town: Town, sinks, store) -> None:
    """One bad event among a thousand takes some twenty applies, not a thousand."""
    store.refused = {f"{700:015d}"}
    for number in range(1, 1001):
        await town.publish("resident", f"{number:015d}", 1)

    async with hosted(town, sinks) as bus:
        await bus.at(1000)

    assert len(store.applies) <= 2 * 10 + 2


async def test_many_bad_events_do_not_cost_a_square(town: Town, sinks, store) -> None:
    """If all are refused, each is asked about twice at most."""
    store.refused = {f"{number:015d}" for number in range(1, 201)}
    for subject in sorted(store.refused):
        await town.publish("resident", subject, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(200)
        assert len(bus.parked()) == 200

    assert len(store.applies) <= 2 * 200 + 1


async def test_later_events_wait_and_others_flow(town: Town, sinks, store) -> None:
    """In the same batch and in later ones, and after a restart."""
    store.refused = {ONE}
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1)
    await town.publish("resident", ONE, 2)
    async with hosted(town, sinks) as bus:
        await bus.at(3)
        await town.publish("resident", ONE, 3)
        await bus.at(4)
    store.refused = set()

    async with hosted(town, sinks) as bus:
        await town.publish("resident", ONE, 4)
        await town.publish("resident", THREE, 1)
        await bus.at(6)
        assert states(bus.parked()) == [
            (0, "PARKED", EventRefused.code),
            (2, "WAITING", SubjectWaiting.code),
            (3, "WAITING", SubjectWaiting.code),
            (4, "WAITING", SubjectWaiting.code),
        ]

    assert store.versions() == {TWO: 1, THREE: 1}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", EventInvalid.code),
        (b"no frame at all", EventInvalid.code),
        (TRUNCATED, EventInvalid.code),
        (b"\x00\x00\x0f\xff\xff\x00", SchemaUnknown.code),
    ],
    ids=["empty", "no-frame", "truncated", "unknown-id"],
)
async def test_what_cannot_be_read_is_parked(
    town: Town, sinks, store, value: bytes, code: str
) -> None:
    """Garbage and unknown schema ids; events around it, and its subject's later ones, are safe."""
    await town.publish("resident", TWO, 1)
    value = town.value("resident", ONE, 1)[:60] if value is TRUNCATED else value
    await town.append("resident", ONE, value)
    await town.publish("resident", ONE, 2)
    await town.publish("resident", THREE, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(4)
        assert states(bus.parked()) == [(1, "PARKED", code), (2, "WAITING", SubjectWaiting.code)]

    assert store.versions() == {TWO: 1, THREE: 1}


async def test_a_key_that_is_no_key(town: Town, sinks, store) -> None:
    """Its events are parked and wait under a digest of the key."""
    await town.append("resident", "no subject", b"garbage")
    value = town.value("resident", ONE, 1)
    await town.append("resident", "no subject", value)
    await town.publish("resident", TWO, 1)

    async with hosted(town, sinks) as bus:
        await bus.at(3)
        assert [e.subject[:7] for e in bus.parked()] == ["sha256:", "sha256:"]
        assert [e.state.value for e in bus.parked()] == ["PARKED", "WAITING"]

    assert store.versions() == {TWO: 1}


async def test_retrying_applies_in_order(town: Town, sinks, store) -> None:
    """The parked event and what waits behind it, in one retry that leaves the position."""
    store.refused = {ONE}
    for version in (1, 2, 3):
        await town.publish("resident", ONE, version)
    async with hosted(town, sinks) as bus:
        await bus.at(3)
        store.refused = set()

        await bus.process.control.parked.ask_retry([bus.parked()[0]])
        bus.process.control.parked.lane(LaneName("child_allowance", "resident", 0)).on_news()
        await closed(bus)

    assert store.versions() == {ONE: 3}
    assert store.checkpoints["resident", 0].position.offset == 3
    assert ends(town) == {0: "APPLIED", 1: "APPLIED", 2: "APPLIED"}
    retry = town.read_all("receipt")[-1]
    assert (retry["is_replay"], retry["start"], retry["end"]) == (True, 3, 3)
    assert retry["delivered"] == "{[0,3)}"


async def asked_elsewhere(town: Town, sinks, act: str) -> None:
    """An operator's command: another process, with an index of its own."""
    async with hosted(town, {}) as command:
        events = [e for e in command.parked() if e.state is ExceptionState.PARKED]
        if act == "retry":
            await command.process.control.parked.ask_retry(events)
        else:
            await command.process.control.parked.dismiss(events, "ticket 7")


async def test_a_command_of_another_process_is_seen(town: Town, sinks, store) -> None:
    """The lane's owner tails the exception stream and acts."""
    store.refused = {ONE}
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        store.refused = set()

        await asked_elsewhere(town, sinks, "retry")
        await bus.news()
        await closed(bus)

    assert store.versions() == {ONE: 1}


async def test_asked_while_nobody_hosts_the_lane(town: Town, sinks, store) -> None:
    """The next owner sees it when it opens the lane."""
    store.refused = {ONE}
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
    store.refused = set()
    await asked_elsewhere(town, sinks, "retry")

    async with hosted(town, sinks) as bus:
        await closed(bus)

    assert store.versions() == {ONE: 1}


async def test_failing_again_parks_again(town: Town, sinks, store) -> None:
    """With one more attempt; what waits goes on waiting."""
    store.refused = {ONE}
    for version in (1, 2):
        await town.publish("resident", ONE, version)
    async with hosted(town, sinks) as bus:
        await bus.at(2)

        await asked_elsewhere(town, sinks, "retry")
        await bus.news()
        await bus.until(lambda: bus.parked()[0].attempts == 2)

        assert states(bus.parked()) == [
            (0, "PARKED", EventRefused.code),
            (1, "WAITING", SubjectWaiting.code),
        ]


async def test_dismissing_lets_the_next_go(town: Town, sinks, store) -> None:
    """A corrected snapshot that waits behind a dismissed event is applied."""
    await town.append("resident", ONE, b"garbage")
    await town.publish("resident", ONE, 2)
    async with hosted(town, sinks) as bus:
        await bus.at(2)

        await asked_elsewhere(town, sinks, "dismiss")
        await bus.news()
        await closed(bus)

    assert store.versions() == {ONE: 2}
    assert ends(town) == {0: "DISMISSED", 1: "APPLIED"}
    assert [r["note"] for r in town.read_all("exception") if r["state"] == "DISMISSED"] == [
        "ticket 7"
    ]


async def test_compaction_is_stood_in_for(town: Town, sinks, store) -> None:
    """What compaction took is superseded by the newest, which is applied in its place."""
    store.refused = {ONE}
    for version in (1, 2, 3):
        await town.publish("resident", ONE, version)
    async with hosted(town, sinks) as bus:
        await bus.at(3)
        store.refused = set()
        town.memory.compact("linkage.resident")

        await asked_elsewhere(town, sinks, "retry")
        await bus.news()
        await closed(bus)

    assert store.versions() == {ONE: 3}
    assert ends(town) == {0: "SUPERSEDED", 1: "SUPERSEDED", 2: "APPLIED"}


async def test_a_newest_event_that_was_left_out_stands_in(town: Town, sinks, store) -> None:
    """Also one that the lane has passed without ever setting it aside."""
    store.refused = {ONE}
    await town.publish("resident", ONE, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(1)
        store.refused = set()
        await asked_elsewhere(town, sinks, "retry")
        await town.publish("resident", TWO, 1)
        await bus.at(2)
    await town.publish("resident", ONE, 2)
    town.memory.compact("linkage.resident")

    async with hosted(town, sinks) as bus:
        await bus.at(3)
        await closed(bus)

    assert store.versions() == {ONE: 2, TWO: 1}


async def test_gone_without_a_trace_stays_parked(town: Town, sinks, store) -> None:
    """A truncated topic proves nothing: a person decides."""
    store.refused = {ONE}
    await town.publish("resident", ONE, 1)
    await town.publish("resident", TWO, 1)
    async with hosted(town, sinks) as bus:
        await bus.at(2)
        town.memory.truncate("linkage.resident", 0, before=1)

        await asked_elsewhere(town, sinks, "retry")
        await bus.news()
        await bus.until(lambda: bus.parked()[0].attempts == 2)

        assert states(bus.parked()) == [(0, "PARKED", "RK-209")]


async def test_one_bad_subject_does_not_hold_up_the_others_retry(town: Town, sinks, store) -> None:
    """Of several that are tried again together, those that now fit are applied."""
    store.refused = {ONE, TWO}
    for subject, version in ((ONE, 1), (TWO, 1), (ONE, 2), (TWO, 2)):
        await town.publish("resident", subject, version)
    async with hosted(town, sinks) as bus:
        await bus.at(4)
        store.refused = {ONE}

        await asked_elsewhere(town, sinks, "retry")
        await bus.news()
        await bus.until(lambda: {e.subject[-1] for e in bus.parked()} == {"1"})

    assert set(store.versions()) == {TWO}
    assert ends(town) == {0: "PARKED", 1: "APPLIED", 2: "WAITING", 3: "APPLIED"}


async def test_a_stand_in_that_the_lane_has_passed_is_applied(town: Town, sinks, store) -> None:
    """Its newest record is behind the lane and may not have been shown then: it is applied now."""
    for version in (1, 2):
        await town.publish("resident", ONE, version)
    town.memory.compact("linkage.resident")
    async with hosted(town, sinks) as bus:
        await bus.at(2)
        store.tables["resident"] = {}
        lost = ParkedEvent(
            system="child_allowance",
            stream="resident",
            partition=0,
            offset=0,
            subject=f"131016/{ONE}",
            event_id=None,
            state=ExceptionState.RETRY,
            code=EventRefused.code,
            attempts=1,
            at=town.clock.now(),
        )
        async with hosted(town, {}) as command:
            await command.process.control.parked.record([lost])
        await bus.news()
        await closed(bus)

    assert store.versions() == {ONE: 2}
    assert ends(town) == {0: "SUPERSEDED"}


async def test_whoever_takes_over_knows_what_waits(town: Town, sinks, store) -> None:
    """The next owner reads what the one before has set aside, before it applies anything."""
    async with hosted(town, sinks) as first:
        await first.at(0)
        async with hosted(town, sinks) as second:
            await first.until(lambda: len(first.lanes) == 1)
            store.refused = {ONE}
            await town.publish("resident", ONE, 1)
            await first.at(1)
            store.refused = set()
            assert second.parked() == []
            for delivery in first.deliveries:
                delivery.stop()
            await second.at(1)
            await town.publish("resident", ONE, 2)
            await second.at(2)

            assert [e.state.value for e in second.parked()] == ["PARKED", "WAITING"]
    assert store.versions() == {}
