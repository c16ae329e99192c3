"""How each source of the roster is put through the shared suite: a line each in ``SOURCE_RIGS``."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from bus.connect.source import Source
from connectors.jsonlines.source import LinesSource, LoadProgress, RefusedLine
from connectors.memory.source import MemoryBox, MemorySource
from connectors.outbox.source import OutboxSource, OutboxTimes
from connectors.outbox.upkeep import refused
from tests.support.sources.spool import SpoolSource


class MemoryRig:
    """Sources over one box in memory."""

    def __init__(self) -> None:
        self.box = MemoryBox()

    def source(self) -> Source:
        return MemorySource(self.box)

    async def put(self, changes: Sequence[dict[str, Any]]) -> None:
        for change in changes:
            self.box.put(json.dumps(change, ensure_ascii=False).encode())

    async def waiting(self) -> int:
        return len(self.box.waiting)

    async def refused(self) -> list[list[str]]:
        return [sorted(each.codes) for each in self.box.refused]

    async def usurp(self) -> None:
        self.box.term = object()

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        self.box.is_away = True
        yield
        self.box.is_away = False


class LinesRig:
    """Sources over one file; a restart goes on where the one before said it was."""

    def __init__(self) -> None:
        self._content = b""
        self._reached = (0, 0)
        self._refused: list[RefusedLine] = []
        self._file = io.BytesIO()

    def source(self) -> Source:
        lines, offset = self._reached
        self._file = io.BytesIO(self._content)
        self._file.seek(offset)
        progress = LoadProgress(lines=lines, offset=offset)
        return LinesSource(
            self._file, progress, refused=self._refused.append, advanced=self._advanced
        )

    def _advanced(self, progress: LoadProgress) -> None:
        self._reached = (progress.lines, progress.offset)

    async def put(self, changes: Sequence[dict[str, Any]]) -> None:
        added = b"".join(
            json.dumps(change, ensure_ascii=False).encode() + b"\n" for change in changes
        )
        self._content += added
        at = self._file.tell()
        self._file.seek(0, io.SEEK_END)
        self._file.write(added)
        self._file.seek(at)

    async def waiting(self) -> int:
        return self._content[self._reached[1] :].count(b"\n")

    async def refused(self) -> list[list[str]]:
        return [[fault.code for fault in line.faults] for line in self._refused]


class OutboxRig:
    """Sources over an installed outbox in a database of its own."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def source(self) -> Source:
        keeping = OutboxTimes(
            lease=timedelta(seconds=2),
            send_within=timedelta(milliseconds=500),
            stand_by=timedelta(milliseconds=20),
        )
        return OutboxSource("resident_registry", self.uri, holder="here", keeping=keeping)

    async def put(self, changes: Sequence[dict[str, Any]]) -> None:
        async with await psycopg.AsyncConnection.connect(self.uri) as session:
            for change in changes:
                await session.execute("SELECT renkei.publish_change(%s)", [Jsonb(change)])

    async def waiting(self) -> int:
        async with await psycopg.AsyncConnection.connect(self.uri) as session:
            cursor = await session.execute(
                "SELECT count(*) FROM renkei.outbox WHERE sent_at IS NULL"
            )
            row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def refused(self) -> list[list[str]]:
        found = await refused("resident_registry", self.uri)
        return [[reason["code"] for reason in one.reasons] for one in found]

    async def usurp(self) -> None:
        async with await psycopg.AsyncConnection.connect(self.uri) as session:
            await session.execute(
                "UPDATE renkei.relay_lease SET holder = 'somebody',"
                " expires_at = clock_timestamp() + interval '1 hour'"
            )

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Nobody may connect but superusers' sessions that are there: by a limit of none."""
        name = psycopg.conninfo.conninfo_to_dict(self.uri)["dbname"]
        admin = psycopg.conninfo.make_conninfo(self.uri, dbname="postgres")
        allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
        async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as session:
            await session.execute(allow.format(sql.Identifier(str(name)), sql.SQL("false")))
            await session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            try:
                yield
            finally:
                await session.execute(allow.format(sql.Identifier(str(name)), sql.SQL("true")))


class SpoolRig:
    """Sources over one folder; see :mod:`tests.support.sources.spool`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = 0

    def source(self) -> Source:
        return SpoolSource("resident_registry", self._folder)

    async def put(self, changes: Sequence[dict[str, Any]]) -> None:
        for change in changes:
            self._last += 1
            text = json.dumps(change, ensure_ascii=False).encode()
            draft = self._folder / f"{self._last}.draft"
            draft.write_bytes(text)
            draft.rename(draft.with_suffix(".json"))

    async def waiting(self) -> int:
        return len(list(self._folder.glob("*.json")))

    async def refused(self) -> list[list[str]]:
        files = sorted(self._folder.glob("*.why"), key=lambda file: int(file.stem))
        return [[reason["code"] for reason in json.loads(f.read_text())] for f in files]


SOURCE_RIGS = {
    "jsonlines": "tests.conformance.source_rigs:LinesRig",
    "memory": "tests.conformance.source_rigs:MemoryRig",
    "outbox": "tests.conformance.source_rigs:OutboxRig",
}
