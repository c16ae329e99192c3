"""A receiver that remembers nothing, with what the bus keeps for it in a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from bus import failpoints
from bus.connect import BusKept
from bus.failpoints import Point
from bus.ledger.keeper import LedgerKeeper
from bus.local.endpoints import Endpoints
from bus.model import LaneName
from tests.conformance.plain_rigs import ReceiverRig
from tests.support.engines import fresh_database
from tests.support.lanes import Town, hosted, view_of

SYSTEM, ONE, TWO = "child_allowance", "000000000000018", "000000000000026"
LANE = LaneName(SYSTEM, "resident", 0)
pytestmark = pytest.mark.service


@pytest.fixture
def database(engines: Endpoints) -> Iterator[str]:
    with fresh_database(engines.database) as uri:
        yield uri


@pytest.fixture
async def receiver() -> AsyncIterator[ReceiverRig]:
    rig = ReceiverRig()
    await rig.start()
    yield rig
    await rig.stop()


async def test_a_lane_dies_goes_on_and_masks(
    database: str, receiver: ReceiverRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handed over again after a crash; masked when a protection comes; nothing leaks then."""
    town, deaths = Town(), 1
    await town.build()

    def kill(reached: Point) -> None:
        nonlocal deaths
        if reached is Point.LANE_HANDED and deaths:
            deaths -= 1
            raise RuntimeError("killed")

    monkeypatch.setattr(failpoints, "_kill", kill)
    sinks = {SYSTEM: lambda _: BusKept(receiver.sink(), SYSTEM, LedgerKeeper(database))}
    for subject in (ONE, TWO):
        await town.publish("resident", subject, 1)
    async with hosted(town, sinks, streams=("protection", "resident")) as bus:
        await bus.at(2, seconds=30)
    before, keeper = len(receiver.taken), LedgerKeeper(database)
    await town.publish("protection", ONE, 1)
    async with hosted(town, sinks, streams=("protection", "resident")) as bus:

        async def is_masked() -> bool:
            return bool((await keeper.kept(LANE)).masked)

        await bus.until_told(is_masked, 30, every=0.01)
    await keeper.close()

    view = view_of(SYSTEM, "resident")
    stored = await receiver.stored(view)
    assert [(row["subject_id"], row["protected"]) for row in stored] == [(ONE, True), (TWO, False)]
    assert deaths == 0
    first, again = receiver.taken[0]["token"], receiver.taken[1]["token"]
    assert first == again
    said = [row for m in receiver.taken[before:] for row in m["rows"] if m["stream"] == "resident"]
    assert said
    assert [row[name] for row in said if row["subject_id"] == ONE for name in view.withheld] == (
        [None] * len(view.withheld)
    )
