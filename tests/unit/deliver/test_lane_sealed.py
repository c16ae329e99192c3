"""個人番号 in lanes: opened for whoever is entitled, by nobody else, or the lane stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from bus.broker import Broker
from bus.deliver.state import LaneStatus
from bus.errors import KeysUnavailable, KeysUnusable, SealBroken, SealKeyUnknown
from bus.model import LaneName, View
from bus.sealing import KeyRing, Seals
from bus.sealing.seals import seal_rows
from tests.support.keys import Pocket, key
from tests.support.lanes import CATALOG, Town, hosted
from tests.support.sealed import STREAM, entitled, number_of

SYSTEM = "child_allowance"
SUBJECTS = [f"{person:015d}" for person in range(1, 11)]
NUMBERS = [number_of(person) for person in range(1, 11)]
VIEW = entitled(CATALOG, SYSTEM)


@pytest.fixture
def log() -> Iterator[list[Any]]:
    """What is logged meanwhile."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def bus(town: Town, sinks: Any) -> Callable[..., Any]:
    """Delivers the number to the system, with the keys of a pocket."""

    def run(pocket: Pocket | None, view: View = VIEW) -> Any:
        seals = Seals(pocket) if pocket is not None else Seals()
        return hosted(
            town, sinks, streams=(STREAM,), views=lambda _system, _stream: view, seals=seals
        )

    return run


def sealed(person: int, key_id: str = "k1", version: int = 1, **header: str) -> str:
    """The sealed text of a person's number, as its event has it."""
    town = Town()
    record = town.record(STREAM, SUBJECTS[person], version, number=NUMBERS[person])
    record["header"] |= header
    (row,) = seal_rows(CATALOG.stream(STREAM), [record], KeyRing.parse(key(key_id).line))
    return str(row["number"])


async def publish(town: Town, person: int, key_id: str = "k1", version: int = 1) -> int:
    """Append somebody's number."""
    text = sealed(person, key_id, version)
    return await town.publish(STREAM, SUBJECTS[person], version, number=text)


def held(store: Any) -> dict[str, str]:
    """Subject -> number in the store."""
    return {row["subject_id"]: row["number"] for row in store.rows(STREAM)}


async def test_whoever_is_entitled_gets_it(town: Town, bus: Any, store: Any) -> None:
    """And each such delivery is counted, said, and in the receipt by the view's fingerprint."""
    for person in range(10):
        await publish(town, person)

    async with bus(Pocket("k1")) as running:
        await running.at(10, STREAM)
        value = running.process.runtime.metrics.value
        labels = {"system": SYSTEM, "stream": STREAM}
        assert value("renkei_deliver_restricted_total", **labels) == 10

    assert held(store) == dict(zip(SUBJECTS, NUMBERS, strict=True))
    receipts = town.read_all("receipt")
    assert {(r["view"], r["stream"]) for r in receipts} == {(VIEW.fingerprint, STREAM)}
    assert VIEW.is_restricted


async def test_it_is_said_in_the_log_without_a_value(
    town: Town, bus: Any, log: list[dict[str, Any]]
) -> None:
    """Rows, offsets, the view."""
    for person in range(3):
        await publish(town, person)

    async with bus(Pocket("k1")) as running:
        await running.at(3, STREAM)

    said = [line for line in log if line["event"] == "restricted-delivered"]
    assert sum(line["rows"] for line in said) == 3
    assert {line["view"] for line in said} == {VIEW.fingerprint}
    assert not any(number in json.dumps(log, default=str) for number in NUMBERS)


async def test_whoever_has_no_such_column_needs_no_key(town: Town, bus: Any, store: Any) -> None:
    """Nothing is opened for it: not even the keys are asked for."""
    view = entitled(CATALOG, SYSTEM, fields=["assigned_on"], number_use=None)
    pocket = Pocket("k1")
    await publish(town, 0)

    async with bus(pocket, view) as running:
        await running.at(1, STREAM)
        value = running.process.runtime.metrics.value
        labels = {"system": SYSTEM, "stream": STREAM}
        assert value("renkei_deliver_restricted_total", **labels) is None

    assert [set(row) & {"number"} for row in store.rows(STREAM)] == [set()]
    assert pocket.reads == 0


async def test_only_rows_that_are_shown_are_opened(town: Town, bus: Any, store: Any) -> None:
    """What the view leaves out may be sealed with a key that nobody here has."""
    view = entitled(CATALOG, SYSTEM, event_types=[f"{STREAM}.changed"])
    record = sealed(0, "k9")
    await town.publish(STREAM, SUBJECTS[0], 1, number=record, event_type=f"{STREAM}.assigned")
    await publish(town, 1)

    async with bus(Pocket("k1"), view) as running:
        await running.at(2, STREAM)

    assert held(store) == {SUBJECTS[1]: NUMBERS[1]}


@pytest.mark.parametrize(("kind", "left"), [("present", True), ("withhold", None)])
async def test_under_a_mask_nothing_is_opened(
    town: Town, bus: Any, store: Any, kind: str, left: bool | None
) -> None:
    """Such masks need not know what is in it; and nothing restricted is delivered."""
    view = entitled(CATALOG, SYSTEM, masks={"number": kind})
    await publish(town, 0)

    async with bus(None, view) as running:
        await running.at(1, STREAM)

    assert [row["number"] for row in store.rows(STREAM)] == [left]
    assert not view.is_restricted


@pytest.mark.parametrize(
    ("pocket", "code"),
    [
        (None, KeysUnusable.code),
        (Pocket("k2"), SealKeyUnknown.code),
        (Pocket(), KeysUnusable.code),
    ],
    ids=["no keys", "another key", "an empty file"],
)
async def test_without_its_key_the_lane_stands_and_writes_nothing(
    town: Town, bus: Any, store: Any, pocket: Pocket | None, code: str
) -> None:
    """Nothing of the batch, the position included; nothing is set aside."""
    for person in range(3):
        await publish(town, person)

    async with bus(pocket) as running:
        lane = await running.stopped(STREAM)
        assert lane.code == code
        assert running.parked() == []

    assert store.applies == []
    assert town.read_all("receipt") == []


async def test_once_the_key_is_there_the_lane_goes_on_without_a_restart(
    town: Town, bus: Any, store: Any
) -> None:
    """An operator brings the key and has it go on; the keys are read anew by themselves."""
    pocket = Pocket("k1")
    await publish(town, 0)
    await publish(town, 1, "k2")

    async with bus(pocket) as running:
        assert (await running.stopped(STREAM)).code == SealKeyUnknown.code
        pocket.hold("k1", "k2")
        await running.resume(SYSTEM, STREAM)
        await running.at(2, STREAM)

    assert held(store) == {SUBJECTS[0]: NUMBERS[0], SUBJECTS[1]: NUMBERS[1]}


async def test_a_rotation_needs_nobody(town: Town, bus: Any, store: Any) -> None:
    """A key that comes with its first event is met by whoever reads the file anew."""
    pocket = Pocket("k1")
    await publish(town, 0)

    async with bus(pocket) as running:
        await running.at(1, STREAM)
        pocket.text = f"{key('k1').line}\n{key('k2').line}\n"  # and the source says nothing of it
        await publish(town, 1, "k2")
        await running.at(2, STREAM)
        assert running.lane(STREAM).status is LaneStatus.RUNNING

    assert held(store) == {SUBJECTS[0]: NUMBERS[0], SUBJECTS[1]: NUMBERS[1]}


async def test_a_key_service_that_is_away_is_waited_for(town: Town, bus: Any, store: Any) -> None:
    """Nothing is written meanwhile, and nobody has to come."""

    class Away(Pocket):
        is_away = True

        async def read(self) -> str:
            if self.is_away:
                raise KeysUnavailable("the command for keys does not end")
            return await super().read()

    pocket = Away("k1")
    await publish(town, 0)

    async with bus(pocket) as running:
        await running.until(
            lambda: [x for x in running.lanes_of(STREAM) if x.status is LaneStatus.RETRYING]
        )
        assert running.lane(STREAM).code == KeysUnavailable.code
        assert store.applies == []
        pocket.is_away = False
        await running.at(1, STREAM)

    assert held(store) == {SUBJECTS[0]: NUMBERS[0]}


SPOILT: dict[str, Callable[[], str]] = {
    "of another subject": lambda: sealed(0),
    "of another event of the same subject": lambda: sealed(1, version=2),
    "cut off": lambda: sealed(1)[:-4],
    "plain": lambda: NUMBERS[1],
    "empty": lambda: "",
    "of another key by that name": lambda: sealed(1, "other").replace("other.", "k1."),
}


@pytest.mark.parametrize("name", SPOILT)
async def test_a_text_that_does_not_open_stops_the_lane(
    town: Town, bus: Any, store: Any, name: str, log: list[dict[str, Any]]
) -> None:
    """It says at which offset, and nothing of the text; nothing of the batch is written."""
    await publish(town, 0)
    await town.publish(STREAM, SUBJECTS[1], 1, number=SPOILT[name]())
    await publish(town, 2)

    async with bus(Pocket("k1")) as running:
        lane = await running.stopped(STREAM)
        assert lane.code == SealBroken.code

    assert store.applies == []
    (stopped,) = [line for line in log if line["event"] == "lane-stopped"]
    assert stopped["offset"] == 1
    assert NUMBERS[1] not in json.dumps(log, default=str)


async def test_swapped_texts_are_found(town: Town, bus: Any, store: Any) -> None:
    """Two subjects whose texts were exchanged by whoever may write to the topic."""
    await town.publish(STREAM, SUBJECTS[0], 1, number=sealed(1))
    await town.publish(STREAM, SUBJECTS[1], 1, number=sealed(0))

    async with bus(Pocket("k1")) as running:
        assert (await running.stopped(STREAM)).code == SealBroken.code

    assert store.applies == []


async def test_an_operator_gets_past_a_spoilt_event(town: Town, bus: Any, store: Any) -> None:
    """By setting it aside; a newer one of the subject then stands in for it."""
    await publish(town, 0)
    await town.publish(STREAM, SUBJECTS[1], 1, number=NUMBERS[1])
    await publish(town, 2)

    async with bus(Pocket("k1")) as running:
        await running.stopped(STREAM)
        index = running.process.control.parked
        event = await index.refer_to(LaneName(SYSTEM, STREAM, 0), f"linkage.{STREAM}", 1, "T-1")
        await index.record([event])
        await running.resume(SYSTEM, STREAM)
        await running.at(3, STREAM)

    assert held(store) == {SUBJECTS[0]: NUMBERS[0], SUBJECTS[2]: NUMBERS[2]}


async def test_one_that_does_not_open_fails_alone_when_it_is_tried_again(
    town: Town, bus: Any, store: Any
) -> None:
    """It was set aside already: its lane does not stop for it, and the others are applied."""
    pocket = Pocket("k1")
    await publish(town, 0)
    await town.publish(STREAM, SUBJECTS[1], 1, number=NUMBERS[1])
    await publish(town, 2, "k2")
    await publish(town, 3)

    async with bus(pocket) as running:
        index, lane = running.process.control.parked, LaneName(SYSTEM, STREAM, 0)
        await running.stopped(STREAM)
        for offset in (1, 2):
            event = await index.refer_to(lane, f"linkage.{STREAM}", offset, "T-1")
            await index.record([event])
        await running.resume(SYSTEM, STREAM)
        await running.at(4, STREAM)

        await index.ask_retry(running.parked())
        index.lane(lane).on_news()
        await running.until(lambda: [e.code for e in running.parked()] == ["RK-505", "RK-504"])
        assert running.lane(STREAM).status is LaneStatus.RUNNING

        pocket.hold("k1", "k2")
        await index.ask_retry(running.parked())
        index.lane(lane).on_news()
        await running.until(lambda: [e.code for e in running.parked()] == ["RK-505"])

    assert held(store) == {SUBJECTS[n]: NUMBERS[n] for n in (0, 2, 3)}


async def test_what_is_parked_has_references_only(town: Town, bus: Any, store: Any) -> None:
    """A row that the store refuses: the exception and its tries hold no number, sealed or not."""
    store.refused = {SUBJECTS[1]}
    for person in range(3):
        await publish(town, person)

    async with bus(Pocket("k1")) as running:
        await running.at(3, STREAM)
        assert len(running.parked()) == 1
        store.refused = set()
        await running.process.control.parked.ask_retry(running.parked())
        running.process.control.parked.lane(LaneName(SYSTEM, STREAM, 0)).on_news()
        await running.until(lambda: not running.parked())

    assert held(store) == dict(zip(SUBJECTS[:3], NUMBERS[:3], strict=True))
    said = json.dumps(
        [town.read_all(name) for name in ("exception", "receipt", "operation")], default=str
    )
    assert not any(number in said for number in NUMBERS)
    assert "k1." not in said
    _nowhere(town.broker, NUMBERS)


async def test_large_batches_are_opened_too(town: Town, bus: Any, store: Any) -> None:
    """In a thread, and in the right order."""
    texts = {}
    for person in range(1_500):
        subject = f"{person:015d}"
        record = town.record(STREAM, subject, 1, number=number_of(person))
        texts[subject] = record
    rows = seal_rows(CATALOG.stream(STREAM), list(texts.values()), KeyRing.parse(key("k1").line))
    for row in rows:
        subject = row["header"]["subject_id"]
        await town.publish(STREAM, subject, 1, number=row["number"])

    async with bus(Pocket("k1")) as running:
        await running.at(1_500, STREAM, seconds=30)

    assert held(store) == {f"{person:015d}": number_of(person) for person in range(1_500)}


def _nowhere(broker: Broker, numbers: Sequence[str]) -> None:
    """No byte of any topic holds one of *numbers*."""
    for topic in broker._topics.values():  # type: ignore[attr-defined]
        for log in topic.logs:
            content = b"".join(
                part or b"" for pair in zip(log.keys, log.values, strict=True) for part in pair
            )
            assert not any(number.encode() in content for number in numbers)
