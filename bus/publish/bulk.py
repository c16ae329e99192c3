"""Loading a file of changes, one JSON object a line: first loads and repairs.

The file is read once, from front to back, and only a batch of it is ever in memory. A refused
line is reported with all its faults and its number, and does not stop the others; empty lines
are passed over.

**Again and again.** A change without an id gets one that follows from the line's own bytes and a
key of the site's, so a file that is loaded again, whole or from the middle, adds nothing that is
there already, and nobody without the key can try which line makes that id. Where there is no key,
and for a change with an item that is sealed (個人番号), the line must bring an id.

The journal only saves time: it remembers how far a load had come and a digest of what lay before,
and if the file has changed up to there, the load begins anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from bus.model import Change, Fault
from bus.publish.identity import change_id_from
from bus.publish.narrowing import fault_of, is_of_data
from bus.publish.parse import parse
from bus.publish.publisher import Outcome

MOST_LINE_BYTES = 16 * 1024 * 1024
"""A longer line is refused unread; no change is that long, and memory is bounded."""
BATCH_CHANGES = 2_000
BATCH_BYTES = 8 * 1024 * 1024
_CHUNK = 1024 * 1024


class Publishing(Protocol):
    """The part of a publisher that a load needs."""

    async def publish(self, changes: Sequence[Change]) -> Sequence[Outcome]: ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``data`` is None if it is too long; ``end`` is the offset after its newline."""

    number: int  # from 1
    data: bytes | None
    end: int
    is_whole: bool  # it ends in a newline


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that was not published, and every reason."""

    number: int
    faults: Sequence[Fault]

    @property
    def as_json(self) -> dict[str, object]:
        """For a report: names and codes, no values."""
        return {
            "line": self.number,
            "faults": [
                {
                    name: value
                    for name in ("code", "record", "field", "item", "expected")
                    if (value := getattr(fault, name)) is not None
                }
                for fault in self.faults
            ],
        }


@dataclass(slots=True)
class Progress:
    """How far a load is; counts include what an earlier, interrupted run did."""

    lines: int = 0  # read, empty ones included
    offset: int = 0  # bytes
    changes: int = 0
    published: int = 0  # changes, those that were there already included
    events: int = 0
    resent: int = 0  # events that were there already
    refused: int = 0  # lines
    warnings: Counter[tuple[str, str]] = field(default_factory=Counter)  # (code, field)


async def load(
    file: BinaryIO,
    publisher: Publishing,
    *,
    sealed: Collection[str],
    key: bytes | None,
    progress: Progress | None = None,
    refused: Callable[[RefusedLine], None] = lambda _: None,
    advanced: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Publish every line of *file* from where *progress* stands; how it went.

    Args:
        file: Opened for reading bytes; at the offset of *progress*.
        sealed: The streams that have an item which is sealed.
        key: With which ids are made; None: a line without an id is refused.
        refused: Called for each refused line, in the order of lines.
        advanced: Called after each batch.

    Raises:
        Unavailable: Something outside did not answer; *progress* is where to go on.
    """
    progress = Progress() if progress is None else progress
    for batch in batches(lines(file, progress.lines, progress.offset)):
        await _publish(batch, publisher, progress, refused, sealed, key)
        progress.lines, progress.offset = batch[-1].number, batch[-1].end
        advanced(progress)
    return progress


async def _publish(
    batch: Sequence[Line],
    publisher: Publishing,
    progress: Progress,
    refused: Callable[[RefusedLine], None],
    sealed: Collection[str],
    key: bytes | None,
) -> None:
    parsed: list[tuple[Line, Change | list[Fault]]] = []
    for line in batch:
        if line.data is None:
            expected = f"a line of at most {MOST_LINE_BYTES} bytes"
            parsed.append((line, [Fault(code="too-large", expected=expected)]))
        elif line.data.strip(b" \t\r\n"):
            try:
                change = _change(line.data, line.is_whole, sealed, key)
            except BaseException as error:
                if not is_of_data(error):
                    raise
                change = [fault_of(error)]
            parsed.append((line, change))
    outcomes = iter(
        await publisher.publish([change for _, change in parsed if isinstance(change, Change)])
    )
    for line, found in parsed:
        progress.changes += 1
        if not isinstance(found, Change):
            progress.refused += 1
            refused(_refusal(line, found))
            continue
        outcome = next(outcomes)
        for fault in outcome.faults:
            if not fault.is_error:
                progress.warnings[fault.code, fault.field or ""] += 1
        if outcome.is_published:
            progress.published += 1
            progress.events += len(outcome.event_ids)
            progress.resent += outcome.resent
        else:
            progress.refused += 1
            refused(_refusal(line, [fault for fault in outcome.faults if fault.is_error]))


def _change(
    data: bytes, is_whole: bool, sealed: Collection[str], key: bytes | None
) -> Change | list[Fault]:
    data = data.strip(b" \t\r\n")
    change = parse(data, is_whole=is_whole)
    if isinstance(change, Change) and change.change_id is None:
        if any(record.stream in sealed for record in change.records):
            expected = "an id (UUIDv7) of its own, for a change with an item that is sealed"
            return [Fault(code="missing", expected=expected, field="change_id")]
        if key is None:
            expected = "an id (UUIDv7) of its own; or RENKEI_RECEIPT_KEYS_FILE, to make one with"
            return [Fault(code="missing", expected=expected, field="change_id")]
        made = change_id_from(data, change.processed_at, key)
        return change.model_copy(update={"change_id": made})
    return change


def _refusal(line: Line, faults: Sequence[Fault]) -> RefusedLine:
    return RefusedLine(line.number, faults)


def lines(file: BinaryIO, number: int = 0, offset: int = 0) -> Iterator[Line]:
    """The lines that follow; *number* and *offset* say what came before."""
    while data := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        offset += len(data)
        if data.endswith(b"\n") or len(data) <= MOST_LINE_BYTES:
            yield Line(number, data, offset, data.endswith(b"\n"))
            continue
        while data and not data.endswith(b"\n"):
            data = file.readline(_CHUNK)
            offset += len(data)
        yield Line(number, None, offset, data.endswith(b"\n"))


def batches(of: Iterator[Line]) -> Iterator[list[Line]]:
    """Lines, so many and so long together as is good for one call of a publisher."""
    batch: list[Line] = []
    held = 0
    for line in of:
        batch.append(line)
        held += len(line.data or b"")
        if len(batch) >= BATCH_CHANGES or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


class Journal:
    """How far the load of one file is, in a file of its own that only its owner reads.

    It holds numbers and a digest, nothing of the content.
    """

    def __init__(self, folder: Path, file: Path) -> None:
        self._file = file
        name = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:32]
        self._path = folder / f"{name}.json"
        self._digest = hashlib.sha256()
        self._hashed = 0

    def resume(self) -> Progress | None:
        """Where the load may go on; None if nothing is known or the file is another one now."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            digest = kept.pop("digest")
            warnings = Counter({(code, where): n for code, where, n in kept.pop("warnings")})
            progress = Progress(**kept, warnings=warnings)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        self._hash_to(progress.offset)
        if self._digest.hexdigest() != digest:
            self._digest, self._hashed = hashlib.sha256(), 0
            return None
        return progress

    def write(self, progress: Progress) -> None:
        """Remember *progress*, whole or not at all."""
        self._hash_to(progress.offset)
        kept = {
            name: getattr(progress, name)
            for name in ("lines", "offset", "changes", "published", "events", "resent", "refused")
        }
        warnings = [[code, where, number] for (code, where), number in progress.warnings.items()]
        text = json.dumps({**kept, "digest": self._digest.hexdigest(), "warnings": warnings})
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self._path.with_suffix(".new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        beside.replace(self._path)

    def forget(self) -> None:
        """The load is done."""
        self._path.unlink(missing_ok=True)

    def _hash_to(self, offset: int) -> None:
        if self._hashed >= offset:
            return
        with self._file.open("rb") as file:
            file.seek(self._hashed)
            while self._hashed < offset:
                data = file.read(min(_CHUNK, offset - self._hashed))
                if not data:
                    return
                self._digest.update(data)
                self._hashed += len(data)
