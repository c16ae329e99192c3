"""The protection fence: who is under protection, as far as the log says by now.

Whoever appends an event after ``protection.started`` was appended must find it masked, whichever
stream and publisher. So a lane that has fetched events with a location waits for
:meth:`Fence.catch_up`, which asks for the end of ``linkage.protection`` after the call and reads
up to there; only then are the events masked. Order in the log decides, no clocks.

A protection covers its subject, whoever shares the address (``shared_with``) and whoever lives in
the same household. It ends by an event that says so and never by a date: what ``ends_on`` says is
not read. In doubt a subject is protected: an event of the protection stream that cannot be read,
or is of another schema, protects the subject that its key names. An erased subject is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from bus.broker import Broker, Fetched
from bus.catalog.reading import Reads, read_what_can_be
from bus.deliver.run import subject_of
from bus.deliver.tail import Follower
from bus.errors import SchemaMismatch
from bus.model import NumberForm, Protected, Stream
from bus.model.number import AS_SHIPPED
from bus.policy import Search, coverages

NOBODY = Protected()


class Fence(Follower):
    """Everybody under protection (支援措置), kept from the stream *protection*.

    Args:
        form: How the site writes its numbers.
    """

    def __init__(
        self, broker: Broker, stream: Stream, reader: Reads, form: NumberForm = AS_SHIPPED
    ) -> None:
        super().__init__(broker, stream)
        self._reader = reader
        self._form = form
        self._said: dict[str, Protected] = {}  # by the subject of the record
        self._all: Protected | None = NOBODY
        self._search: Search | None = None
        self.released: dict[int, int] = {}
        """By partition: the offset after the last event that protects somebody no longer."""
        self.listeners: set[Callable[[], None]] = set()
        """Called about once a second, for whoever waits for a protection to have ended."""

    async def follow(self) -> None:
        """Catch up, and have those look who wait for a protection to have ended.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        await self.catch_up()
        for listener in list(self.listeners):
            listener()

    async def all_by_now(self) -> Protected:
        """Everybody under protection, once everything appended before this call is known.

        Raises:
            Unavailable: Broker or registry does not answer.
        """
        await self.catch_up()
        return self.everybody

    @property
    def reached(self) -> Mapping[int, int]:
        """Offsets of the stream, by partition, up to which everything is known now."""
        return self._tail.reached

    @property
    def everybody(self) -> Protected:
        """Who is under protection as far as is known now."""
        if self._all is None:
            said = self._said.values()
            self._all = Protected(
                frozenset().union(*(each.persons for each in said)),
                frozenset().union(*(each.households for each in said)),
            )
        return self._all

    def protected(self, records: pa.RecordBatch, located: Sequence[str]) -> pa.BooleanArray:
        """Per row, whether it may say where somebody under protection is.

        Args:
            records: Columns of a stream's newest schema.
            located: Paths to the ids of all persons whose location a record may say.
        """
        if not self._said:
            return pa.repeat(pa.scalar(False), records.num_rows)
        if self._search is None:
            self._search = Search(self.everybody)
        return self._search.rows(records, located)

    async def _take(self, fetched: Fetched) -> None:
        values = [value for value in fetched.values if value is not None]
        readable = await read_what_can_be(self._reader, values, refuse=(SchemaMismatch,))
        records = readable.records
        by_value = iter(() if records is None else coverages(records, self._form))
        unreadable = dict(readable.refused)
        index = 0
        for offset, key, value in zip(fetched.offsets, fetched.keys, fetched.values, strict=True):
            if value is None:
                said = (subject_of(key), NOBODY)
            elif index in unreadable:
                # in doubt whoever was covered before still is
                before = self._said.get(subject_of(key), NOBODY)
                said = (
                    subject_of(key),
                    Protected(before.persons | {subject_of(key)}, before.households),
                )
                index += 1
            else:
                said = next(by_value)
                index += 1
            if self._replace(*said):
                self.released[fetched.partition] = offset + 1
        self._all = self._search = None

    def _replace(self, subject: str, now: Protected) -> bool:
        """Take in what is said of *subject* now; whether it covers somebody no longer."""
        before = self._said.pop(subject, NOBODY)
        if now:
            self._said[subject] = now
        return not (before.persons <= now.persons and before.households <= now.households)
