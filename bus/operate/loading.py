"""Files of changes, published by somebody: first loads and repairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from bus.app.loading import Journal, Progress, RefusedLine, load
from bus.model.deed import Act
from bus.operate.deeds import Order, Planned
from bus.operate.jobs import Progress as Advance
from bus.operate.jobs import Told
from bus.operate.session import Session

__all__ = ["Journal", "Progress", "Publish", "PublishPreview", "RefusedLine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publish every line of a file, from where an earlier load stands."""

    file: BinaryIO
    progress: Progress | None
    refused: Callable[[RefusedLine], None]
    advanced: Callable[[Progress], None]
    told: Told = lambda _: None

    async def plan(self, _: Session) -> PublishPreview:
        """Nothing is read for it: how many lines there are is known at their end, and
        :meth:`PublishPreview.check` is the whole load without its effect."""
        return PublishPreview(self)


@dataclass(frozen=True, slots=True)
class PublishPreview:
    """A file that would be published."""

    wanted: Publish

    @property
    def planned(self) -> Planned:
        """What it comes to, which is counted at the end."""
        return Planned(act=Act.PUBLISH, count=0, may_be_empty=True)

    async def check(self, session: Session) -> Progress:
        """Check every line, and publish nothing.

        Raises:
            Unavailable: Something outside did not answer.
        """
        return await self._load(session, is_dry=True)

    def counted(self, done: Progress) -> int:
        """The changes that the load published, with those of its earlier runs."""
        return done.published

    async def perform(self, session: Session, _: Order) -> Progress:
        """Publish every line; how it went.

        Raises:
            Unavailable: Something outside did not answer.
        """
        return await self._load(session, is_dry=False)

    async def _load(self, session: Session, *, is_dry: bool) -> Progress:
        wanted = self.wanted

        def advanced(now: Progress) -> None:
            wanted.told(Advance("changes", now.changes))
            wanted.advanced(now)

        return await load(
            session.settings,
            wanted.file,
            wanted.progress,
            make=await session.publishers(is_dry=is_dry),
            refused=wanted.refused,
            advanced=advanced,
        )
