"""Give rows their locations back from the log, after a protection has ended.

What a store took out, or never got, is not kept anywhere but in the log. When a protection ends,
its system's store writes down which rows may be shown again (:class:`bus.connect.Suppresses`),
and each lane reads the events that those rows hold once more, sees them through its view behind
the fence as it is now, and rewrites them: rows of exactly the version that the store has, so that
nothing that was set aside, dismissed or left out comes in this way. It is a delivery like any
other and has its receipt, that of a retry.

A lane looks when it opens, and when the fence knows of somebody who is covered no longer, which the
system's store has not been seen to know. Others go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bus.broker.partitioner import partition_of
from bus.deliver.redelivery import Redelivery
from bus.deliver.rewriting import rewrite
from bus.deliver.rows import Rows
from bus.errors import SchemaMismatch
from bus.log.readback import read_subjects
from bus.log.run import subject_of
from bus.model import Reached, knows


class Restoring(Redelivery):
    """The rows of one lane that are to have their locations back."""

    @property
    def _concerns(self) -> bool:
        return self._context.view.is_fenced and self._sink.suppresses is not None

    @property
    def _change(self) -> Reached:
        """The newest change by which somebody was released."""
        return self._fence.released

    async def _redeliver(self, change: Reached) -> bool:
        """Restore the rows that the store lists; True once it knows of every release."""
        found = await self._retrier.persist(self._sink.to_restore)
        if mine := await self._mine(found.rows):
            await self._restore(mine)
        return knows(found.reached, change)

    async def _mine(self, rows: Mapping[str, int]) -> Mapping[str, int]:
        """The *rows* whose events are in this lane's partition."""
        if not rows:
            return rows
        topic, partition = self._context.place
        counts = await self._retrier.persist(lambda: self._broker.partitions([topic]))
        keys = list(rows)
        places = partition_of([key.encode() for key in keys], counts[topic])
        return {key: rows[key] for key, at in zip(keys, places, strict=True) if at == partition}

    async def _restore(self, wanted: Mapping[str, int]) -> None:
        """Rewrite the rows *wanted* (key -> version that the store has)."""
        rows = await self._rows(wanted)
        refused = await rewrite(self._applier, rows, list(wanted))
        for error in refused.values():
            self._context.log.error("not-restored", code=error.code)
        self._context.log.info("rows-restored", rows=len(rows) - len(refused))

    async def _rows(self, wanted: Mapping[str, int]) -> Rows:
        """The events of the store's rows, masked as of now."""
        context, end = self._context, self._applier.position.offset
        run = await self._retrier.persist(
            lambda: read_subjects(self._broker, context.place, wanted, end)
        )
        is_open = [
            self._set_aside.at(subject_of(key), offset) is None
            for key, offset in zip(run.keys, run.offsets, strict=True)
        ]
        run = run.picked([index for index, is_it in enumerate(is_open) if is_it])
        rows = (await self._projector.insist(run, refuse=(SchemaMismatch,))).rows
        return rows.without(_others(rows, wanted))


def _others(rows: Rows, wanted: Mapping[str, int]) -> Sequence[bool]:
    """Per row, whether it is another version than the store's, or a repeat of it."""
    seen: set[str] = set()
    others = []
    for key, version in zip(rows.keys, rows.records.column("version").to_pylist(), strict=True):
        subject = subject_of(key)
        is_it = wanted[subject] == version and subject not in seen
        if is_it:
            seen.add(subject)
        others.append(not is_it)
    return others
