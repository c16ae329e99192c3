"""Deeds in two steps: what an action would do, with counts; then it is done, by an actor.

``plan`` changes nothing. ``perform`` refuses where there is nothing to do, records the deed in the
journal, acknowledged by all replicas, and does it then: so nothing is done that nobody did. Whom
somebody looks up is recorded in the same place before the answer is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar, runtime_checkable

from bus.credentials import erasure_key
from bus.errors import BusError, NothingChanged
from bus.model.deed import CUT_OFF, ENDS, Act, Deed
from bus.model.subject import subject_digest
from bus.operate.actor import Actor
from bus.operate.session import Session

CUT_OFF_WITHIN_S = 10.0
"""For the record of an end by whoever stops it, or behind it; whoever stopped it waits for that."""
P = TypeVar("P", bound="Preview[object]", covariant=True)
D = TypeVar("D", covariant=True)
D_contra = TypeVar("D_contra", contravariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """Who ordered a deed, and why."""

    actor: Actor
    reason: str | None = None

    @property
    def note(self) -> str:
        """The reason in words; empty if none was asked for."""
        return self.reason or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A deed before it is done, as the journal records it."""

    act: Act
    count: int  # of what would be changed
    may_be_empty: bool = False  # doing nothing is a deed too
    nothing: str = "there is nothing to do"  # said where the count is 0
    where: Mapping[str, object] = field(default_factory=dict)  # and this with it
    system: str | None = None
    stream: str | None = None
    subject_digest: str | None = None
    refusal: BusError | None = None  # why it may not be done; told once the look-up is recorded


class Preview(Protocol[D]):
    """What an action would do; nothing has been done yet."""

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        ...

    async def perform(self, session: Session, order: Order) -> D:
        """Do it. Only :func:`perform` calls this, after it has recorded the deed."""
        ...


class TriedPreview(Preview[D], Protocol[D]):
    """One that says in the same words what it would come to."""

    async def tried(self, session: Session, order: Order) -> D:
        """What would be done, by whom and why; nothing is."""
        ...


@runtime_checkable
class LooksUp(Protocol):
    """What a preview has that shows persons, or what was said of them."""

    @property
    def looked_up(self) -> Planned:
        """What looking at it alone comes to."""
        ...


@runtime_checkable
class Counts(Protocol[D_contra]):
    """A preview whose count is known only after it is done."""

    def counted(self, done: D_contra) -> int:
        """How many things *done* changed."""
        ...


@runtime_checkable
class TakesAWhile(Protocol):
    """What a preview has that may be cut off on its way (:data:`~bus.model.deed.CUT_OFF`)."""

    def so_far(self) -> int:
        """Of how many it is by now, at least."""
        ...


class Action(Protocol[P]):
    """Something that an operator wants to do."""

    async def plan(self, session: Session) -> P:
        """The preview of the action."""
        ...


async def plan(session: Session, action: Action[P], *, is_dry: bool = False) -> P:
    """What *action* would do. Who cannot record a deed is refused before anything is opened; what
    *is_dry* is none.

    Raises:
        KeysUnusable, KeysUnavailable: There are no keys that prove a deed.
        UnknownName: What it names is not there.
        ConfigurationError: It cannot be done.
        Unavailable: Something does not answer.
    """
    if not is_dry:
        await session.insist_on_proofs()
    return await action.plan(session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Whether what was planned is wanted, once it was shown."""

    is_dry: bool  # it is only to be looked at
    is_sure: bool  # nobody is to be asked
    ask: Callable[[], Awaitable[bool]]


async def carry_out(
    session: Session, action: Action[TriedPreview[T]], order: Order, *, is_dry: bool
) -> T:
    """Plan *action* and do it; or, *is_dry*, say what it would come to. Whom that shows is recorded
    before it is told.

    Raises:
        NothingChanged: There is nothing to do.
        BusError: As :func:`plan` and :func:`perform`.
    """
    preview = await plan(session, action, is_dry=is_dry)
    if is_dry:
        await _looked(session, preview, order)
        return await preview.tried(session, order)
    return await perform(session, preview, order.actor, order.reason)


async def with_consent(
    session: Session,
    preview: Preview[T],
    order: Order,
    consent: Consent,
    show: Callable[[], None],
) -> T | None:
    """Show what would be done; do it where there is anything to do and it is wanted. None: it was
    only looked at.

    Nothing that shows persons is shown before that is recorded: as a look-up where somebody is
    asked, or nothing is to be done; as the deed itself where it is done unasked.

    Raises:
        BusError: As :func:`perform`.
    """
    planned = preview.planned
    is_wanted = not consent.is_dry and planned.refusal is None and planned.count > 0
    if is_wanted and consent.is_sure:
        return await _recorded_and_done(session, preview, order, show)
    await _looked(session, preview, order)
    show()
    if is_wanted and await consent.ask():
        return await perform(session, preview, order.actor, order.reason)
    return None


async def _looked(session: Session, preview: Preview[T], order: Order) -> None:
    """Record that somebody looks; raise why it may not be done, which tells something as well."""
    if isinstance(preview, LooksUp):
        await record(session, preview.looked_up, order)
    if preview.planned.refusal is not None:
        raise preview.planned.refusal


async def perform(session: Session, preview: Preview[T], actor: Actor, reason: str | None) -> T:
    """Record *preview* as a deed of *actor*, then do it.

    A deed whose count is known only afterwards (:data:`~bus.model.deed.ENDS`) is recorded again at
    its end.

    Raises:
        NothingChanged: There is nothing to do.
        BusError: It may not be done; that somebody looked is recorded before that is told.
        Unavailable: Something does not answer; it may have been done in part.
    """
    return await _recorded_and_done(session, preview, Order(actor, reason), lambda: None)


async def _recorded_and_done(
    session: Session, preview: Preview[T], order: Order, show: Callable[[], None]
) -> T:
    planned = preview.planned
    if planned.refusal is not None:
        await _looked(session, preview, order)
    insist(planned)
    await record(session, planned, order)
    try:
        show()
        done = await preview.perform(session, order)
    except BaseException:
        await _cut_off(session, preview, order)
        raise
    if isinstance(preview, Counts):
        ended = replace(planned, act=ENDS[planned.act], count=preview.counted(done))
        await _to_its_end(record(session, ended, order))
    return done


async def _to_its_end(recording: Coroutine[object, object, None]) -> None:
    """Record what was done also where somebody stops it meanwhile: it was done."""
    task = asyncio.ensure_future(recording)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(BusError, TimeoutError):
            async with asyncio.timeout(CUT_OFF_WITHIN_S):
                await task
        raise


async def _cut_off(session: Session, preview: Preview[object], order: Order) -> None:
    """Record that it ended before its end; where that cannot be, `ledger verify` says so."""
    if isinstance(preview, TakesAWhile):
        planned = preview.planned
        cut_off = replace(planned, act=CUT_OFF[planned.act], count=preview.so_far())
        with suppress(BusError, TimeoutError):
            async with asyncio.timeout(CUT_OFF_WITHIN_S):
                await record(session, cut_off, order)


def insist(planned: Planned) -> None:
    """Refuse a deed that would change nothing.

    Raises:
        NothingChanged: There is nothing.
    """
    if not planned.count and not planned.may_be_empty:
        raise NothingChanged(f"nothing was changed: {planned.nothing}", **planned.where)


async def record(session: Session, planned: Planned, order: Order) -> None:
    """Record what is about to be done, or that somebody is looked up; acknowledged.

    Raises:
        ConfigurationError: The journal's topic does not exist.
        Unavailable: Broker or registry does not answer.
    """
    deed = Deed(
        act=planned.act,
        at=datetime.now(UTC),
        actor=order.actor.name,
        account=order.actor.account,
        system=planned.system,
        stream=planned.stream,
        subject_digest=planned.subject_digest,
        count=planned.count,
        reason=order.reason,
    )
    await (await session.journal()).record(deed)


def digest_of(session: Session, municipality: str, number: str) -> str:
    """The digest by which the journal knows a person.

    Without a key of erasures nobody is looked up: the record could not say whom.

    Raises:
        ConfigurationError: No key is set.
        SettingsRefused: The key's file cannot be used.
    """
    return subject_digest(erasure_key(session.settings), municipality, number)
