"""A source that is a folder: each file in it is a change, in the order of names.

What was published goes; what was refused is moved beside it, with its reasons. Small on purpose: it
is what it takes to write a source that is nothing like a database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bus.connect.source import Limits, Published, Refusal, SoleTerm, SourceCapabilities, Taken
from bus.connect.source_kind import SourceContext
from bus.model import Fault

LOOK_EVERY = 0.02  # seconds


class SpoolSource:
    """See :class:`bus.connect.source.Source`; one process has the folder."""

    by_settings = True

    class Options(BaseModel):
        """Where the folder is."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        folder: Path

    @classmethod
    def of(cls, options: Options, context: SourceContext) -> SpoolSource:
        """See :class:`bus.connect.source_kind.SourceKind`."""
        return cls(context.system, options.folder)

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    @property
    def capabilities(self) -> SourceCapabilities:
        """See the port."""
        return SourceCapabilities(endless=True)

    @asynccontextmanager
    async def term(self) -> AsyncIterator[SoleTerm]:
        """See the port."""
        yield SoleTerm()

    async def take(self, limits: Limits) -> Sequence[Taken]:
        """See the port."""
        found: list[Taken] = []
        held = 0
        for file in self._waiting():
            if len(found) == limits.changes or held >= limits.bytes:
                break
            if file.stat().st_size > limits.change_bytes:
                expected = f"a change of at most {limits.change_bytes} bytes as text"
                found.append(
                    Taken(int(file.stem), None, Fault(code="too-large", expected=expected))
                )
                continue
            found.append(Taken(int(file.stem), file.read_bytes()))
            held += len(found[-1].text or b"")
        return found

    async def settle(self, published: Sequence[Published], refused: Sequence[Refusal]) -> None:
        """See the port."""
        there = {int(file.stem): file for file in self._waiting()}
        for refusal in refused:
            if refusal.place in there:
                there[refusal.place].with_suffix(".why").write_text(refusal.as_json)
                there[refusal.place].rename(there[refusal.place].with_suffix(".refused"))
        for each in published:
            if each.place in there:
                there[each.place].unlink(missing_ok=True)

    async def wait(self, most: timedelta) -> bool:
        """See the port: it looks again, now and then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most.total_seconds()):
                while not self._waiting():  # noqa: ASYNC110 - a folder tells nobody
                    await asyncio.sleep(LOOK_EVERY)
        return True

    def _waiting(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"), key=lambda file: int(file.stem))
