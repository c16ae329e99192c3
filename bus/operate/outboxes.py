"""Install outboxes, and show what waits in sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bus.app import outboxes, sources
from bus.app.outboxes import COUNT_MOST, OWNER
from bus.connect.source import SourceStatus
from bus.errors import BusError, ConfigurationError
from bus.operate.session import Session
from bus.settings import Settings

__all__ = ["OWNER", "SourceStatus"]


@dataclass(frozen=True, slots=True)
class SourcesShown:
    """What waits in some sources."""

    found: Sequence[SourceStatus]
    unseen: Sequence[str]  # systems whose source cannot be looked at from outside
    failures: Sequence[BusError]  # why others did not answer
    keep: timedelta | None  # how long refused changes stay

    def soon_gone(self, status: SourceStatus) -> timedelta | None:
        """The time after which refused changes are deleted, if that is soon; else None."""
        left = status.backlog.refused_go_in(self.keep)
        return left if left is not None and left < outboxes.WARN_BEFORE else None


async def waiting(session: Session, systems: Sequence[str]) -> SourcesShown:
    """What waits in the sources of *systems*, or of all; one that does not answer hides no other.

    Raises:
        ConfigurationError: The settings name no source.
    """
    settings = session.settings
    found: list[SourceStatus] = []
    unseen: list[str] = []
    failures: list[BusError] = []
    for name in sources.connections(settings, systems):
        try:
            status = await sources.status(settings, name)
        except BusError as error:
            failures.append(error)
            continue
        if status is None:
            unseen.append(name)
        else:
            found.append(status)
    return SourcesShown(found, unseen, failures, settings.refused_keep)


def are_more(status: SourceStatus) -> bool:
    """Whether more may wait than were counted."""
    return status.backlog.pending >= COUNT_MOST


@dataclass(frozen=True, slots=True)
class Installation:
    """An outbox that is to be made or brought up to date."""

    name: str
    uri: str
    plan: outboxes.InstallPlan

    @classmethod
    def of(
        cls,
        settings: Settings,
        system: str | None,
        uri: str | None,
        *,
        core: Sequence[str],
        relay: Sequence[str],
        owner: str,
    ) -> Installation:
        """For a system of the settings or for a database, with rights for these roles.

        Raises:
            ConfigurationError: Neither or both of two places; a role is none.
        """
        if (system is None) == (uri is None):
            raise ConfigurationError("name a system of the settings, or a database with --uri")
        name = system or "outbox"
        plan = outboxes.InstallPlan(
            owner=owner,
            core=tuple(map(outboxes.Speaker.parse, core)),
            relay=tuple(relay),
            change_bytes=settings.change_bytes,
        )
        return cls(name, uri or outboxes.outboxes(settings, [name])[name], plan)

    @property
    def script(self) -> str:
        """The SQL that would be run."""
        return outboxes.script(self.plan)

    async def install(self) -> None:
        """Make it, after examining what is there.

        Raises:
            ConfigurationError: What is there is not what this program makes, or the login may not.
            SourceUnavailable: Nothing answers, or somebody holds the tables for too long.
        """
        await outboxes.install(self.name, self.uri, self.plan)
