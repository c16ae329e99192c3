"""Put texts of subscriptions in force, after showing what that would change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bus.app.configured import this_day
from bus.broker import Broker
from bus.catalog import Catalog
from bus.control.editions import Editions
from bus.errors import ConfigurationError, FilesRefused
from bus.model import Edition, Fault, Suppression, digest_of
from bus.model.deed import Act
from bus.operate.deeds import Order, Planned
from bus.operate.session import Session
from bus.policy import (
    Difference,
    Subscription,
    SubscriptionReport,
    diff,
    effective_subscription,
    read_files,
    read_subscriptions,
)
from bus.policy.diff import AccessChange, ColumnShown
from bus.policy.subscriptions import FOLDER

__all__ = ["AccessChange", "ColumnShown", "Difference"]  # what changes between two subscriptions


@dataclass(frozen=True, slots=True)
class SystemPlan:
    """One system's text that is to be put in force, and what that changes."""

    system: str
    text: str
    sequence: int  # of the edition that it would be
    before: Subscription | None  # what is in force; None: nothing
    after: Subscription
    differences: tuple[Difference, ...]

    def edition(self, applied_by: str) -> Edition:
        """The text as an edition, applied now."""
        return Edition(
            system=self.system,
            sequence=self.sequence,
            text=self.text,
            digest=digest_of(self.text),
            applied_by=applied_by,
            applied_at=datetime.now(UTC),
        )


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """What putting some files in force would change."""

    planned: tuple[SystemPlan, ...]  # systems for which something changes
    unchanged: tuple[str, ...]
    warnings: tuple[Fault, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The differences of all systems, by system and stream."""
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


def plan(
    files: Sequence[Path], installed: SubscriptionReport, editions: Editions, catalog: Catalog
) -> ApplyPlan:
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
    report = read_files(files, catalog, today=this_day())
    if report.errors:
        raise FilesRefused("the subscriptions have faults", report.errors, count=len(report.errors))
    planned: list[SystemPlan] = []
    unchanged: list[str] = []
    for file in files:
        system = file.stem
        said = editions.newest.get(system)
        now = effective_subscription(system, installed, said, catalog).subscription
        new = report.subscriptions[system]
        changes = diff({} if now is None else {system: now}, {system: new}, catalog)
        if changes or now is None:
            text = file.read_text(encoding="utf-8")
            sequence = editions.sequence(system) + 1
            planned.append(SystemPlan(system, text, sequence, now, new, changes))
        else:
            unchanged.append(system)
    warnings = tuple(fault for fault in report.faults if not fault.is_error)
    return ApplyPlan(tuple(planned), tuple(unchanged), warnings)


async def insist_on_topics(plan: ApplyPlan, catalog: Catalog, cluster: Broker) -> None:
    """Check that the topics of all streams that are gained exist.

    Raises:
        ConfigurationError: A topic is missing: a system's delivery would end by it.
    """
    wanted = {catalog.stream(each.stream).topic for each in plan.differences}
    missing = wanted - (await cluster.partitions(sorted(wanted))).keys()
    if missing:
        raise ConfigurationError(
            "a topic does not exist; make it with: renkei topics apply", topics=",".join(missing)
        )


async def plan_of(session: Session, paths: Sequence[Path]) -> ApplyPlan:
    """What putting the files of *paths* in force would change; none named: the installation's own.

    Raises:
        ConfigurationError: There is no file.
        FilesRefused: They have faults, or what they grant is not in force today.
        Unavailable: Broker or registry does not answer.
    """
    catalog = session.catalog
    installed = read_subscriptions(catalog, session.settings.schemas)
    chosen = files_in(paths, catalog.folder)
    return plan(chosen, installed, await session.editions(), catalog)


@dataclass(frozen=True, slots=True)
class Apply:
    """Put subscriptions in force: every delivering process takes them up within about a second."""

    paths: Sequence[Path]

    async def plan(self, session: Session) -> ApplyPreview:
        """What that would change.

        Raises:
            ConfigurationError: There is no file, or a topic is missing.
            FilesRefused: They have faults, or what they grant is not in force today.
            Unavailable: Broker or registry does not answer.
        """
        found = await plan_of(session, self.paths)
        await insist_on_topics(found, session.catalog, await session.broker())
        return ApplyPreview(found)


@dataclass(frozen=True, slots=True)
class ApplyPreview:
    """A plan to put files in force, not yet done."""

    plan: ApplyPlan
    applied: list[SystemPlan] = field(default_factory=list)
    """What is in force by it so far, also where one of them could not be put in force."""

    @property
    def planned(self) -> Planned:
        """The deed as the journal records it; that nothing changes is no error."""
        return Planned(act=Act.APPLY, count=len(self.plan.planned), may_be_empty=True)

    async def perform(self, session: Session, order: Order) -> Sequence[SystemPlan]:
        """Put them in force, one by one.

        Raises:
            EditionOvertaken: Somebody else applied one meanwhile; those before it are in force.
            Unavailable: Broker or registry does not answer.
        """
        editions = await session.editions()
        for each in self.plan.planned:
            await editions.apply(each.edition(order.actor.name))
            self.applied.append(each)
        return self.applied


def consequences(difference: Difference) -> Iterator[str]:
    """What happens to what the system holds, apart from the difference itself."""
    if difference.kind is AccessChange.LOST:
        yield "  everything that the system holds of the stream is taken away"
    elif begins_anew(difference):
        yield "  all rows are taken away, and delivered anew where they fit the conditions"
    elif difference.event_types_lost:
        yield "  rows that these events wrote are taken away"
    if difference.suppression == (Suppression.CAPABLE, Suppression.WITHHOLD):
        yield "  all locations are taken away, until a rebuild"


def begins_anew(difference: Difference) -> bool:
    """Whether the store empties the table by itself and its lanes begin at the beginning."""
    return difference.kind is AccessChange.CHANGED and bool(difference.conditions_new)


def to_rebuild(found: ApplyPlan) -> list[tuple[str, str]]:
    """System and stream of each table that a person must rebuild."""
    return [
        (each.system, each.stream)
        for each in found.differences
        if each.needs_rebuild and not begins_anew(each)
    ]


def difference(old: Path, new: Path, catalog: Catalog) -> tuple[Difference, ...]:
    """The difference between two files, or folders of files.

    If either is a file, only its system is compared.

    Raises:
        ConfigurationError: There is none.
        FilesRefused: They have faults.
    """
    before, after = _subscriptions(old, catalog), _subscriptions(new, catalog)
    if new.is_file():
        before = {system: said for system, said in before.items() if system in after}
    elif old.is_file():
        after = {system: said for system, said in after.items() if system in before}
    return diff(before, after, catalog)


def _subscriptions(path: Path, catalog: Catalog) -> Mapping[str, Subscription]:
    report = read_files(files_in([path], path), catalog)
    if report.errors:
        raise FilesRefused(
            "the subscriptions have faults",
            report.errors, count=len(report.errors), folder=str(path),
        )  # fmt: skip
    return report.subscriptions
