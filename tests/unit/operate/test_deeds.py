"""Deeds: planned with counts, recorded before they take effect, by whoever acts."""

from __future__ import annotations

import asyncio
import os
import pwd
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from bus.control.deeds import KEY, Journal
from bus.errors import (
    BrokerUnavailable,
    ConfigurationError,
    ErasureRefused,
    KeysUnusable,
    NothingChanged,
    SourceUnavailable,
)
from bus.ledger.deeds import RecordedDeed
from bus.model.deed import CUT_OFF, ENDS, LOOK_UPS, Act, Deed
from bus.operate import deeds, documents
from bus.operate.actor import LONGEST_REASON, Actor, account, checked_reason
from bus.operate.deeds import Order, Planned
from bus.operate.rebuilding import Rebuild, RebuildPreview, ToRebuild
from bus.operate.session import Session
from bus.rebuild.rebuild import Rebuilt
from bus.sealing import ProofKind, Proofs
from bus.settings import Settings

ME = Actor("clerk", "ops")
AT = datetime(2026, 11, 30, 1, tzinfo=UTC)


@dataclass
class Preview:
    """So many things that would be done."""

    planned: Planned
    happened: list[str]

    async def perform(self, _: Session, order: Order) -> str:
        self.happened.append(f"done for {order.actor.name}: {order.note}")
        return "done"


@dataclass
class Desk(Session):
    """A session that has a journal alone."""

    happened: list[str] = field(default_factory=list)
    is_away: bool = False

    def __post_init__(self) -> None:
        super().__init__(Settings())

    async def insist_on_proofs(self) -> None:
        """What is recorded here is in a list."""

    async def journal(self) -> Any:
        async def record(deed: Deed) -> None:
            if self.is_away:
                raise BrokerUnavailable("the broker does not answer")
            self.happened.append(f"{deed.act} of {deed.count} by {deed.actor} ({deed.account})")

        return SimpleNamespace(record=record)


def preview(desk: Desk, count: int, **more: Any) -> Preview:
    return Preview(Planned(act=Act.REBUILD, count=count, **more), desk.happened)


async def test_it_is_recorded_first() -> None:
    """Then it is done; what came of it is given back."""
    desk = Desk()

    assert await deeds.perform(desk, preview(desk, 3), ME, "T-1") == "done"
    assert desk.happened == ["rebuild of 3 by clerk (ops)", "done for clerk: T-1"]


@dataclass
class Load(Preview):
    """What is counted while it is done."""

    error: BaseException | None = None

    def counted(self, done: str) -> int:
        return len(done)

    def so_far(self) -> int:
        return 2

    async def perform(self, session: Session, order: Order) -> str:
        if self.error is not None:
            raise self.error
        return await super().perform(session, order)


async def test_of_how_many_is_recorded_at_the_end() -> None:
    """Where nobody knew before: begun first, with nothing; then what was done, or nothing if it was
    cut off."""
    desk = Desk()
    load = Load(Planned(act=Act.PUBLISH, count=0, may_be_empty=True), desk.happened)

    await deeds.perform(desk, load, ME, "T-1")
    assert desk.happened == [
        "publish of 0 by clerk (ops)",
        "done for clerk: T-1",
        "published of 4 by clerk (ops)",
    ]
    assert set(ENDS) == {Act.PUBLISH, Act.PRUNE, Act.REBUILD}


@pytest.mark.parametrize(
    "error",
    [BrokerUnavailable("away"), asyncio.CancelledError(), KeyboardInterrupt(), ValueError()],
)
async def test_what_ends_before_its_end_is_recorded(error: BaseException) -> None:
    """Whatever ended it: of how many it was at least; what was raised is raised."""
    desk = Desk()
    load = Load(Planned(act=Act.PUBLISH, count=0, may_be_empty=True), desk.happened, error)

    with pytest.raises(type(error)):
        await deeds.perform(desk, load, ME, "T-1")
    assert desk.happened == [
        "publish of 0 by clerk (ops)",
        "publish-cut-off of 2 by clerk (ops)",
    ]
    assert set(CUT_OFF) == {*ENDS, Act.PROTECTIONS_END}


async def test_an_end_that_cannot_be_recorded_hides_no_error() -> None:
    """The log went away in the middle: that is what is told."""
    desk = Desk()

    class Falls(Load):
        async def perform(self, *_: object) -> str:
            desk.is_away = True
            raise SourceUnavailable("the file cannot be read")

    load = Falls(Planned(act=Act.PUBLISH, count=0, may_be_empty=True), desk.happened)
    with pytest.raises(SourceUnavailable):
        await deeds.perform(desk, load, ME, "T-1")
    assert desk.happened == ["publish of 0 by clerk (ops)"]


async def test_a_rebuild_ends_in_the_journal() -> None:
    """From so many events it was begun; of so many the tables that are in place were made."""
    desk = Desk()
    feed: Any = SimpleNamespace(view=SimpleNamespace(stream="resident"))

    class Opened:
        async def rebuild(self, *_: object) -> Rebuilt:
            desk.happened.append("filled")
            return Rebuilt(events=2, merged=None)

    opened: Any = Opened()
    rebuilds = RebuildPreview(Rebuild("child_allowance"), opened, [ToRebuild(feed, 3)])
    await deeds.perform(desk, rebuilds, ME, "T-1")
    assert desk.happened == [
        "rebuild of 3 by clerk (ops)",
        "filled",
        "rebuilt of 2 by clerk (ops)",
    ]


async def test_a_rebuild_that_is_cut_off_says_so() -> None:
    """Of how many events it was is known before; what follows is how far it came."""
    desk = Desk()

    class Rebuilds(Preview):
        def so_far(self) -> int:
            return 2

        async def perform(self, *_: object) -> str:
            raise BrokerUnavailable("away")

    rebuilds = Rebuilds(Planned(act=Act.REBUILD, count=3), desk.happened)
    with pytest.raises(BrokerUnavailable):
        await deeds.perform(desk, rebuilds, ME, "T-1")
    assert desk.happened == ["rebuild of 3 by clerk (ops)", "rebuild-cut-off of 2 by clerk (ops)"]


@dataclass
class Shown(Preview):
    """What can be tried, and shows persons."""

    async def tried(self, _: Session, order: Order) -> str:
        return f"would be for {order.actor.name}"

    @property
    def looked_up(self) -> Planned:
        return Planned(act=Act.PARKED_LIST, count=self.planned.count)


@dataclass
class Wanted:
    """An action."""

    preview: Any

    async def plan(self, _: Session) -> Any:
        return self.preview


async def test_a_dry_run_is_a_look_up() -> None:
    """Recorded where it shows persons; without one it is done."""
    desk, order = Desk(), Order(ME, "T-1")
    wanted = Wanted(Shown(Planned(act=Act.REBUILD, count=3), desk.happened))

    assert await deeds.carry_out(desk, wanted, order, is_dry=True) == "would be for clerk"
    assert desk.happened == ["parked-list of 3 by clerk (ops)"]
    assert await deeds.carry_out(desk, wanted, order, is_dry=False) == "done"
    assert desk.happened[1:] == ["rebuild of 3 by clerk (ops)", "done for clerk: T-1"]


@pytest.mark.parametrize(
    ("said", "count", "is_asked", "is_done"),
    [
        ({"is_dry": True}, 3, False, False),
        ({"is_sure": True}, 3, False, True),
        ({"is_sure": True}, 0, False, False),
        ({"answer": True}, 3, True, True),
        ({"answer": False}, 3, True, False),
        ({"answer": True}, 0, False, False),
    ],
)
async def test_what_was_shown_is_done_where_it_is_wanted(
    said: dict[str, bool], count: int, is_asked: bool, is_done: bool
) -> None:
    """Nobody is asked where there is nothing to do; what was only looked at is recorded as that."""
    desk = Desk()

    async def ask() -> bool:
        desk.happened.append("asked")
        return said["answer"]

    preview = Shown(Planned(act=Act.ERASE, count=count), desk.happened)
    consent = deeds.Consent(
        is_dry=said.get("is_dry", False), is_sure=said.get("is_sure", False), ask=ask
    )
    done = await deeds.with_consent(
        desk, preview, Order(ME, "T-1"), consent, lambda: desk.happened.append("shown")
    )

    assert ("asked" in desk.happened, done == "done") == (is_asked, is_done)
    first = "erase" if is_done and not is_asked else "parked-list"
    erased = [f"erase of {count} by clerk (ops)"] if is_done and is_asked else []
    assert desk.happened == [
        f"{first} of {count} by clerk (ops)",
        "shown",
        *(["asked"] if is_asked else []),
        *erased,
        *(["done for clerk: T-1"] if is_done else []),
    ]


@pytest.mark.parametrize("said", [{"is_dry": True}, {"is_sure": True}, {}])
async def test_what_cannot_be_recorded_is_not_shown(said: dict[str, bool]) -> None:
    """Nor is anybody asked."""
    desk = Desk(is_away=True)

    async def ask() -> bool:
        pytest.fail("asked")

    preview = Shown(Planned(act=Act.ERASE, count=3), desk.happened)
    consent = deeds.Consent(**{"is_dry": False, "is_sure": False, **said}, ask=ask)
    with pytest.raises(BrokerUnavailable):
        await deeds.with_consent(
            desk, preview, Order(ME, "T-1"), consent, lambda: pytest.fail("shown")
        )
    assert desk.happened == []


@pytest.mark.parametrize("said", [{"is_dry": True}, {"is_sure": True}, {}])
async def test_a_refusal_that_tells_of_a_person_is_recorded_first(said: dict[str, bool]) -> None:
    """Whichever way it is asked: the look-up, then the refusal; nothing is shown, nobody asked."""
    desk, order = Desk(), Order(ME, "T-1")
    refused = Planned(act=Act.ERASE, count=3, refusal=ErasureRefused("under protection"))
    preview = Shown(refused, desk.happened)

    async def ask() -> bool:
        pytest.fail("asked")

    consent = deeds.Consent(**{"is_dry": False, "is_sure": False, **said}, ask=ask)
    with pytest.raises(ErasureRefused):
        await deeds.with_consent(desk, preview, order, consent, lambda: pytest.fail("shown"))
    assert desk.happened == ["parked-list of 3 by clerk (ops)"]
    with pytest.raises(ErasureRefused):
        await deeds.carry_out(desk, Wanted(preview), order, is_dry=said.get("is_dry", False))
    assert desk.happened == ["parked-list of 3 by clerk (ops)"] * 2
    desk.is_away = True
    with pytest.raises(BrokerUnavailable):
        await deeds.with_consent(desk, preview, order, consent, lambda: pytest.fail("shown"))


@pytest.mark.parametrize("ended", [asyncio.CancelledError(), KeyboardInterrupt(), RuntimeError()])
async def test_who_never_answers_has_looked(ended: BaseException) -> None:
    """A signal or the end of stdin in the place of an answer: the look-up is in the journal."""
    desk = Desk()

    async def ask() -> bool:
        raise ended

    preview = Shown(Planned(act=Act.ERASE, count=3), desk.happened)
    consent = deeds.Consent(is_dry=False, is_sure=False, ask=ask)
    with pytest.raises(type(ended)):
        await deeds.with_consent(desk, preview, Order(ME, "T-1"), consent, lambda: None)
    assert desk.happened == ["parked-list of 3 by clerk (ops)"]


async def test_what_is_stopped_behind_its_end_has_one() -> None:
    """It was done: that is recorded, once, and then it stops."""
    desk = Desk()
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Desk):
        async def journal(self) -> Any:
            async def record(deed: Deed) -> None:
                if deed.act == Act.PUBLISHED:
                    begun.set()
                    await go_on.wait()
                desk.happened.append(f"{deed.act} of {deed.count}")

            return SimpleNamespace(record=record)

    load = Load(Planned(act=Act.PUBLISH, count=0, may_be_empty=True), desk.happened)
    task = asyncio.create_task(deeds.perform(Slow(), load, ME, "T-1"))
    await begun.wait()
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.happened == ["publish of 0", "done for clerk: T-1", "published of 4"]


async def test_what_cannot_be_recorded_is_not_done() -> None:
    """The journal is away: nothing happens."""
    desk = Desk(is_away=True)

    with pytest.raises(BrokerUnavailable):
        await deeds.perform(desk, preview(desk, 3), ME, None)
    assert desk.happened == []


async def test_nothing_to_do_is_no_deed() -> None:
    """It is an error of the command, and no record; unless doing nothing is a deed too."""
    desk = Desk()
    nothing = preview(desk, 0, nothing="nothing is parked", where={"system": "x"})

    with pytest.raises(NothingChanged, match="nothing was changed: nothing is parked") as raised:
        await deeds.perform(desk, nothing, ME, None)
    assert raised.value.where == {"system": "x"}
    assert desk.happened == []
    await deeds.perform(desk, preview(desk, 0, may_be_empty=True), ME, None)
    assert len(desk.happened) == 2


def test_the_kernel_says_who_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the environment does; somebody's word stands beside it."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody else")

    assert account() == pwd.getpwuid(os.getuid()).pw_name
    assert Actor.of(None) == Actor(account(), account())
    assert Actor.of(" a clerk ") == Actor("a clerk", account())
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert account() == "uid 4000000000"


@pytest.mark.parametrize("said", ["", "  ", "two\nlines", "x" * (LONGEST_REASON + 1)])
def test_a_reason_is_one_line(said: str) -> None:
    """So is a name."""
    with pytest.raises(ConfigurationError, match="--reason"):
        checked_reason(said)
    with pytest.raises(ConfigurationError, match="--by"):
        Actor.of(said)


async def test_persons_are_recorded_by_a_keyed_digest(tmp_path: Any) -> None:
    """The one by which erasures know them; without the key nobody is looked up."""
    key = tmp_path / "key"
    key.write_text("0123456789abcdef" * 2)
    key.chmod(0o600)
    with_key = Session(Settings(erasure_key_file=key))

    digest = deeds.digest_of(with_key, "131016", "000000012345674")
    assert len(digest) == 64
    with pytest.raises(ConfigurationError, match="RENKEI_ERASURE_KEY_FILE"):
        deeds.digest_of(Session(Settings()), "131016", "000000012345674")


class Topic:
    """A topic that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def append(self, keys: list[str], rows: list[dict[str, Any]]) -> Any:
        self.sent.append((keys, rows))
        return [(0, 7)]


async def test_the_journal_proves_all() -> None:
    """Over all that the deed says; without keys nothing is recorded."""

    class Known(Proofs):
        async def prove(self, kind: ProofKind, said: Any) -> str:
            return f"{kind.value} {len(said)}"

    deed = Deed(act=Act.PUBLISH, at=AT, actor="a", account="b", count=2)
    topic: Any = Topic()
    assert await Journal(topic, Known(None)).record(deed) == (0, 7)
    ((keys, (row,)),) = topic.sent
    assert keys == [KEY]
    assert row["proof"] == "deed 9"
    assert row["act"] == "publish"
    with pytest.raises(KeysUnusable):
        await Journal(topic, Proofs(None)).record(deed)
    assert len(topic.sent) == 1


async def test_who_could_not_prove_it_does_nothing() -> None:
    """It is refused before anything is opened: by the setting, and how to set it."""
    opened: list[str] = []

    class Action:
        async def plan(self, _: Session) -> Preview:
            opened.append("plan")
            return Preview(Planned(act=Act.REBUILD, count=1), opened)

    without = Session(Settings(kafka="127.0.0.1:1"))
    looked_up = Planned(act=Act.PARKED_LIST, count=1)
    for asked in (
        deeds.plan(without, Action()),
        deeds.perform(without, await Action().plan(without), ME, None),
        deeds.record(without, looked_up, Order(ME)),
    ):
        with pytest.raises(KeysUnusable, match="RENKEI_RECEIPT_KEYS_FILE") as refused:
            await asked
        assert refused.value.where["how"] == "docs/howto/keys-for-receipts.md"
    assert opened == ["plan"]  # the test's own


def test_every_field_is_proved() -> None:
    """A changed one is not the bus's word any more."""
    deed = Deed(act="x", at=AT, actor="a", account="b", count=2)
    assert len(deed.proved) == len(Deed.__dataclass_fields__) - 1  # all but the proof


def test_look_ups_are_acts() -> None:
    """And fit what the schema takes."""
    assert set(Act) > LOOK_UPS
    assert all(len(act) <= 40 for act in Act)


def test_a_deed_for_machines() -> None:
    """With its place, and whether it is proved."""
    deed = Deed(act="x", at=AT, actor="a", account="b", count=2)
    said = documents.of(RecordedDeed(deed, 0, 7, False))
    assert (said["place"], said["proved"], said["count"]) == ("0/7", False, 2)
