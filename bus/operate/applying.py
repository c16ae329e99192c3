"""Put texts of subscriptions in force: what would change is known before anything does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bus.app.configured import this_day
from bus.broker import Broker
from bus.catalog import Catalog
from bus.control.editions import Editions
from bus.errors import ConfigurationError, FilesRefused
from bus.model import Edition, Fault, digest_of
from bus.policy import Difference, Reading, Subscription, diff, in_force, read_files
from bus.policy.subscriptions import FOLDER


@dataclass(frozen=True, slots=True)
class Planned:
    """One system's text that is to be in force, and what that changes."""

    system: str
    text: str
    sequence: int  # of the edition that it would be
    before: Subscription | None  # what is in force; None: nothing
    after: Subscription
    differences: tuple[Difference, ...]

    def edition(self, applied_by: str) -> Edition:
        """The same as an edition, applied now."""
        return Edition(
            system=self.system,
            sequence=self.sequence,
            text=self.text,
            digest=digest_of(self.text),
            applied_by=applied_by,
            applied_at=datetime.now(UTC),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What some files would put in force."""

    planned: tuple[Planned, ...]  # systems for which something changes
    unchanged: tuple[str, ...]
    warnings: tuple[Fault, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Of all systems, by system and stream."""
        return tuple(each for planned in self.planned for each in planned.differences)


def files_in(paths: Sequence[Path], default: Path) -> list[Path]:
    """The files named, and those in the folders named; none named: those of *default*.

    Raises:
        ConfigurationError: One of them is not there, or there is no file.
    """
    found: list[Path] = []
    for path in paths or [default]:
        inner = path / FOLDER
        folder = inner if inner.is_dir() else path
        files = [path] if path.is_file() else sorted(folder.glob("*.yaml"))
        if not files:
            raise ConfigurationError("no subscription is here", file=str(path))
        found += files
    return found


def plan(files: Sequence[Path], installed: Reading, editions: Editions, catalog: Catalog) -> Plan:
    """What putting *files* in force would change.

    Args:
        files: One per system, called like it.
        installed: What the installation's own files grant: in force where nobody has applied
            anything yet.
        editions: What was applied.
        catalog: The streams that may be granted.

    Raises:
        FilesRefused: They have faults, or what they grant is not in force today.
    """
    reading = read_files(files, catalog, today=this_day())
    if reading.errors:
        raise FilesRefused(
            "the subscriptions have faults", reading.errors, count=len(reading.errors)
        )
    planned: list[Planned] = []
    unchanged: list[str] = []
    for file in files:
        system = file.stem
        said = editions.newest.get(system)
        now = in_force(system, installed, said, catalog).subscription
        new = reading.subscriptions[system]
        changes = diff({} if now is None else {system: now}, {system: new}, catalog)
        if changes or now is None:
            text = file.read_text(encoding="utf-8")
            sequence = editions.sequence(system) + 1
            planned.append(Planned(system, text, sequence, now, new, changes))
        else:
            unchanged.append(system)
    warnings = tuple(fault for fault in reading.faults if not fault.is_error)
    return Plan(tuple(planned), tuple(unchanged), warnings)


async def insist_on_topics(plan: Plan, catalog: Catalog, cluster: Broker) -> None:
    """See that whatever is gained can be read.

    Raises:
        ConfigurationError: A topic is missing: a system's delivery would end by it.
    """
    wanted = {catalog.stream(each.stream).topic for each in plan.differences}
    missing = wanted - (await cluster.partitions(sorted(wanted))).keys()
    if missing:
        raise ConfigurationError(
            "a topic does not exist; make it with: renkei topics apply", topics=",".join(missing)
        )
