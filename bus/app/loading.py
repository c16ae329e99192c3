"""Publish files of changes: first loads and repairs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import BinaryIO

from bus.app.keys import proofs
from bus.app.sources import source
from bus.connect.source import Guard
from bus.connect.source_kind import SourceContext
from bus.publish.admission import Naming
from bus.publish.runner import BULK, Runner
from bus.publish.sender import Publishes
from bus.settings import Settings
from connectors.jsonlines.journal import LoadJournal
from connectors.jsonlines.source import LoadProgress, RefusedLine

__all__ = ["LoadJournal", "LoadProgress", "RefusedLine", "load"]


async def load(
    settings: Settings,
    file: BinaryIO,
    progress: LoadProgress | None = None,
    *,
    sealed: Collection[str],
    make: Callable[[Guard], Publishes],
    refused: Callable[[RefusedLine], None],
    advanced: Callable[[LoadProgress], None],
) -> LoadProgress:
    """Publish every line of *file* from *progress* on; the result of the load.

    Args:
        file: Opened for reading bytes; at the offset of *progress*.
        sealed: The streams with an item that is sealed.
        make: What makes the publisher.
        refused: Called for each refused line, in the order of lines.
        advanced: Called after each batch; what it was told last is where to go on.

    Raises:
        Unavailable: Something outside did not answer.
    """
    ids = proofs(settings)
    admit = Naming(sealed, await ids.key_of_ids() if ids.has_source else None)
    reached = LoadProgress() if progress is None else progress
    said = {"file": file, "progress": reached, "refused": refused, "advanced": advanced}
    lines = source("jsonlines", said, SourceContext(system="file"))
    await Runner(lines, make, admit=admit, pace=BULK).run()
    return reached
