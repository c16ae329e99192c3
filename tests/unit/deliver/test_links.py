"""Every link that the standard has between systems (domain facts 8.2), row by row.

Each provider publishes by its own changes, through the real publisher; each consumer is delivered
to as its subscription says, all of them at once. A test then looks for the row's data in the
consumer's own store, and for what must not be there. 統合収納・滞納, 団体内統合宛名 and 戸籍の附票
are neighbours whose subscriptions are added as files; 戸籍's notices are a stream that is added as
a file, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bus import app
from bus.broker import TopicSpec
from bus.broker.memory import MemoryBroker
from bus.catalog import Catalog, load
from bus.catalog.wire import Reader
from bus.clock import SystemClock
from bus.demo.run import SEED
from bus.demo.story import scenes
from bus.hosting.host import host, opened_process
from bus.hosting.system_delivery import SystemDelivery
from bus.model import Change, ChangeRecord
from bus.observe.metrics import Metrics
from bus.policy import read_subscriptions
from bus.publish.publisher import Publisher, PublisherSettings
from bus.sample.municipality import Municipality
from bus.sample.municipality.register import ALL_STREAMS
from bus.sample.neighbours import NEIGHBOURS, add_neighbours
from bus.sealing import Proofs, Seals
from bus.settings import Settings, SystemConnection
from connectors.memory.sink import MemoryStore
from tests.support.keys import Pocket
from tests.support.lanes import CATALOG, TODAY, FixedRegistry

pytestmark = pytest.mark.slow

AT = datetime.fromisoformat("2026-11-24T10:00:00+09:00")
HERE = Path(__file__).parent / "links"
COLLECTION, ATENA, SUPPLEMENT = (
    "integrated_collection",
    "integrated_atena",
    "family_register_supplement",
)
REGISTER = "resident_registry"
NOTICE = "family_register.notice"


@dataclass
class Linked:
    """What was published, and what everybody holds after it."""

    catalog: Catalog
    told: dict[str, Change]  # by kind of scene
    stores: Mapping[str, MemoryStore]

    def published(self, kind: str, provider: str) -> ChangeRecord:
        """The first record of a scene's change, which *provider* made."""
        change = self.told[kind]
        assert change.source == provider
        return change.records[0]

    def row(self, consumer: str, record: ChangeRecord) -> dict[str, Any]:
        """The subject's row in the consumer's own store, of the very event that was published."""
        rows = {each["subject_id"]: each for each in self.stores[consumer].rows(record.stream)}
        row = rows[record.subject_id]
        assert (row["version"], row["event_type"]) == (record.version, record.event_type)
        return dict(row)

    def consumers(self, stream: str) -> set[str]:
        """Who holds anything of *stream*."""
        return {name for name, store in self.stores.items() if store.rows(stream)}


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Linked:
    """The demo's story, published by everybody and delivered to everybody, once."""
    folder = add_neighbours(CATALOG.folder, tmp_path_factory.mktemp("contracts") / "schemas")
    _add_notices(folder)
    return asyncio.run(_tell(load(folder)))


def _add_notices(folder: Path) -> None:
    """A stream more, and a grant of it to the register: two files, no code."""
    stream = folder / "streams" / NOTICE
    stream.mkdir()
    (stream / "v1.avsc").write_bytes((HERE / "family_register.notice.avsc").read_bytes())
    register = folder / "subscriptions" / f"{REGISTER}.yaml"
    grant = (HERE / "notices_to_the_register.yaml").read_text(encoding="utf-8")
    register.write_text(register.read_text(encoding="utf-8") + grant, encoding="utf-8")


async def _tell(catalog: Catalog) -> Linked:
    broker, registry = MemoryBroker(), FixedRegistry(catalog)
    await broker.create_topics(
        [TopicSpec(stream.topic, 1, 1, {}) for stream in catalog.streams.values()]
    )
    publisher = Publisher(
        catalog,
        registry,
        broker,
        PublisherSettings(now=lambda: AT),
        seals=Seals(Pocket("2026")),
    )
    await publisher.start()
    town = Municipality(SEED, 1_000)
    for name in ALL_STREAMS:
        for batch in town.columns(catalog.stream(name)):
            assert (await publisher.publish_columns(catalog.stream(name), batch)).refused == ()
    told = {}
    for second, scene in enumerate(scenes(town)):
        told[scene.kind] = scene.make(AT + timedelta(seconds=second))
    told["notice"] = _notice(told["birth"])
    for change in told.values():
        (outcome,) = await publisher.publish([change])
        assert outcome.is_published, outcome.faults
    await publisher.close()
    return Linked(catalog, told, await _deliver(catalog, broker, registry))


def _notice(birth: Change) -> Change:
    """戸籍 tells the register that a birth was entered there."""
    child = next(record for record in birth.records if record.event_type == "resident.born")
    return Change.model_validate(
        {
            "change_id": "019d3f00-0000-7000-8000-00000000f001",
            "municipality_code": birth.municipality_code,
            "source": "family_register",
            "processed_at": AT.isoformat(),
            "records": [
                {
                    "stream": NOTICE,
                    "event_type": f"{NOTICE}.sent",
                    "nature": "RECORD",
                    "subject_id": child.subject_id,
                    "version": 1,
                    "effective_date": {"date": "2026-11-20"},
                    "body": {
                        "kind": "BIRTH",
                        "entered_on": "2026-11-20",
                        "family_register": "非送信",
                    },
                }
            ],
        }
    )


async def _deliver(
    catalog: Catalog, broker: MemoryBroker, registry: FixedRegistry
) -> Mapping[str, MemoryStore]:
    """Everybody receives what their subscription lets them have, up to the ends of the log."""
    reading = read_subscriptions(catalog)
    assert reading.faults == ()
    readers = {name: Reader(each, catalog, registry) for name, each in catalog.streams.items()}
    stores = {system: MemoryStore() for system in reading.subscriptions}
    async with opened_process(
        broker=broker, ids=registry, streams=catalog.streams, readers=readers,
        settings=Settings(schemas=catalog.folder, idle_wait=timedelta(milliseconds=20)),
        clock=SystemClock(), metrics=Metrics(), seals=Seals(Pocket("2026")),
        proofs=Proofs(Pocket("2026")),
    ) as process:  # fmt: skip
        deliveries = []
        for system, store in stores.items():
            connection = SystemConnection(connector="memory", options={"store": store})
            feeds = app.systems.feeds(
                system, connection, catalog, reading.subscriptions, readers, TODAY
            )
            deliveries.append(SystemDelivery(system, feeds, process))
        await host(process, deliveries, asyncio.Event(), once=True)
    return stores


def others(linked: Linked) -> list[str]:
    return sorted(linked.stores.keys() - {REGISTER, *NEIGHBOURS})


# -- resident_registry → all others: resident data, protection data ------------------------------


def test_the_register_gives_residents_to_all_others(linked: Linked) -> None:
    """Sixteen systems have the family's new state; each person's flag goes wherever they go."""
    moved = linked.published("family_moves", REGISTER)
    assert len(others(linked)) == 16
    for system in others(linked):
        rows = {each["subject_id"]: each for each in linked.stores[system].rows("resident")}
        assert rows[moved.subject_id]["change_id"] == linked.told["correction"].change_id, system


def test_the_register_gives_protections_to_all_others(linked: Linked) -> None:
    """All who could show an address know who is protected; only the capable have the address."""
    protection = linked.published("protection_starts", REGISTER)
    moved = linked.published("protected_person_moves", REGISTER)
    told = set()
    for system in others(linked):
        row = linked.row(system, moved)
        if "address_lot" in row:
            is_capable = row["address_lot"] is not None
            assert row["protected"]
            assert linked.row(system, protection)["status"] == "ACTIVE"
            told.add((system, is_capable))
    assert ("child_allowance", False) in told
    assert ("public_assistance", True) in told


def test_the_register_gives_numbers_to_nobody_without_an_ordinance(linked: Linked) -> None:
    """個人番号 is opened for those who have it by 番号利用事務, and is nowhere else."""
    assigned = linked.published("number_is_assigned", REGISTER)
    entitled = {"child_allowance", "individual_resident_tax", "national_health_insurance"}

    assert linked.consumers(assigned.stream) == entitled
    for system in entitled:
        assert linked.row(system, assigned)["number"] == assigned.body["number"]


# -- resident_registry → 戸籍附票: address change ------------------------------------------------


def test_the_register_gives_address_changes_to_the_family_register_supplement(
    linked: Linked,
) -> None:
    """The new address and since when."""
    moved = linked.published("family_moves_in", REGISTER)
    row = linked.row(SUPPLEMENT, moved)

    assert row["address_town"] == moved.body["address"]["town"]  # type: ignore[index,call-overload]
    assert row["address_set_on"] is not None


# -- 国保, 年金, 児童手当, 後期高齢, 介護, 選挙 → resident_registry: qualification data ----------

QUALIFICATIONS = [
    ("health_insurance_begins", "national_health_insurance", {"insured", "acquired_on", "lost_on"}),
    (
        "pension_begins",
        "national_pension",
        {"enrolled", "basic_pension_number", "insured_kind", "kind_changed_on", "acquired_on"},
    ),
    ("allowance_is_granted", "child_allowance", {"receiving", "start_month", "end_month"}),
    ("elderly_care_begins", "late_elderly_medical", {"insured", "acquired_on", "lost_on"}),
    ("care_insurance_begins", "long_term_care_insurance", {"insured", "acquired_on", "lost_on"}),
    ("elector_is_struck_off", "electoral_roll", {"registered"}),
]
NOT_FOR_THE_REGISTER = (
    "certificate_symbol", "certificate_number", "branch_number", "insurer_number",
    "insured_number", "monthly_amount", "children", "polling_district", "marked_on",
)  # fmt: skip


@pytest.mark.parametrize(
    ("scene", "provider", "items"), QUALIFICATIONS, ids=[each[1] for each in QUALIFICATIONS]
)
def test_a_system_gives_qualifications_to_the_register(
    linked: Linked, scene: str, provider: str, items: set[str]
) -> None:
    """What 7.2.2 names, and neither the numbers of certificates nor further electoral details."""
    given = linked.published(scene, provider)
    row = linked.row(REGISTER, given)

    assert items <= row.keys()
    for name in items:
        said = given.body[name]
        assert (row[name].isoformat() if hasattr(row[name], "isoformat") else row[name]) == said
    assert not row.keys() & set(NOT_FOR_THE_REGISTER)


# -- 戸籍 → resident_registry: notices -----------------------------------------------------------


def test_the_family_register_gives_notices_to_the_register(linked: Linked) -> None:
    """By a stream that was added as files; what the register is not granted stays behind."""
    notice = linked.published("notice", "family_register")
    row = linked.row(REGISTER, notice)

    assert (row["kind"], row["entered_on"].isoformat()) == ("BIRTH", "2026-11-20")
    assert "family_register" not in row
    assert linked.consumers(NOTICE) == {REGISTER}


# -- individual_resident_tax → 国保, 後期高齢, 介護, 子ども・子育て, 福祉: income / tax ----------

TAX_FOR = [
    "national_health_insurance", "late_elderly_medical", "long_term_care_insurance",
    "child_childcare_support", "child_allowance", "child_rearing_allowance",
    "disability_welfare", "public_assistance",
]  # fmt: skip


@pytest.mark.parametrize("consumer", TAX_FOR)
def test_the_resident_tax_gives_income_or_tax_to_whoever_decides_by_it(
    linked: Linked, consumer: str
) -> None:
    """At least one of income and levy, each as it was assessed; where 所得割 is, whose it is."""
    assessed = linked.published("tax_is_reassessed", "individual_resident_tax")
    row = linked.row(consumer, assessed)
    items = set(row) & {
        "total_income", "aggregate_income", "taxable_income", "municipal_income_levy",
        "income_levy", "non_taxable", "annual_tax",
    }  # fmt: skip

    assert items
    assert all(row[name] == assessed.body[name] for name in items)


def test_the_fee_of_childcare_is_not_reckoned_with_the_prefectures_share(linked: Linked) -> None:
    """市町村民税所得割 alone: the incident of 2019-09 (domain facts 5.3)."""
    assessed = linked.published("tax_is_reassessed", "individual_resident_tax")
    row = linked.row("child_childcare_support", assessed)

    assert row["municipal_income_levy"] == assessed.body["municipal_income_levy"]
    assert not row.keys() & {"prefectural_income_levy", "income_levy"}


# -- public_assistance → tax, 介護, 子ども・子育て: receipt status -------------------------------


@pytest.mark.parametrize(
    "consumer", ["individual_resident_tax", "long_term_care_insurance", "child_childcare_support"]
)
def test_public_assistance_gives_who_receives_it(linked: Linked, consumer: str) -> None:
    """Whether and since when; neither the case's number nor the kinds of aid."""
    started = linked.published("assistance_starts", "public_assistance")
    row = linked.row(consumer, started)

    assert row["receiving"] is True
    assert row["started_on"].isoformat() == started.body["started_on"]
    assert not row.keys() & {"case_number", "aids"}


# -- 児童扶養手当, 障害者福祉 → 子ども・子育て: status flags for the fee -------------------------


@pytest.mark.parametrize(
    ("scene", "provider", "item"),
    [
        ("rearing_allowance", "child_rearing_allowance", "receiving"),
        ("certificate_is_issued", "disability_welfare", "holds_certificate"),
    ],
)
def test_childcare_is_given_the_status_that_its_fee_hangs_on(
    linked: Linked, scene: str, provider: str, item: str
) -> None:
    """The flag; no amount, no number of a certificate."""
    given = linked.published(scene, provider)
    row = linked.row("child_childcare_support", given)

    assert row[item] is True
    assert "monthly_amount" not in row
    assert not any("number" in name and name.startswith("certificates") for name in row)


# -- 固定資産税, 軽自動車税 → 収納/滞納: levy, co-owners, vehicles -------------------------------


def test_the_fixed_asset_tax_gives_levies_and_co_owners_to_collection(linked: Linked) -> None:
    """With everybody who owns it, and where the notice goes."""
    levied = linked.published("levy_follows", "fixed_asset_tax")
    row = linked.row(COLLECTION, levied)

    assert row["annual_tax"] == levied.body["annual_tax"]
    assert row["mailing_address_lot"] == levied.body["mailing_address"]["lot"]  # type: ignore[index,call-overload]
    assert any(
        each["co_owners_subject_id"]
        for each in linked.stores[COLLECTION].rows("fixed_asset_tax.levy")
    )


def test_the_light_vehicle_tax_gives_vehicles_to_collection(linked: Linked) -> None:
    """Plate, owner, tax; the address of a protected owner does not go along."""
    follows = linked.published("vehicle_follows", "light_vehicle_tax")
    row = linked.row(COLLECTION, follows)
    protected = linked.row(COLLECTION, linked.told["protected_vehicle_follows"].records[0])

    assert (row["plate"], row["annual_tax"]) == (follows.body["plate"], follows.body["annual_tax"])
    assert row["owner_address_lot"] is not None
    assert protected["protected"] is True
    assert protected["owner_address_lot"] is None


# -- 税, 国保, 介護, 後期高齢, 子ども・子育て → 統合収納・滞納: charge data ----------------------

CHARGES = [
    ("tax_is_reassessed", "individual_resident_tax", "annual_tax"),
    ("levy_follows", "fixed_asset_tax", "annual_tax"),
    ("corporation_amends", "corporate_resident_tax", "total_tax"),
    ("vehicle_follows", "light_vehicle_tax", "annual_tax"),
    ("health_insurance_begins", "national_health_insurance", "insured"),
    ("care_insurance_begins", "long_term_care_insurance", "insured"),
    ("elderly_care_begins", "late_elderly_medical", "insured"),
    ("childcare_is_certified", "child_childcare_support", "monthly_fee"),
]


@pytest.mark.parametrize(("scene", "provider", "item"), CHARGES, ids=[each[1] for each in CHARGES])
def test_whoever_charges_tells_integrated_collection(
    linked: Linked, scene: str, provider: str, item: str
) -> None:
    """What is due, or who is insured and so owes; nothing of incomes."""
    charged = linked.published(scene, provider)
    row = linked.row(COLLECTION, charged)

    assert row[item] == charged.body[item]
    assert not row.keys() & {"total_income", "taxable_income"}


# -- マイナポータル → each via 申請管理: applications --------------------------------------------


def test_an_application_reaches_the_system_that_handles_its_procedure(linked: Linked) -> None:
    """By a condition on the procedure: 児童手当's claim goes to 児童手当 and to nobody else."""
    applied = linked.published("application_arrives", "application_management")
    row = linked.row("child_allowance", applied)

    assert row["procedure"] == "CHILD_ALLOWANCE_CLAIM"
    assert row["applicant_subject_id"] == applied.body["applicant_subject_id"]
    holders = {
        system
        for system in linked.consumers(applied.stream)
        if applied.subject_id
        in {r["subject_id"] for r in linked.stores[system].rows(applied.stream)}
    }
    assert holders == {"child_allowance"}


def test_every_procedure_has_a_system_that_handles_it(linked: Linked) -> None:
    """Of the applications that came in, each is with some system, of its own procedures alone."""
    held: dict[str, set[str]] = {}
    for system in linked.consumers("application.received"):
        for row in linked.stores[system].rows("application.received"):
            held.setdefault(row["procedure"], set()).add(system)
    children = {name for name in held if name.startswith("CHILD_ALLOWANCE")}

    assert len(children) == 10
    assert all(held[name] == {"child_allowance"} for name in children)
    assert {name for name, who in held.items() if who == {"long_term_care_insurance"}} >= {
        "CARE_CERTIFICATION", "CARE_RENEWAL", "CARE_LEVEL_CHANGE",
    }  # fmt: skip


# -- 基幹業務 (any) → 団体内統合宛名: 宛名番号 → conversion --------------------------------------


def test_every_system_tells_the_integrated_atena_whom_it_knows(linked: Linked) -> None:
    """宛名番号, and of its own affairs nothing but that it knows them."""
    providers: set[str] = set()
    for scene, change in linked.told.items():
        record = change.records[0]
        if ATENA not in linked.consumers(record.stream):
            continue
        rows = {row["subject_id"]: row for row in linked.stores[ATENA].rows(record.stream)}
        assert record.subject_id in rows, scene
        row = rows[record.subject_id]
        assert not row.keys() & {
            "total_income",
            "annual_tax",
            "vaccinations",
            "care_level",
            "name_full",
        }
        providers.add(change.source)
    seventeen = linked.stores.keys() - set(NEIGHBOURS)
    assert len(seventeen) == 17
    assert seventeen <= providers
