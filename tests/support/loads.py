"""Loads of files with a publisher that a test has in hand."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, BinaryIO

from bus.publish.admission import Naming
from bus.publish.runner import BULK, Runner, RunnerLimits
from connectors.jsonlines.source import LinesSource, LoadProgress


async def load(
    file: BinaryIO,
    publisher: Any,
    *,
    sealed: Collection[str],
    key: bytes | None,
    progress: LoadProgress | None = None,
    pace: RunnerLimits = BULK,
    **told: Callable[[Any], None],
) -> LoadProgress:
    """Publish every line of *file* from where *progress* stands; how it went."""
    source = LinesSource(file, progress, **told)
    await Runner(source, lambda _: publisher, admit=Naming(sealed, key), pace=pace).run()
    return source.progress
