"""Keep the progress of loading a file, so that an interrupted load can go on.

The journal only saves time: it remembers a digest of what lay before, and if the file has changed
up to there, the load begins anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

from connectors.jsonlines.source import LoadProgress

_CHUNK = 1024 * 1024


class LoadJournal:
    """The progress of loading one file, kept in a file that only its owner reads.

    It holds numbers and a digest, nothing of the content.
    """

    def __init__(self, folder: Path, file: Path) -> None:
        self._file = file
        name = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:32]
        self._path = folder / f"{name}.json"
        self._digest = hashlib.sha256()
        self._hashed = 0

    def resume(self) -> LoadProgress | None:
        """The progress to go on from; None if none is known or the file has changed."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            digest = kept.pop("digest")
            warnings = Counter({(code, where): n for code, where, n in kept.pop("warnings")})
            progress = LoadProgress(**kept, warnings=warnings)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        self._hash_to(progress.offset)
        if self._digest.hexdigest() != digest:
            self._digest, self._hashed = hashlib.sha256(), 0
            return None
        return progress

    def write(self, progress: LoadProgress) -> None:
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
        """Delete the progress, once the load is done."""
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
