"""Record each view, with its ground, in the stream *view*: what receipts' fingerprints mean.

A receipt names the view by its fingerprint. A lane has the view recorded, acknowledged, before it
applies anything under it, so that no receipt can name a view that nobody recorded. The stream is
compacted and its key is the fingerprint: two processes that record the same view at once say the
same thing twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bus.broker import Broker, Fetched
from bus.catalog.decoding import BatchReader
from bus.log.internal import InternalTopic, rows_of
from bus.log.tail import Follower
from bus.model import Stream, View


class Views(Follower):
    """The views that this process has recorded, or has looked for in the stream."""

    def __init__(
        self, broker: Broker, topic: InternalTopic, stream: Stream, reader: BatchReader
    ) -> None:
        super().__init__(broker, stream)
        self._topic = topic
        self._reader = reader
        self._recorded: set[str] = set()
        self._turn = asyncio.Lock()

    async def record(self, view: View) -> None:
        """Return once *view* is in the stream; asks the broker once per view and process.

        A view without a ground is the bus's own: nothing is provided under it, nothing recorded.

        Raises:
            Unavailable: Broker or registry does not answer; nothing may be applied under it.
        """
        if view.ground is None or view.fingerprint in self._recorded:
            return
        async with self._turn:
            if view.fingerprint not in self._recorded:
                await self.catch_up()
            if view.fingerprint not in self._recorded:
                await self._topic.append([view.fingerprint], [row_of(view)])
                self._recorded.add(view.fingerprint)

    async def _take(self, fetched: Fetched) -> None:
        for _, row in await rows_of(self._reader, fetched):
            self._recorded.add(str(row["fingerprint"]))


def row_of(view: View) -> dict[str, Any]:
    """A view as a row of the stream. The view must have a ground."""
    ground = view.ground
    if ground is None:
        raise ValueError("a view without a ground is not recorded")
    return {
        "fingerprint": view.fingerprint,
        "system": view.system,
        "system_ja": view.system_ja,
        "stream": view.stream,
        "stream_ja": view.stream_ja,
        "schema_version": view.schema_version,
        "columns": [
            {
                "name": column.name,
                "path": column.path,
                "ja": column.ja,
                "sensitivity": column.sensitivity.value,
                "mask": "" if column.mask is None else str(column.mask),
            }
            for column in view.columns
        ],
        "event_types": sorted(view.event_types),
        "conditions": [str(condition) for condition in view.conditions],
        "suppression": view.suppression.value,
        "mode": view.mode.value,
        "legal_basis": ground.legal_basis,
        "number_use": ground.number_use,
        "purpose": ground.purpose,
        "approver": ground.approver,
        "approved_on": ground.approved_on,
        "expires_on": ground.expires_on,
        "statement": view.statement,
    }
