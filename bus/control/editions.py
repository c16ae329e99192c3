"""The editions of subscriptions that were put in force (連携定義の版), read from their stream.

The compacted stream *subscription* holds, under a system's name, the text that was applied last.
``renkei subscriptions apply`` appends; every delivering process follows the stream, so that an
edition reaches it within about a second wherever it runs, and one that starts finds it there.

A system's editions are counted. Of two with the same number the one that was appended first is in
force and the other is passed over by everybody; whoever appended the other is told so. What cannot
be read, or does not have the digest that it names, takes its system out until a good one follows:
what the system may have is not known then. The others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import structlog

from bus.broker import Broker, Fetched
from bus.catalog.decoding import BatchReader, read_what_can_be
from bus.errors import (
    BusError,
    ConfigurationError,
    EditionOvertaken,
    EventInvalid,
    SchemaMismatch,
)
from bus.log.internal import InternalTopic
from bus.log.tail import Follower
from bus.model import OF_THE_FILES, Edition, Stream, digest_of

_log = structlog.get_logger("renkei.deliver")
Listener = Callable[[], None]
Newest = Edition | BusError
"""What the stream says of a system: its newest edition, or why that cannot be used."""


class Editions(Follower):
    """The newest edition of every system that has one."""

    def __init__(
        self, broker: Broker, topic: InternalTopic, stream: Stream, reader: BatchReader
    ) -> None:
        super().__init__(broker, stream)
        self._topic = topic
        self._reader = reader
        self._newest: dict[str, Newest] = {}
        self._sequences: dict[str, int] = {}
        self._listeners: dict[str, Listener] = {}

    @property
    def newest(self) -> Mapping[str, Newest]:
        """System -> its newest edition, or the error for which that cannot be used."""
        return self._newest

    def sequence(self, system: str) -> int:
        """The number of the system's newest edition; 0 if its file holds."""
        return self._sequences.get(system, OF_THE_FILES)

    def listen(self, system: str, listener: Listener) -> None:
        """Have *listener* called after each edition of *system* from now on."""
        self._listeners[system] = listener

    async def apply(self, edition: Edition) -> None:
        """Put *edition* in force; every process knows of it within about a second.

        Raises:
            EditionOvertaken: Somebody else applied one of this system meanwhile; theirs holds.
            Unavailable: Broker or registry does not answer; it may have been appended.
        """
        await self.catch_up()
        if self.sequence(edition.system) < edition.sequence:
            await self._topic.append([edition.system], [asdict(edition)])
            await self.catch_up()
        if self._newest.get(edition.system) != edition:
            raise EditionOvertaken(
                "somebody else applied an edition of this subscription meanwhile; yours is not in"
                " force: look at the difference again",
                system=edition.system,
                edition=edition.sequence,
            )

    async def _take(self, fetched: Fetched) -> None:
        readable = await read_what_can_be(
            self._reader,
            [value for value in fetched.values if value is not None],
            refuse=(SchemaMismatch,),
        )
        rows = iter(readable.records.to_pylist() if readable.records is not None else ())
        refused = dict(readable.refused)
        index = 0
        for key, value, offset in zip(fetched.keys, fetched.values, fetched.offsets, strict=True):
            system = (key or b"").decode("utf-8", "replace")
            where = {"system": system, "partition": fetched.partition, "offset": offset}
            if value is None:
                self._put(system, EventInvalid("an edition was erased", **where))
                continue
            found: Newest
            if index in refused:
                found = refused[index]
                found.where |= where
            else:
                found = _edition(next(rows), where)
            index += 1
            self._put(system, found)

    def _put(self, system: str, found: Newest) -> None:
        known = self._sequences.get(system, OF_THE_FILES)
        if isinstance(found, Edition):
            if found.sequence <= known:
                _log.warning("edition-passed-over", system=system, edition=found.sequence)
                return
            self._sequences[system] = found.sequence
        else:
            _log.error("edition-unreadable", code=found.code, system=system)
        self._newest[system] = found
        if (listener := self._listeners.get(system)) is not None:
            listener()


def _edition(row: dict[str, Any], where: Mapping[str, Any]) -> Newest:
    edition = Edition(**row)
    if edition.system != where["system"]:
        return ConfigurationError("an edition is under another system's name", **where)
    if digest_of(edition.text) != edition.digest:
        return ConfigurationError("an edition has not the digest that it names", **where)
    return edition
