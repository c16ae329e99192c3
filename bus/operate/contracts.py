"""The contracts: schemas, examples, their ids in the registry, and who publishes and receives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bus.app.configured import catalog
from bus.app.publishing import example_faults
from bus.app.systems import declared
from bus.catalog import Catalog
from bus.catalog import check as check_files
from bus.catalog.examples import read_examples
from bus.catalog.plain import from_json
from bus.catalog.readers import OneReader, disagreements, older
from bus.catalog.registry import Pushed, PushLine
from bus.errors import ConfigurationError
from bus.model import Fault, SystemKind
from bus.operate.session import Session
from bus.policy import load_subscriptions
from bus.reference import FolderDifference, Sources, difference, gather, pages, write
from bus.reference.words import KINDS
from bus.settings import Settings

__all__ = ["KINDS", "FolderDifference", "Pushed", "Sources"]

READERS = ("fastavro", "pyruhvro")
_COUNTED = {
    SystemKind.STANDARD: "business systems",
    SystemKind.NEIGHBOUR: "neighbours",
    SystemKind.COMMON_FUNCTION: "common functions",
    SystemKind.BUS: "part of the bus",
}
_BESIDE_SCHEMAS = Path("docs") / "reference"
THIRD = "avro-python3"
"""What reads schemas and examples; the third is an option (``renkei[checks]``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractsChecked:
    """How many schemas, code lists and examples there are, and their faults."""

    streams: int = 0
    versions: int = 0
    codes: int = 0
    examples: int = 0
    readers: Sequence[str]
    faults: Sequence[Fault] = field(default_factory=list)


def checked(settings: Settings) -> ContractsChecked:
    """Check every schema, code list and example with every reader; all faults at once."""
    third = _third_reader()
    readers = READERS if third is None else (*READERS, THIRD)
    faults = check_files(settings.schemas)
    if faults:
        return ContractsChecked(readers=readers, faults=faults)
    known = catalog(settings)
    examples, _ = read_examples(known)
    return ContractsChecked(
        streams=len(known.streams),
        versions=sum(len(stream.versions) for stream in known.streams.values()),
        codes=len(known.codes),
        examples=len(examples),
        readers=readers,
        faults=example_faults(known) or _reader_faults(known, third),
    )


async def pushed(session: Session, *, is_dry: bool) -> list[PushLine]:
    """Register every version of every stream that the registry does not have yet.

    Raises:
        ConfigurationError: No registry is set, or not how to enter it.
        Unavailable: It does not answer.
    """
    return await (await session.registry()).push(session.catalog, dry_run=is_dry)


def new(lines: Sequence[PushLine]) -> int:
    """How many the registry did not have."""
    return sum(line.outcome is not Pushed.PRESENT for line in lines)


async def registered(session: Session) -> dict[tuple[str, int], int | None]:
    """The registry's id of each version of each stream; None where it has none.

    Raises:
        ConfigurationError: No registry is set, or not how to enter it.
        Unavailable: It does not answer.
    """
    lines = await pushed(session, is_dry=True)
    return {(line.stream, line.version): line.schema_id for line in lines}


def sources(settings: Settings) -> Sources:
    """What is published, by whom, and who receives it.

    Raises:
        FilesRefused: The files have faults.
    """
    known = catalog(settings)
    return gather(known, load_subscriptions(known))


def counted(known: Sources) -> str:
    """How many systems there are of each kind: the seventeen, and those besides."""
    kinds = Counter(system.kind for system in known.systems.values())
    return ", ".join(f"{kinds[kind]} {words}" for kind, words in _COUNTED.items())


@dataclass(frozen=True, slots=True)
class PagesBuilt:
    """The pages of the reference, and which of a folder's differ."""

    folder: Path
    count: int
    found: FolderDifference

    @property
    def faults(self) -> list[Fault]:
        """A fault for each page that differs."""
        found = self.found
        kinds = {
            "missing-page": found.missing,
            "old-page": found.old,
            "surplus-page": found.surplus,
        }
        expected = "what `renkei docs build` writes"
        return [
            Fault(code=code, expected=expected, file=path)
            for code, paths in kinds.items()
            for path in paths
        ]


def built(settings: Settings, into: Path | None, *, is_check: bool) -> PagesBuilt:
    """Write the reference into a folder or, if *is_check*, only compare.

    Args:
        into: Where the pages are; None: in docs/reference by the schemas.

    Raises:
        FilesRefused: The contracts have faults.
        ConfigurationError: There are no docs beside the schemas.
    """
    known = sources(settings)
    folder = into or _by(known.catalog)
    made = pages(known)
    found = difference(folder, made) if is_check else write(folder, made)
    return PagesBuilt(folder, len(made), found)


def _by(known: Catalog) -> Path:
    """The folder beside the schemas that the pages of the reference belong into."""
    folder = known.folder.parent / _BESIDE_SCHEMAS
    if not folder.parent.is_dir():
        raise ConfigurationError("there are no docs beside these schemas; say where with --out")
    return folder


@dataclass(frozen=True, slots=True)
class StoreShown:
    """The connector of a system, as the settings name it, and its capabilities."""

    connector: str
    can: dict[str, bool] | None  # what its connector declares; None: it cannot be used

    @property
    def lacks(self) -> list[str]:
        """The capabilities that it does not declare."""
        return [name for name, is_kept in (self.can or {}).items() if not is_kept]


def store(settings: Settings, system: str) -> StoreShown | None:
    """The connector of a system; None if the settings name none."""
    connection = settings.systems.get(system)
    if connection is None:
        return None
    try:
        return StoreShown(connection.connector, dict(declared(connection)))
    except ConfigurationError:
        return StoreShown(connection.connector, None)


def _third_reader() -> OneReader | None:
    try:
        from bus.catalog.third_reader import read_one
    except ImportError:
        return None
    return read_one


def _reader_faults(known: Catalog, third: OneReader | None) -> list[Fault]:
    """What the readers disagree on, over every valid example in every version."""
    faults: list[Fault] = []
    examples, _ = read_examples(known)
    for stream in known.streams.values():
        values = [
            from_json(stream.latest, example.value)[0]
            for example in examples
            if example.stream is stream and not example.expected
        ]
        for version in stream.versions:
            for why in disagreements(version, [older(version, value) for value in values], third):
                file = f"streams/{stream.name}/v{version.version}.avsc"
                expected = f"every reader to agree, but {why}"
                faults.append(Fault(code="readers-disagree", expected=expected, file=file))
    return faults
