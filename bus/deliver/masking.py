"""Mask rows again in a store that cannot take locations out itself, when coverage changes.

A store that takes no locations out of what it holds is given the newest event of each covered
subject once more, masked: rows of the version that it has. So is whoever is covered no longer, as
the log has it. Which rows are masked, and as of what, the bus keeps for each lane. When somebody is
newly covered, the lane reads its whole partition, up to where it stands; where coverage has only
ended, it looks at what it masked alone, and reads nothing where that is nothing. Nothing else is
delivered meanwhile, so that no row which was seen before can come after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from bus.connect import StoredLane
from bus.deliver.redelivery import Redelivery
from bus.deliver.rewriting import rewrite
from bus.deliver.rows import Rows
from bus.errors import LaneError, SchemaMismatch
from bus.log.partition import opened
from bus.log.run import Run, split_erasures, subject_of
from bus.model import Reached, Rewrites, knows

Found: TypeAlias = dict[bytes | None, tuple[int, bytes | None]]
"""By key, the newest event and where it is."""
Unread: TypeAlias = dict[bytes | None, tuple[int, Exception]]
"""By key, where the newest event is if it cannot be read, and why."""


class Masking(Redelivery):
    """The rows that one lane has to deliver once more, masked or shown."""

    @property
    def _concerns(self) -> bool:
        sink = self._sink
        is_taken = self._context.view.is_fenced and Rewrites in sink.accepts
        return is_taken and sink.kept_by_bus is not None

    @property
    def _change(self) -> Reached:
        """The newest change of who is covered."""
        return self._fence.changed

    async def _redeliver(self, change: Reached) -> bool:
        """Deliver again, masked or shown, the rows that *change* is about."""
        context = self._context
        kept = await self._retrier.persist(lambda: self._sink.kept(context.place[1]))
        if self._applier.position.offset and not knows(kept.reached, change):
            await self._mask(kept)
        return True

    async def _mask(self, kept: StoredLane) -> None:
        """Bring the store's rows to present coverage; *kept* says how they are."""
        protected = await self._coverage.by_now()  # before the log is read: rows know more
        only = None if protected.newly(kept.reached) else kept.masked
        rows = await self._retrier.persist(lambda: self._rows(kept.masked, only))
        keys = [subject_of(key) for key in rows.keys]
        for error in (await rewrite(self._applier, rows, keys)).values():
            raise LaneError(
                "the store refuses a row that is to be masked, or shown, again",
                **self._context.where,
            ) from error
        await self._applier.move(self._context.no_rows, self._applier.position, protected=protected)
        await self._applier.settle()
        self._context.log.info("coverage-applied", rows=len(rows))

    async def _rows(self, masked: frozenset[str], only: frozenset[str] | None) -> Rows:
        """The newest events of those whose rows are not as they have to be, seen as of now.

        Args:
            masked: Whose rows say that somebody is under protection.
            only: Whose may not be as they have to be; None: anybody's.
        """
        newest = await self._newest(masked, only)
        seen = await self._projector.insist(newest)
        if seen.readable.refused:
            raise LaneError("an event that was read can be read no longer", **self._context.where)
        rows = seen.rows
        flags = self._flags(rows)
        return rows.without(
            [
                flag == (subject_of(key) in masked)
                for key, flag in zip(rows.keys, flags, strict=True)
            ]
        )

    async def _newest(self, masked: frozenset[str], only: frozenset[str] | None) -> Run:
        """The events that the store has of everybody who is covered or in *masked*.

        Raises:
            LaneError: Somebody's newest event can be read no more: nobody knows whether the row
                that the store has of it is to be masked.
        """
        context, end = self._context, self._applier.position.offset
        found, unread = Found(), Unread()
        if only is not None and not only:
            return Run([], [], [])
        async with opened(self._broker, "renkei-masking") as log:
            begin, _ = await log.bounds(context.place)
            async for run in log.runs(context.place, begin, end):
                aside = self._set_aside.within(run.offsets[0], run.end)
                kept = run.picked([n for n, at in enumerate(run.offsets) if at not in aside])
                if only is not None:
                    about = [n for n, key in enumerate(kept.keys) if subject_of(key) in only]
                    kept = kept.picked(about)
                for is_erasure, part in split_erasures(kept) if len(kept) else ():
                    if is_erasure:
                        _forget(part, found, unread)
                    else:
                        await self._look(part, found, unread, masked)
        for at, error in unread.values():
            raise LaneError(
                f"the event at offset {at} can be read no more, and whether its row is to be"
                " masked is not known: have its schema in the registry again, then resume",
                **context.where,
            ) from error
        ordered = sorted((at, key, value) for key, (at, value) in found.items())
        return Run(
            [at for at, _, _ in ordered],
            [key for _, key, _ in ordered],
            [value for _, _, value in ordered],
        )

    async def _look(self, run: Run, found: Found, unread: Unread, masked: frozenset[str]) -> None:
        """Take the wanted events of *run* in place of earlier ones of the same subjects."""
        seen = await self._projector.insist(run, refuse=(SchemaMismatch,))
        rows = seen.rows
        flags = self._flags(rows)
        refused = dict(seen.readable.refused)
        for index, key in enumerate(run.keys):
            unread.pop(key, None)
            if index in refused:
                unread[key] = run.offsets[index], refused[index]
        for key, at, value, flag in zip(rows.keys, rows.offsets, rows.values, flags, strict=True):
            if flag or key in found or subject_of(key) in masked:
                found[key] = (at, value)
        _forget(seen.leaving, found, unread)

    def _flags(self, rows: Rows) -> Sequence[bool]:
        column = self._context.view.flag_column
        if column is None:
            return [False] * len(rows)
        return [bool(flag) for flag in rows.records.column(column).to_pylist()]


def _forget(gone: Run, found: Found, unread: Unread) -> None:
    for key in gone.keys:
        found.pop(key, None)
        unread.pop(key, None)
