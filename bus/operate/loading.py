"""Publish files of changes: first loads and repairs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from bus.app.loading import LoadJournal, LoadProgress, RefusedLine, load
from bus.errors import ConfigurationError
from bus.model.deed import Act
from bus.operate.deeds import Order, Planned
from bus.operate.jobs import OnProgress, Progress
from bus.operate.session import Session
from bus.settings import Settings

__all__ = ["LoadProgress", "Publish", "PublishPreview", "RefusedLine"]


STDIN = "-"
"""In the place of a file's name."""


class SavedProgress:
    """The progress of a load, kept under ``RENKEI_HOME`` until it ends.

    It only saves time: if it cannot be written the load goes on, and publishing the file again
    doubles nothing.

    Args:
        journal: Where it is kept; None: of stdin and of a trial nothing is.
        lost: Told, once, that it cannot be written.
    """

    def __init__(self, journal: LoadJournal | None, lost: Callable[[], None]) -> None:
        self._journal = journal
        self._lost = lost

    @classmethod
    def of(cls, settings: Settings, file: str, lost: Callable[[], None], *, is_dry: bool) -> Self:
        """The progress of one load of *file*."""
        if file == STDIN or is_dry:
            return cls(None, lost)
        return cls(LoadJournal(settings.home / "publish", Path(file)), lost)

    def resume(self) -> LoadProgress | None:
        """The progress of an interrupted load of the same file; None if there is none."""
        return None if self._journal is None else self._journal.resume()

    def advanced(self, now: LoadProgress) -> None:
        """Write the progress down."""
        if self._journal is None:
            return
        try:
            self._journal.write(now)
        except OSError:
            self._journal = None
            self._lost()

    def forget(self) -> None:
        """Delete the progress, once the load has ended."""
        if self._journal is not None:
            self._journal.forget()


class Load:
    """One load of a file, from its beginning or from where an interrupted one stopped."""

    def __init__(self, file: str, remembered: SavedProgress, begun: LoadProgress | None) -> None:
        self.file = file
        self.begun = begun  # where the earlier one stood; None: it begins at the beginning
        self.before = 0 if begun is None else begun.changes  # that the earlier one has done
        self.remembered = remembered

    @classmethod
    def of(
        cls,
        settings: Settings,
        file: str,
        lost: Callable[[], None],
        *,
        is_resumed: bool,
        is_dry: bool,
    ) -> Self:
        """The load of *file*; *lost* is told where it cannot be remembered how far it is."""
        remembered = SavedProgress.of(settings, file, lost, is_dry=is_dry)
        return cls(file, remembered, remembered.resume() if is_resumed else None)

    @property
    def size(self) -> int | None:
        """The bytes of the file; None where nobody knows."""
        path = Path(self.file)
        return path.stat().st_size if self.file != STDIN and path.is_file() else None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file, where the load goes on.

        Raises:
            ConfigurationError: It cannot be read.
        """
        if self.file == STDIN:
            yield sys.stdin.buffer
            return
        try:
            content = Path(self.file).open("rb")  # noqa: SIM115 - the next line but one closes it
        except OSError as error:
            raise ConfigurationError("cannot read the file", file=self.file) from error
        with content:
            if self.begun is not None:
                content.seek(self.begun.offset)
            yield content


def insist_on_a_way_back(file: str) -> None:
    """That a load of *file* can be gone on with.

    Raises:
        ConfigurationError: It is stdin.
    """
    if file == STDIN:
        raise ConfigurationError("stdin cannot be resumed; publish it again, nothing doubles")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publish every line of a file, from where an earlier load has stopped."""

    file: BinaryIO
    progress: LoadProgress | None
    refused: Callable[[RefusedLine], None]
    advanced: Callable[[LoadProgress], None]
    on_progress: OnProgress = lambda _: None

    async def plan(self, _: Session) -> PublishPreview:
        """The preview; nothing is read for it.

        How many lines there are is known at the end; :meth:`PublishPreview.tried` is the load
        without its effect.
        """
        return PublishPreview(self, LoadProgress() if self.progress is None else self.progress)


@dataclass(frozen=True, slots=True)
class PublishPreview:
    """A file to be published, not yet read."""

    wanted: Publish
    progress: LoadProgress
    """How far it is; counts go on in it."""

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it; its count is known at the end."""
        return Planned(act=Act.PUBLISH, count=0, may_be_empty=True)

    async def tried(self, session: Session, _: Order) -> LoadProgress:
        """Check every line, and publish nothing.

        Raises:
            Unavailable: Something outside did not answer.
        """
        return await self._load(session, is_dry=True)

    def counted(self, done: LoadProgress) -> int:
        """How many changes were published, by this run and interrupted ones before it."""
        return done.published

    def so_far(self) -> int:
        """Those that were acknowledged and counted; what was under way may be in the log too."""
        return self.progress.published

    async def perform(self, session: Session, _: Order) -> LoadProgress:
        """Publish every line; the result of the load.

        Raises:
            Unavailable: Something outside did not answer.
        """
        return await self._load(session, is_dry=False)

    async def _load(self, session: Session, *, is_dry: bool) -> LoadProgress:
        wanted = self.wanted

        def advanced(now: LoadProgress) -> None:
            wanted.on_progress(Progress("changes", now.changes))
            wanted.advanced(now)

        return await load(
            session.settings,
            wanted.file,
            self.progress,
            sealed=session.rules.sealed,
            make=await (session.trial() if is_dry else session.publishers()),
            refused=wanted.refused,
            advanced=advanced,
        )
