"""The protection fence: who is under protection, as far as the log says by now.

Whoever appends an event after ``protection.started`` was appended must find it masked, whichever
stream and publisher. So a lane that has fetched events with a location waits for
:meth:`Fence.catch_up`, which asks for the end of ``linkage.protection`` after the call and reads
up to there; only then are the events masked. Order in the log decides, no clocks.

In doubt a subject is protected: an event of the protection stream that cannot be read, or is of
another schema, protects the subject that its key names. An erased subject is forgotten.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from bus.broker import Broker, Fetched
from bus.catalog.reading import Reads, read_what_can_be
from bus.deliver.run import subject_of
from bus.deliver.tail import Tail
from bus.errors import SchemaMismatch
from bus.model import Stream
from bus.policy import protected_from

ENDED = "ENDED"


class Fence:
    """The subjects under protection (支援措置), kept from the stream *protection*."""

    def __init__(self, broker: Broker, stream: Stream, reader: Reads) -> None:
        self._reader = reader
        self._tail = Tail(broker, stream.topic, self._take)
        self._subjects: set[str] = set()
        self._keys: pa.StringArray | None = None

    async def start(self) -> None:
        """Learn everything that the stream holds.

        Raises:
            ConfigurationError: The topic does not exist.
            Unavailable: Broker or registry does not answer.
        """
        await self._tail.start()

    async def catch_up(self) -> None:
        """Return once everything that was appended before this call is known.

        Raises:
            Unavailable: Broker or registry does not answer; nothing may be let through.
        """
        await self._tail.catch_up()

    def protected(self, records: pa.RecordBatch) -> pa.BooleanArray:
        """Per row, whether its subject is under protection."""
        if not self._subjects:
            return pa.array([False] * records.num_rows, pa.bool_())
        if self._keys is None:
            self._keys = pa.array(sorted(self._subjects), pa.string())
        found: pa.BooleanArray = protected_from(records, self._keys)
        return found

    async def close(self) -> None:
        """Let go of the stream; safe to call twice."""
        await self._tail.close()

    async def _take(self, fetched: Fetched) -> None:
        values = [value for value in fetched.values if value is not None]
        readable = await read_what_can_be(self._reader, values, refuse=(SchemaMismatch,))
        by_value = iter(self._said(readable.records) if readable.records is not None else ())
        unreadable = dict(readable.refused)
        index = 0
        for key, value in zip(fetched.keys, fetched.values, strict=True):
            if value is None:
                self._subjects.discard(subject_of(key))
                continue
            if index in unreadable:
                self._subjects.add(subject_of(key))
            else:
                subject, is_protected = next(by_value)
                (self._subjects.add if is_protected else self._subjects.discard)(subject)
            index += 1
        self._keys = None

    @staticmethod
    def _said(records: pa.RecordBatch) -> list[tuple[str, bool]]:
        header = records.column("header")
        subjects = zip(
            pc.struct_field(header, "municipality_code").to_pylist(),
            pc.struct_field(header, "subject_id").to_pylist(),
            strict=True,
        )
        status = records.column("status").to_pylist()
        return [
            (f"{municipality}/{subject}", held != ENDED)
            for (municipality, subject), held in zip(subjects, status, strict=True)
        ]
