"""Deeds in two steps: what an action would do, with counts; then it is done, by an actor.

``plan`` changes nothing. ``perform`` refuses where there is nothing to do, records the deed in the
journal, acknowledged by all replicas, and does it then: so nothing is done that nobody did. Whom
somebody looks up is recorded in the same place before the answer is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar, runtime_checkable

from bus.credentials import erasure_key
from bus.errors import BusError, NothingChanged
from bus.model.deed import CUT_OFF, ENDS, Act, Deed
from bus.model.erasure import subject_digest
from bus.operate.actor import Actor
from bus.operate.session import Session

CUT_OFF_WITHIN_S = 10.0
"""For the record of an end that nobody wanted; whoever stopped it waits for that."""
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


class Preview(Protocol[D]):
    """What an action would do; nothing has been done yet."""

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it."""
        ...

    async def perform(self, session: Session, order: Order) -> D:
        """Do it. Only :func:`perform` calls this, after it has recorded the deed."""
        ...


@runtime_checkable
class Counts(Protocol[D_contra]):
    """A preview whose count is known only after it is done."""

    def counted(self, done: D_contra) -> int:
        """How many things *done* changed."""
        ...

    def so_far(self) -> int:
        """Of how many it is by now, at least."""
        ...


class Action(Protocol[P]):
    """Something that an operator wants to do."""

    async def plan(self, session: Session) -> P:
        """The preview of the action."""
        ...


async def plan(session: Session, action: Action[P]) -> P:
    """What *action* would do. Who cannot record a deed is refused before anything is opened.

    Raises:
        KeysUnusable, KeysUnavailable: There are no keys that prove a deed.
        UnknownName: What it names is not there.
        ConfigurationError: It cannot be done.
        Unavailable: Something does not answer.
    """
    await session.insist_on_proofs()
    return await action.plan(session)


async def perform(session: Session, preview: Preview[T], actor: Actor, reason: str | None) -> T:
    """Record *preview* as a deed of *actor*, then do it.

    A deed whose count is known only afterwards (:data:`~bus.model.deed.ENDS`) is recorded again at
    its end.

    Raises:
        NothingChanged: There is nothing to do.
        Unavailable: Something does not answer; it may have been done in part.
    """
    planned, order = preview.planned, Order(actor, reason)
    insist(planned)
    await record(session, planned, order)
    if not isinstance(preview, Counts):
        return await preview.perform(session, order)
    try:
        done = await preview.perform(session, order)
    except BaseException:
        cut_off = replace(planned, act=CUT_OFF[planned.act], count=preview.so_far())
        with suppress(BusError, TimeoutError):  # then `ledger verify` says that there is no end
            async with asyncio.timeout(CUT_OFF_WITHIN_S):
                await record(session, cut_off, order)
        raise
    await record(
        session, replace(planned, act=ENDS[planned.act], count=preview.counted(done)), order
    )
    return done


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
