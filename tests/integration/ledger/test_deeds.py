"""What operators did, and whom they looked up: recorded, proved, listed, and held to the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bus.control.deeds import Journal
from bus.errors import UnknownName
from bus.ledger import Ledger
from bus.ledger.chains import ChainFaultKind
from bus.ledger.deeds import DeedQuery, deeds_of
from bus.ledger.provision_queries import Period
from bus.log.internal import InternalTopic
from bus.model.deed import Act, Deed
from bus.model.subject import subject_digest
from bus.operate import deeds
from bus.operate.actor import Actor
from bus.operate.auditing import TakeAnchor
from bus.operate.deeds import Order
from bus.operate.provisions import provisions_of, provisions_page
from bus.sealing import ProofKind, Proofs
from bus.settings import Settings
from tests.integration.ledger.test_custody import SUBJECTS, SYSTEM, Place, place
from tests.support.changes import MUNICIPALITY
from tests.support.lanes import CATALOG
from tests.support.operating import Desk

__all__ = ["place"]
pytestmark = pytest.mark.service
AT = datetime(2026, 11, 30, 1, tzinfo=UTC)
KEY = "0123456789abcdef" * 2


class Forged(Proofs):
    """Proves with what is no key of the bus."""

    has_source = True

    def __init__(self) -> None:
        super().__init__(None)

    async def prove(self, _: ProofKind, __: Any) -> str:
        return "k1.AAAA"


class Unproved(Forged):
    """Proves nothing, as a process of an earlier release did that had no keys."""

    async def prove(self, _: ProofKind, __: Any) -> Any:
        return None


async def recorded(place: Place, *said: Deed, keys: Proofs | None = None) -> None:
    """These deeds in the journal, and in the ledger."""
    town, stream = place.town, CATALOG.stream("deed")
    topic = InternalTopic(town.broker, town.producer, town.registry, stream)
    journal = Journal(topic, keys or town.proofs)
    for deed in said:
        await journal.record(deed)
    await place.fed()


def deed(act: Act, actor: str, *, minutes: int = 0, **more: str | int) -> Deed:
    given = {"account": "ops", "count": 1, **more}
    return Deed(act=act, at=AT + timedelta(minutes=minutes), actor=actor, **given)  # type: ignore[arg-type]


async def test_deeds_are_listed_the_newest_first(place: Place) -> None:
    """By page, act, name or account, system, person and time; each is the bus's own word."""
    digest = subject_digest(KEY.encode(), MUNICIPALITY, SUBJECTS[0])
    await recorded(
        place,
        deed(Act.PARKED_RETRY, "ops", system=SYSTEM, count=3),
        deed(Act.PROVISIONS_OF, "clerk", minutes=1, subject_digest=digest, reason="T-1"),
        deed(Act.REBUILD, "ops", minutes=2, system=SYSTEM, stream="resident"),
    )
    ring = await place.town.proofs.ring()
    ledger = Ledger(place.uri)

    async def asked(**wanted: object) -> list[str]:
        whole = Period()
        query = DeedQuery(**{"first": whole.first, "after": whole.after, **wanted})  # type: ignore[arg-type]
        found = await deeds_of(ledger, query, ring)
        assert all(each.is_proved for each in found)
        return [each.deed.act for each in found]

    try:
        assert await asked() == [Act.REBUILD, Act.PROVISIONS_OF, Act.PARKED_RETRY]
        assert await asked(most=1) == [Act.REBUILD]
        assert await asked(below=2) == [Act.PROVISIONS_OF, Act.PARKED_RETRY]
        assert await asked(act=Act.REBUILD) == [Act.REBUILD]
        assert await asked(actor="clerk") == [Act.PROVISIONS_OF]
        assert len(await asked(actor="ops")) == 3  # whose account it was
        assert await asked(system=SYSTEM) == [Act.REBUILD, Act.PARKED_RETRY]
        assert await asked(subject_digest=digest) == [Act.PROVISIONS_OF]
        assert await asked(after=AT + timedelta(seconds=1)) == [Act.PARKED_RETRY]
    finally:
        await ledger.close()


async def test_another_name_in_a_row_is_found(place: Place) -> None:
    """The row is no word of the bus any more, and not what the log has."""
    await recorded(place, deed(Act.PROTECTION_OF, "clerk"))
    place.do("UPDATE ledger.event_deed SET actor = 'somebody else'")
    ledger, whole = Ledger(place.uri), Period()
    try:
        query = DeedQuery(first=whole.first, after=whole.after)
        (found,) = await deeds_of(ledger, query, await place.town.proofs.ring())
    finally:
        await ledger.close()
    verdict = await place.verify()

    assert (found.deed.actor, found.is_proved) == ("somebody else", False)
    (finding,) = verdict.findings
    assert (finding.kind, finding.stream) == (ChainFaultKind.CHANGED, "deed")


async def test_a_deed_without_a_proof_is_named(place: Place) -> None:
    """Whoever wrote it into the journal: verify says where it lies, and that not all is well."""
    await recorded(place, deed(Act.PUBLISH, "ops"))
    good = await place.verify()
    await recorded(place, deed(Act.ERASE, "nobody"), keys=Unproved())
    await recorded(place, deed(Act.PROVISIONS_OF, "clerk"), keys=Forged())

    verdict = await place.verify()
    alone = await place.verify(with_log=False)

    assert (good.is_good, good.deeds_proved) == (True, 1)
    for found in (verdict, alone):
        assert not found.is_good
        assert found.deeds_proved == 1
        assert [(each.kind, each.stream, each.place) for each in found.findings] == [
            (ChainFaultKind.UNPROVED, "deed", (0, 1)),
            (ChainFaultKind.UNPROVED, "deed", (0, 2)),
        ]
        first, second = (each.what for each in found.findings)
        assert first == "erase at 2026-11-30 01:00 UTC: it has no proof"
        assert second.endswith("its proof is not of what it says")


async def test_what_was_begun_and_never_ended_is_named(place: Place) -> None:
    """The newest beginning that no end of the same person, act and reason follows. It may be at
    work, so nothing is wrong with the ledger."""
    await recorded(
        place,
        deed(Act.PUBLISH, "ops", reason="T-1"),
        deed(Act.PUBLISH, "ops", minutes=1, reason="T-2"),
        deed(Act.PUBLISH_CUT_OFF, "ops", minutes=2, reason="T-2"),
        deed(Act.PUBLISH, "ops", minutes=3, reason="T-2"),
        deed(Act.PRUNE, "clerk", minutes=4),
        deed(Act.PRUNED, "ops", minutes=5),
        deed(Act.PUBLISHED, "ops", minutes=6, reason="T-2"),
        deed(Act.REBUILD, "ops", minutes=7, system=SYSTEM, stream="resident"),
        deed(Act.REBUILD, "ops", minutes=8, system=SYSTEM, stream="household"),
        deed(Act.REBUILT, "ops", minutes=9, system=SYSTEM, stream="resident"),
    )

    for verdict in (await place.verify(), await place.verify(with_log=False)):
        assert verdict.is_good
        assert [each.offset for each in verdict.deeds_without_end] == [0, 4, 8]


async def test_an_anchor_is_a_deed(place: Place) -> None:
    """By whom and why, and how many chains; in custody as well, by which verify knows it."""
    said: list[Deed] = []
    custody: list[str] = []

    class Town(Desk):
        proofs = place.town.proofs

        async def broker(self) -> Any:
            return place.town.broker

        async def topic(self, name: str) -> Any:
            assert len(said) == 1  # recorded before it takes effect
            custody.append(name)
            town = place.town
            return InternalTopic(town.broker, town.producer, town.registry, CATALOG.stream(name))

        async def reader(self, name: str) -> Any:
            return place.town.reader(name)

    async with Town(Settings(database=SecretStr(place.uri)), None, said) as desk:
        preview = await deeds.plan(desk, TakeAnchor())
        assert said == []
        taken = await deeds.perform(desk, preview, Actor("auditor", "ops"), "T-1")

    assert [(d.act, d.actor, d.account, d.count, d.reason) for d in said] == [
        (Act.ANCHOR, "auditor", "ops", len(taken.heads), "T-1")
    ]
    assert custody == ["custody"]
    assert len(taken.heads) > 0
    assert (await place.verify(taken)).is_good


async def test_who_looks_a_person_up_is_recorded(place: Place, tmp_path: Path) -> None:
    """With how much was told, and of whom by a digest; also where nothing is known."""
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    said: list[Deed] = []
    settings = Settings(database=SecretStr(place.uri), erasure_key_file=key)
    order = Order(Actor("clerk", "ops"), "T-1")
    nobody = "000000000000099"
    async with Desk(settings, None, said) as desk:
        found = await provisions_of(desk, SUBJECTS[0], None, Period(), order)
        with pytest.raises(UnknownName):
            await provisions_of(desk, f"{MUNICIPALITY}/{nobody}", None, Period(), order)
        page = await provisions_page(desk, SYSTEM, "resident", Period(), None, 3, order)

    assert [(each.act, each.count, each.reason) for each in said] == [
        (Act.PROVISIONS_OF, len(found.answer.provisions), "T-1"),
        (Act.PROVISIONS_OF, 0, "T-1"),
        (Act.PROVISIONS_BY, 3, "T-1"),
    ]
    assert len(found.answer.provisions) == 1
    assert page.after is not None
    assert [each.subject_digest for each in said] == [
        subject_digest(KEY.encode(), MUNICIPALITY, SUBJECTS[0]),
        subject_digest(KEY.encode(), MUNICIPALITY, nobody),
        None,
    ]
    assert SUBJECTS[0] not in str(said)
