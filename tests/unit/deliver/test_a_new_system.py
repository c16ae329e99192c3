"""A system is added with one subscription file and nothing else: 印鑑登録, of the same family."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from bus import app
from bus.catalog import load
from bus.hosting.host import opened_process
from bus.hosting.system_delivery import SystemDelivery
from bus.model import Keeping
from bus.observe.metrics import Metrics
from bus.policy import check_subscriptions, read_subscriptions
from bus.settings import Settings, SystemConnection
from connectors.memory.sink import MemoryStore
from tests.support.lanes import CATALOG, TODAY, Hosted, Town

SEAL = """\
system: seal_registration
ja: 印鑑登録
business_id: null
ministry: 総務省
separate_organ: null
zone: individual_number
streams:
  resident:
    event_types:
      - resident.moved_out
      - resident.died
      - resident.removed_ex_officio
    fields:
      - resident_state
    legal_basis:
      - {ordinance: 印鑑条例, article: 第12条}
    purpose: 転出・死亡等による印鑑登録の抹消
    approver: 個人情報保護管理者（総務部長）
    approved_on: 2026-04-01
    expires_on: 2029-03-31
"""
STAYS, MOVED, DIED = "000000000000001", "000000000000002", "000000000000003"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped schemas, copied, and one file more."""
    copied = tmp_path / "schemas"
    shutil.copytree(CATALOG.folder, copied)
    (copied / "subscriptions" / "seal_registration.yaml").write_text(SEAL, encoding="utf-8")
    return copied


async def test_one_file_more_and_the_system_receives(folder: Path, town: Town) -> None:
    """It learns who moved out or died, so that it can drop the seal; and of nobody else."""
    catalog, store = load(folder), MemoryStore()
    assert check_subscriptions(catalog, today=TODAY) == []
    subscriptions = read_subscriptions(catalog).subscriptions
    readers = {name: town.reader(name) for name in catalog.streams}
    connection = SystemConnection(connector="memory", options={"store": store})

    feeds = app.systems.feeds(
        "seal_registration", connection, catalog, subscriptions, readers, TODAY
    )
    async with opened_process(
        broker=town.broker, ids=town.registry, streams=catalog.streams, readers=readers,
        settings=Settings(schemas=folder), clock=town.clock, metrics=Metrics(), proofs=town.proofs,
    ) as process:  # fmt: skip
        delivery = SystemDelivery("seal_registration", feeds, process)
        hosted = Hosted(process, [delivery])
        running = asyncio.create_task(delivery.run())
        await town.publish("resident", STAYS, 1, event_type="resident.moved_in")
        await town.publish("resident", MOVED, 1, event_type="resident.moved_in")
        await town.publish("resident", DIED, 7, event_type="resident.died", resident_state="3")
        await town.publish(
            "resident", MOVED, 2, event_type="resident.moved_out", resident_state="2"
        )
        await hosted.at(4)
        delivery.stop()
        await running

    rows = {row["subject_id"]: row for row in store.rows("resident")}
    assert {s: (r["event_type"], r["resident_state"]) for s, r in rows.items()} == {
        MOVED: ("resident.moved_out", "2"),
        DIED: ("resident.died", "3"),
    }
    assert "name_full" not in rows[MOVED]
    assert feeds[0].view.keeping is Keeping.STATE
    assert {row["system"] for row in town.read_all("receipt")} == {"seal_registration"}


def test_the_other_systems_are_as_they_were(folder: Path) -> None:
    """Adding one changes nobody else's view."""
    before, after = read_subscriptions(CATALOG), read_subscriptions(load(folder))

    added = dict(after.subscriptions)
    assert added.pop("seal_registration").ja == "印鑑登録"
    assert added == before.subscriptions
    assert after.faults == ()
