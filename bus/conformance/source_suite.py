"""What a source must do, as tests: the contract of ``bus.connect.source``, a part for each
capability.

Give a test class a fixture ``rig`` that yields a :class:`SourceRig`: how to make sources over one
store, how to put changes in, and how to read back what waits and what was refused. Have it inherit
what :func:`parts_of` names for what the connector declares: a capability that is declared and not
kept fails, and nothing is asked of one that is not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol

import pytest

from bus.conformance.corpus import HOSTILE_TEXT
from bus.connect.source import Limits, Published, Refusal, Source, SourceCapabilities, Taken, Term
from bus.errors import LeaseLost, SourceUnavailable
from bus.model import Change, Fault

LIMITS = Limits(changes=100, bytes=1_000_000, change_bytes=100_000)
SHORTLY = timedelta(milliseconds=50)
LONG = 10.0  # seconds: what takes longer hangs
CITY = "131016"


class SourceRig(Protocol):
    """What a connector's author supplies. All sources of one rig have the same, empty store."""

    def source(self) -> Source:
        """A new source over the rig's store, as after a restart of the process."""

    async def put(self, changes: Sequence[dict[str, Any]]) -> None:
        """Have changes wait, in this order, as a core system does."""

    async def waiting(self) -> int:
        """How many changes wait."""

    async def refused(self) -> list[list[str]]:
        """The codes of the reasons of what was refused, in order of places."""


class ExclusiveRig(SourceRig, Protocol):
    """The rig of a connector that declares *exclusive*."""

    async def usurp(self) -> None:
        """Give the right to publish to another holder, as if the term had run out."""


class RemoteRig(SourceRig, Protocol):
    """The rig of a connector that declares *remote*."""

    def cut(self) -> AbstractAsyncContextManager[None]:
        """Have the store out of reach inside the block, and open connections broken."""


def change(subject: int, version: int = 1, **body: Any) -> dict[str, Any]:
    """A change of one record, as a core system writes it."""
    return {
        "change_id": f"019d4be0-0000-7abc-8def-{subject:06d}{version:06d}",
        "municipality_code": CITY,
        "source": "resident_registry",
        "processed_at": "2026-04-01T09:00:00+09:00",
        "records": [
            {
                "stream": "resident",
                "event_type": "resident.moved_in",
                "subject_id": f"{subject:015d}",
                "version": version,
                "body": body,
            }
        ],
    }


def read(taken: Sequence[Taken]) -> list[Change]:
    """The changes that were taken, all of which must have a text."""
    assert all(each.text is not None for each in taken), [each.fault for each in taken]
    return [Change.model_validate_json(each.text or b"") for each in taken]


def named(changes: Sequence[Change]) -> list[tuple[int, int]]:
    """The subject and version of each change."""
    return [(int(one.records[0].subject_id), one.records[0].version) for one in changes]


def published(taken: Sequence[Taken]) -> list[Published]:
    """What was taken as Published, as a runner settles it."""
    return [Published(t.place, c) for t, c in zip(taken, read(taken), strict=True)]


def refusal(place: int, code: str = "code-list") -> Refusal:
    """What was taken as a Refusal, as a runner settles it."""
    return Refusal(place, [Fault(code=code, expected="a known code", record=0, field="sex")])


@asynccontextmanager
async def leading(source: Source) -> AsyncIterator[Term]:
    """A term; fails if it cannot be had in time."""
    async with asyncio.timeout(LONG):
        entered = source.term()
        term = await entered.__aenter__()
    try:
        yield term
    finally:
        await entered.__aexit__(None, None, None)


async def take_all(source: Source, limits: Limits = LIMITS) -> list[Taken]:
    """Take everything that waits, and settle it as published, batch by batch."""
    found: list[Taken] = []
    async with asyncio.timeout(LONG):
        while taken := await source.take(limits):
            found += taken
            await source.settle(published(taken), [])
    return found


class SourceSuite:
    """What every source does."""

    def test_it_is_asked_what_it_declares(self, rig: SourceRig) -> None:
        """The test class inherits the parts of its capabilities, and no others."""
        ran = frozenset(part for part in PARTS if isinstance(self, part))

        assert ran == parts_of(rig.source().capabilities)

    async def test_hands_over_in_order(self, rig: SourceRig) -> None:
        """Changes come in the order in which they were written."""
        made = [change(1), change(2), change(1, 2), change(1, 3), change(2, 2)]
        await rig.put(made)

        source = rig.source()
        async with leading(source):
            taken = await source.take(LIMITS)

        assert named(read(taken)) == [(1, 1), (2, 1), (1, 2), (1, 3), (2, 2)]
        assert [json.loads(each.text or b"") for each in taken] == made
        assert [each.place for each in taken] == sorted({each.place for each in taken})
        assert source.name

    async def test_nothing_is_nothing(self, rig: SourceRig) -> None:
        """An empty store gives nothing, and settling nothing is no error."""
        source = rig.source()
        async with leading(source):
            assert list(await source.take(LIMITS)) == []
            await source.settle([], [])

    @pytest.mark.parametrize("name", sorted(HOSTILE_TEXT))
    async def test_text_comes_through(self, rig: SourceRig, name: str) -> None:
        """The text of a change is handed over unchanged."""
        await rig.put([change(1, note=HOSTILE_TEXT[name])])

        source = rig.source()
        async with leading(source):
            (one,) = read(await source.take(LIMITS))

        assert one.records[0].body == {"note": HOSTILE_TEXT[name]}

    async def test_batches_are_bounded_in_number(self, rig: SourceRig) -> None:
        """A batch has at most so many changes; the rest comes with the next."""
        await rig.put([change(subject) for subject in range(7)])
        three = Limits(changes=3, bytes=1_000_000, change_bytes=100_000)

        source = rig.source()
        sizes = []
        async with leading(source):
            while taken := await source.take(three):
                sizes.append(len(taken))
                await source.settle(published(taken), [])

        assert sizes == [3, 3, 1]
        assert await rig.waiting() == 0

    async def test_batches_are_bounded_in_bytes(self, rig: SourceRig) -> None:
        """A batch is over the bound by at most one change, so that there is always one."""
        await rig.put([change(subject, note="x" * 2_000) for subject in range(6)])
        few = Limits(changes=100, bytes=5_000, change_bytes=100_000)
        tiny = Limits(changes=100, bytes=1, change_bytes=100_000)

        source = rig.source()
        async with leading(source):
            first = await source.take(few)
            await source.settle(published(first), [])
            second = await source.take(tiny)
            await source.settle(published(second), [])

        assert 2 <= len(first) <= 3
        assert len(second) == 1

    async def test_what_is_too_large_is_not_read(self, rig: SourceRig) -> None:
        """It comes as a fault in its place and can be refused; the others come unchanged."""
        await rig.put([change(1), change(2, note="x" * 200_000), change(3)])

        source = rig.source()
        async with leading(source):
            one, large, three = await source.take(LIMITS)
            assert large.text is None
            assert large.fault is not None
            assert large.fault.code == "too-large"
            await source.settle(published([one, three]), [refusal(large.place, "too-large")])
            assert list(await source.take(LIMITS)) == []

        assert await rig.refused() == [["too-large"]]

    async def test_what_is_not_settled_comes_again(self, rig: SourceRig) -> None:
        """In the same term and after a crash: nothing is lost between sending and settling."""
        await rig.put([change(1), change(2)])
        source = rig.source()
        async with leading(source):
            first = await source.take(LIMITS)
            assert await source.take(LIMITS) == first
            await source.settle([], [])

        again = rig.source()
        async with leading(again):
            assert named(read(await again.take(LIMITS))) == [(1, 1), (2, 1)]

    async def test_what_is_settled_does_not(self, rig: SourceRig) -> None:
        """What is settled, published or refused, does not come again, also not after a restart."""
        await rig.put([change(1), change(2), change(3)])
        source = rig.source()
        async with leading(source):
            one, two, three = await source.take(LIMITS)
            await source.settle(published([one, three]), [refusal(two.place)])
            await source.settle(published([one, three]), [refusal(two.place)])
            assert list(await source.take(LIMITS)) == []
        await rig.put([change(4)])

        again = rig.source()
        async with leading(again):
            assert named(read(await again.take(LIMITS))) == [(4, 1)]
        assert await rig.refused() == [["code-list"]]

    async def test_what_is_put_in_later_comes_later(self, rig: SourceRig) -> None:
        """Changes may be written while others are published."""
        await rig.put([change(1)])
        source = rig.source()
        async with leading(source):
            first = await take_all(source)
            await rig.put([change(1, 2), change(2)])
            then = await take_all(source)

        assert named(read([*first, *then])) == [(1, 1), (1, 2), (2, 1)]

    async def test_a_term_is_kept(self, rig: SourceRig) -> None:
        """Keeping a term does not return, and its guard lets sends pass."""
        source = rig.source()
        async with leading(source) as term:
            keeping = asyncio.create_task(term.keep())
            await asyncio.wait({keeping}, timeout=SHORTLY.total_seconds())
            term.guard()
            assert not keeping.done()
            keeping.cancel()
            await asyncio.wait({keeping})


class FiniteSuite:
    """For a source that comes to an end."""

    async def test_its_end_is_said(self, rig: SourceRig) -> None:
        """Waiting returns at once that the source has ended, once everything was handed over."""
        await rig.put([change(1), change(2)])
        one = Limits(changes=1, bytes=1_000_000, change_bytes=100_000)
        source = rig.source()
        async with leading(source):
            first = await source.take(one)
            await source.settle(published(first), [])
            async with asyncio.timeout(LONG):
                assert await source.wait(timedelta(hours=1))
            assert named(read(await take_all(source))) == [(2, 1)]
            async with asyncio.timeout(LONG):
                assert not await source.wait(timedelta(hours=1))


class EndlessSuite:
    """For a source that declares *endless*."""

    async def test_waiting_ends(self, rig: SourceRig) -> None:
        """Waiting ends after its time, or as soon as something comes."""
        source = rig.source()
        async with leading(source) as term:
            keeping = asyncio.create_task(term.keep())
            assert list(await source.take(LIMITS)) == []
            async with asyncio.timeout(LONG):
                assert await source.wait(SHORTLY)
            waiting = asyncio.create_task(source.wait(timedelta(hours=1)))
            await rig.put([change(1)])
            async with asyncio.timeout(LONG):
                assert await waiting
            assert named(read(await source.take(LIMITS))) == [(1, 1)]
            keeping.cancel()
            await asyncio.wait({keeping})

    async def test_a_wait_can_be_ended(self, rig: SourceRig) -> None:
        """Waiting can be cancelled by whoever stops."""
        source = rig.source()
        async with leading(source):
            await source.take(LIMITS)
            waiting = asyncio.create_task(source.wait(timedelta(hours=1)))
            await asyncio.sleep(0)
            waiting.cancel()
            async with asyncio.timeout(LONG):
                await asyncio.wait({waiting})
            assert waiting.cancelled()
            await rig.put([change(1)])
            assert len(await take_all(source)) == 1


class ExclusiveSuite:
    """For a source that declares *exclusive*."""

    async def test_one_at_a_time(self, rig: ExclusiveRig) -> None:
        """A second process waits, and has the term at once when the first has ended it."""
        first, second = rig.source(), rig.source()
        entered = second.term()
        async with leading(first):
            following = asyncio.create_task(entered.__aenter__())
            await asyncio.wait({following}, timeout=SHORTLY.total_seconds())
            assert not following.done()
        async with asyncio.timeout(LONG):
            term = await following
        term.guard()
        await entered.__aexit__(None, None, None)

    async def test_whoever_stands_by_can_be_ended(self, rig: ExclusiveRig) -> None:
        """A process that waits for the term can be cancelled, and then blocks nobody."""
        first, second = rig.source(), rig.source()
        async with leading(first):
            standing_by = asyncio.create_task(second.term().__aenter__())
            await asyncio.wait({standing_by}, timeout=SHORTLY.total_seconds())
            standing_by.cancel()
            async with asyncio.timeout(LONG):
                await asyncio.wait({standing_by})
        async with leading(rig.source()) as term:
            term.guard()

    async def test_a_term_that_was_lost_is_shut(self, rig: ExclusiveRig) -> None:
        """Keeping it raises LeaseLost; from then on its guard lets nothing pass."""
        source = rig.source()
        async with leading(source) as term:
            keeping = asyncio.create_task(term.keep())
            await rig.usurp()
            async with asyncio.timeout(LONG):
                await asyncio.wait({keeping})
            assert isinstance(keeping.exception(), LeaseLost)
            with pytest.raises(LeaseLost):
                term.guard()

    async def test_an_abandoned_term_is_not_given_back(self, rig: ExclusiveRig) -> None:
        """Something may be under way: nobody follows at once, whoever abandoned it included."""
        source = rig.source()
        async with leading(source) as term:
            term.abandon()
        following = asyncio.create_task(source.term().__aenter__())
        await asyncio.wait({following}, timeout=4 * SHORTLY.total_seconds())
        assert not following.done()
        following.cancel()
        await asyncio.wait({following})


class HoldsSuite:
    """For a source that declares *holds*."""

    async def test_what_is_held_is_passed_over(self, rig: SourceRig) -> None:
        """It stays, others do not wait for it, and it comes again when it is released."""
        source = rig.source()
        holding = source.capabilities.holds
        assert holding is not None
        await rig.put([change(subject) for subject in range(1, 6)])
        async with leading(source):
            taken = await source.take(LIMITS)
            holding.hold([taken[0].place, taken[2].place])
            await source.settle(published([taken[1]]), [])
            assert named(read(await take_all(source))) == [(4, 1), (5, 1)]
            assert await rig.waiting() == 2
            holding.hold(())
            assert named(read(await source.take(LIMITS))) == [(1, 1), (3, 1)]
            holding.hold([taken[0].place])
        again = rig.source()
        async with leading(again):
            assert named(read(await again.take(LIMITS))) == [(1, 1), (3, 1)]


class RemoteSuite:
    """For a source that declares *remote*."""

    async def test_a_source_that_is_away_says_so(self, rig: RemoteRig) -> None:
        """It raises SourceUnavailable; nothing is lost, and a new term goes on."""
        await rig.put([change(1), change(2)])
        source = rig.source()
        async with leading(source):
            taken = await source.take(LIMITS)
            async with rig.cut():
                with pytest.raises(SourceUnavailable):
                    await source.settle(published(taken), [])
                with pytest.raises(SourceUnavailable):
                    await source.take(LIMITS)
                with pytest.raises(SourceUnavailable):
                    async with leading(rig.source()):
                        pass
        async with leading(source):
            assert named(read(await take_all(source))) == [(1, 1), (2, 1)]


class WatchedSuite:
    """For a source that declares *watched*."""

    async def test_it_is_looked_at_from_outside(self, rig: SourceRig) -> None:
        """Anybody sees how many changes wait or were refused, and whether a process leads."""
        await rig.put([change(1), change(2), change(3)])
        source = rig.source()
        watched = rig.source().capabilities.watched
        assert watched is not None
        watch = watched.watch()
        try:
            before = await watch.look()
            async with leading(source):
                one, two, _ = await source.take(LIMITS)
                await source.settle(published([one]), [refusal(two.place)])
                during = await watch.look()
            after = await watch.look()
        finally:
            await watch.close()
            await watch.close()

        assert before.system == source.name
        assert [
            (s.backlog.pending, s.backlog.refused, s.is_led) for s in (before, during, after)
        ] == [
            (3, 0, False),
            (1, 1, True),
            (1, 1, False),
        ]

    async def test_what_is_let_go_is_looked_at_again(self, rig: SourceRig) -> None:
        """A closed watch opens a new connection with the next look."""
        watched = rig.source().capabilities.watched
        assert watched is not None
        watch = watched.watch()
        await watch.look()
        await watch.close()
        assert (await watch.look()).backlog.pending == 0
        await watch.close()


PARTS: Mapping[type, Callable[[SourceCapabilities], bool]] = {
    SourceSuite: lambda _: True,
    FiniteSuite: lambda declared: not declared.endless,
    EndlessSuite: lambda declared: declared.endless,
    ExclusiveSuite: lambda declared: declared.exclusive,
    HoldsSuite: lambda declared: declared.holds is not None,
    RemoteSuite: lambda declared: declared.remote,
    WatchedSuite: lambda declared: declared.watched is not None,
}
"""The parts of the suite, and who has to pass each."""


def parts_of(declared: SourceCapabilities) -> frozenset[type]:
    """The parts of the suite that a connector has to pass."""
    return frozenset(part for part, is_asked in PARTS.items() if is_asked(declared))
