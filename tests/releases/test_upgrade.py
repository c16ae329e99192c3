"""A site that a release before left is taken over by what comes after it: nothing is lost, nothing
is done twice, and it goes on.

Each folder beside this file is a site as that release left it, recorded when it was made.
"""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from bus.deliver.state import LaneStatus
from bus.ledger import Ledger, ReachState
from tests.releases.site import (
    FIVE,
    FOUR,
    HERE,
    ONE,
    SYSTEM,
    THREE,
    TWO,
    at_work,
    is_told,
    read_back,
    rows_of,
)  # fmt: skip
from tests.support.lanes import SUBSCRIPTIONS

pytestmark = pytest.mark.service
RELEASES = sorted(folder for folder in HERE.iterdir() if (folder / "log.jsonl").is_file())
CHANGE = "SELECT DISTINCT change_id FROM ledger.event_resident WHERE subject_id = %s"


@pytest.mark.parametrize("release", RELEASES, ids=lambda folder: folder.name)
async def test_a_site_goes_on(release: Path, database: str) -> None:
    """Rows stay untouched, receipts go on as one chain, what was set aside, paused, protected or
    erased stays so, and the ledger answers for changes of before and of now."""
    town = await read_back(release, database)
    before, receipts = rows_of(database), town.read_all("receipt")
    assert [row[:3] for row in before] == [(ONE, 1, False), (TWO, 2, True), (FOUR, 1, False)]

    async with at_work(town, database) as (given, ledger):
        await given.until(lambda: len(given.lanes) == 3 and given.lane("resident").offset, 60)
        await given.at(7, seconds=60)
        assert given.lane("household").status is LaneStatus.PAUSED
        await town.publish("resident", FIVE, 1)
        await town.publish("resident", FOUR, 2)  # waits behind what is set aside
        await town.publish("resident", TWO, 3)
        await given.at(10, seconds=60)
        mine = [event for event in given.parked() if event.system == SYSTEM]
        set_aside = [(event.offset, event.state.value) for event in mine]
        await given.resume(SYSTEM, "household")
        await given.at(2, "household", seconds=60)
        await is_told(town, ledger)
        lanes = given.lanes + ledger.lanes
        await given.until(lambda: not any(n.status is LaneStatus.OPENING for n in lanes), 60)
        bad = [lane for lane in lanes if lane.status is not LaneStatus.RUNNING]

    after = {row[0]: row for row in rows_of(database)}
    assert bad == []
    assert [after[ONE], after[FOUR]] == [before[0], before[2]]
    assert [after[subject][1:3] for subject in (TWO, FIVE)] == [(3, True), (1, False)]
    assert THREE not in after
    assert set_aside == [(6, "PARKED"), (8, "WAITING")]
    mine = [row for row in town.read_all("receipt") if row["stream"] == "resident"]
    chain = list({row["chain"]: row for row in mine}.values())
    assert len(chain) > len({row["chain"] for row in receipts if row["stream"] == "resident"})
    assert [row["previous"] for row in chain[1:]] == [row["chain"] for row in chain[:-1]]
    await _ledger_answers(database)


async def _ledger_answers(database: str) -> None:
    granted = {
        SYSTEM: {n: frozenset(g.event_types) for n, g in SUBSCRIPTIONS[SYSTEM].streams.items()}
    }
    asked = Ledger(database)
    try:
        for subject in (ONE, FIVE):
            with psycopg.connect(database) as session:
                ((change,),) = session.execute(CHANGE, [subject]).fetchall()
            reach = await asked.reach(str(change), granted)
            assert [system.state for system in reach.systems] == [ReachState.APPLIED]
    finally:
        await asked.close()


def test_each_release_is_recorded() -> None:
    """What the changelog calls a release has its site here."""
    changelog = (HERE.parents[1] / "CHANGELOG.md").read_text("utf-8")

    assert set(re.findall(r"^## (\d\S*) — ", changelog, re.MULTILINE)) == {
        release.name for release in RELEASES
    }
