"""What operators do with outboxes: install, look, and settle what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from bus.app import roster, sources
from bus.app.sources import OUTBOX
from bus.errors import ConfigurationError, UnknownName
from bus.publish.source_watch import WARN_BEFORE
from bus.settings import Settings
from connectors.outbox import upkeep
from connectors.outbox.installing import OWNER, InstallPlan, Speaker, script
from connectors.outbox.source import OutboxSource
from connectors.outbox.upkeep import COUNT_MOST, RefusedChange

__all__ = [
    "COUNT_MOST",
    "OWNER",
    "WARN_BEFORE",
    "InstallPlan",
    "RefusedChange",
    "Speaker",
    "drop",
    "install",
    "outboxes",
    "refused",
    "retry",
    "script",
]


def outboxes(settings: Settings, systems: Sequence[str] = ()) -> dict[str, str]:
    """URIs of the publishing systems' databases: of those named, or of all with an outbox.

    Raises:
        ConfigurationError: A named system has none in the settings, or there is none at all.
    """
    known = {
        system: cast("OutboxSource.Options", roster.options(OutboxSource, OUTBOX, said.options))
        for system, said in sources.configured(settings).items()
        if said.connector == OUTBOX
    }
    for system in systems:
        if system not in known:
            raise ConfigurationError("no outbox of this system in RENKEI_OUTBOXES", system=system)
    if not known:
        raise ConfigurationError("set RENKEI_OUTBOXES: publishing system -> URI of its database")
    return {system: known[system].uri.get_secret_value() for system in systems or sorted(known)}


async def install(system: str, uri: str, plan: InstallPlan) -> None:
    """Make or bring up to date the outbox in a database, and grant roles what they need.

    Raises:
        ConfigurationError: What is there is not what this program makes, or the login may not.
        SourceUnavailable: Nothing answers, or somebody holds the tables for too long.
    """
    await upkeep.install(system, uri, plan)


async def refused(settings: Settings, system: str) -> list[RefusedChange]:
    """The refused changes of one outbox, first come first."""
    return await upkeep.refused(system, outboxes(settings, [system])[system])


async def retry(
    settings: Settings, system: str, numbers: Sequence[int] | None, *, is_dry: bool = False
) -> list[int]:
    """Put refused changes (None: all) back in their old places; the numbers of those put back.

    Raises:
        UnknownName: One of them is not refused.
    """
    there = await _there(settings, system, numbers or ())
    if is_dry:
        return [seq for seq in there if numbers is None or seq in numbers]
    return await upkeep.retry(system, outboxes(settings, [system])[system], numbers)


async def drop(
    settings: Settings, system: str, numbers: Sequence[int], *, is_dry: bool = False
) -> list[int]:
    """Delete refused changes that another one has made good; the numbers of those deleted.

    Raises:
        UnknownName: One of them is not refused.
    """
    there = await _there(settings, system, numbers)
    if is_dry:
        return [seq for seq in there if seq in numbers]
    return await upkeep.drop(system, outboxes(settings, [system])[system], numbers)


async def _there(settings: Settings, system: str, numbers: Sequence[int]) -> list[int]:
    """The numbers of the refused changes; an error if any of *numbers* is not among them."""
    there = [change.seq for change in await refused(settings, system)]
    missing = sorted(set(numbers) - set(there))
    if missing:
        raise UnknownName(
            "no refused change has this number; see: renkei relay refused list",
            system=system, numbers=", ".join(map(str, missing)),
        )  # fmt: skip
    return there
