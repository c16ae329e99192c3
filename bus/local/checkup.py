"""The checks of ``renkei doctor``: each finding has the command that mends it.

Nothing is changed and nothing is fetched. What cannot be looked at is a warning, never a crash.
"""

from __future__ import annotations

import asyncio
import platform
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx
import psutil
import psycopg
from pydantic import SecretStr

from bus.broker.kafka import KafkaBroker
from bus.catalog import load
from bus.catalog.registry import Registry
from bus.connect.libpq import Transport, transport_of
from bus.connect.sqlstates import Database
from bus.credentials import kafka_security, receipt_keys, registry_security, seal_keys
from bus.errors import BusError, ConfigurationError, SettingsRefused, Unavailable
from bus.files import objection
from bus.hosts import is_loopback, stays_here
from bus.local import artifacts, java, postgres, supervisor
from bus.local.engine import is_free
from bus.local.fetch import differing, missing
from bus.local.ports import kept
from bus.local.stack import LocalStack, Status
from bus.observe.moments import TO_THE_SECOND, local_time
from bus.sealing import Keys, Proofs, Seals
from bus.settings import OutboxConnection, Settings, SourceConnection, SystemConnection
from bus.tls import trusting

OLDEST_PYTHON = (3, 11)
FREE_DISK_BYTES, SCARCE_DISK_BYTES = 1_000_000_000, 5_000_000_000
FREE_MEMORY_BYTES = 1_500_000_000
CLOCK_SECONDS = 60.0
"""More than a network's delay, far less than an hour: the error is a zone or a stopped clock."""
ANSWER_SECONDS = 3.0
NO_KEYS = "none are named"
START = "renkei local up, or start it where it is"
_LEDGER = "the ledger"
_ASKED = Database(
    database="the database",
    relation="a table",
    setting="its URI",
    misfit="it does not know what it is asked",
    away=Unavailable,
)
LIBRARIES = ("aiokafka", "pyarrow", "pyruhvro", "psycopg", "pydantic")


Answers = Mapping[str, timedelta | str]
"""What each database says, by whose it is: how far its clock is before ours, or what is wrong."""


class Verdict(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARN = "warn"  # works, but may not for long, or not as meant
    FAIL = "fail"  # does not work


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check, in words, with what mends it."""

    name: str
    verdict: Verdict
    says: str
    mend: str | None = None


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What the checks need besides the stack's own folder."""

    lock: Path | None
    """The lock file of the Python packages, where there is a checkout."""
    settings: Settings = field(default_factory=Settings)
    now: datetime | None = None
    """The time, if not this machine's clock."""
    kafka: CheckResult | None = None
    """How Kafka was entered by whoever asks it more; None: it is entered here."""
    asks_ledger: Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]] | None = None
    """Asks the ledger's database more, over the connection that is opened here."""


def examine(stack: LocalStack, outside: CheckContext) -> list[CheckResult]:
    """Make every check."""
    status = stack.status()
    answers = asyncio.run(_answers(outside.settings, outside.asks_ledger))
    return [
        *python(),
        *packages(outside.lock),
        *engine_files(stack),
        *programs(),
        *processes(stack, status),
        *engine_ports(stack, status),
        *room(stack, status),
        *permissions(stack),
        *([outside.kafka] if outside.kafka is not None else kafka(outside.settings)),
        *registry(outside.settings),
        *databases(outside.settings, answers),
        *lines(outside.settings),
        *keys(outside.settings),
        *proofs(outside.settings),
        *clock(stack, outside, answers),
    ]


def python() -> Iterator[CheckResult]:
    """Check the interpreter and the libraries."""
    says = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        yield CheckResult(
            "python", Verdict.FAIL, f"{says} is too old", "install Python 3.11 or newer"
        )
    else:
        names = [f"{name} {found}" for name in LIBRARIES if (found := _version(name))]
        yield CheckResult("python", Verdict.OK, ", ".join([says, *names]))


def packages(lock: Path | None) -> Iterator[CheckResult]:
    """Check that the installed packages are the locked ones."""
    if lock is None or not lock.is_file():
        yield CheckResult("packages", Verdict.WARN, "there is no lock file here to compare with")
        return
    wanted = locked(lock.read_text(encoding="utf-8"))
    differ = [
        f"{name} is {found}, locked is {pinned}"
        for name, pinned in wanted.items()
        if (found := _version(name)) is not None and found != pinned
    ]
    if differ:
        yield CheckResult("packages", Verdict.WARN, "; ".join(differ), "make clean setup")
    else:
        yield CheckResult("packages", Verdict.OK, f"as in {lock.name}")


def locked(text: str) -> dict[str, str]:
    """Name and version of each package in a lock file."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))


def engine_files(stack: LocalStack) -> Iterator[CheckResult]:
    """Check every fetched file against its pinned digest."""
    pinned = artifacts.read()
    store = stack.folder.engines / "maven"
    absent = missing(store, pinned)
    wrong = [each for each in differing(store, pinned) if each not in absent]
    unpacked = supervisor.program_of_registry(stack.folder).is_dir()
    if wrong:
        names = ", ".join(each.file for each in wrong)
        says = f"other than what was pinned: {names}"
        yield CheckResult("engine files", Verdict.FAIL, says, "renkei local fetch")
    elif absent or not unpacked:
        says = f"{len(absent)} of {len(pinned)} missing" if absent else "an archive is not unpacked"
        yield CheckResult("engine files", Verdict.WARN, says, "renkei local fetch")
    else:
        yield CheckResult("engine files", Verdict.OK, f"{len(pinned)} files, each the pinned one")


def programs() -> Iterator[CheckResult]:
    """Check Java and PostgreSQL."""
    for name, find in (("java", java.java), ("postgresql", postgres.programs)):
        try:
            place = find()
        except BusError as error:
            yield CheckResult(name, Verdict.FAIL, error.message, "make setup")
        else:
            yield CheckResult(name, Verdict.OK, str(place))


def processes(stack: LocalStack, status: Status) -> Iterator[CheckResult]:
    """Check which engines run, and that no others do."""
    if status.pid is None:
        left = stack.leftovers()
        if left:
            ids = ", ".join(str(each.pid) for each in left)
            says = f"left running without a supervisor: {ids}"
            yield CheckResult("processes", Verdict.FAIL, says, "renkei local down")
        else:
            yield CheckResult(
                "processes", Verdict.OK, "the engines are down; nothing is left running"
            )
    elif status.is_up:
        yield CheckResult("processes", Verdict.OK, "every engine is up")
    else:
        down = ", ".join(each.name for each in status.engines if each.pid is None)
        says = f"not up: {down or 'starting'}"
        yield CheckResult("processes", Verdict.FAIL, says, "renkei local up")


def engine_ports(stack: LocalStack, status: Status) -> Iterator[CheckResult]:
    """Check that the ports of this folder are free or the engines' own."""
    ports = kept(stack.folder)
    if ports is None:
        yield CheckResult("ports", Verdict.OK, "free ones will be chosen")
        return
    numbers = {name: getattr(ports, name) for name in ports.__slots__}
    says = ", ".join(f"{name} {port}" for name, port in numbers.items())
    taken = {name for name, port in numbers.items() if not is_free(port)}
    if status.pid is None and taken:
        mend = "renkei local up " + " ".join(f"--{name}-port PORT" for name in sorted(taken))
        says = f"taken by somebody else: {', '.join(sorted(taken))} ({says})"
        yield CheckResult("ports", Verdict.FAIL, says, mend)
    else:
        yield CheckResult("ports", Verdict.OK, says)


def room(stack: LocalStack, status: Status) -> Iterator[CheckResult]:
    """Check disk space and memory."""
    place = stack.folder.home
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    says = f"{free / 1e9:.1f} GB free at {place}"
    mend = "free some space, or set RENKEI_HOME to another disk"
    if free < FREE_DISK_BYTES:
        yield CheckResult("disk", Verdict.FAIL, says, mend)
    elif free < SCARCE_DISK_BYTES:
        yield CheckResult("disk", Verdict.WARN, says, mend)
    else:
        yield CheckResult("disk", Verdict.OK, says)
    memory = psutil.virtual_memory().available
    says = f"{memory / 1e9:.1f} GB available"
    if memory < FREE_MEMORY_BYTES and not status.is_up:
        yield CheckResult("memory", Verdict.WARN, says, "end other programs")
    else:
        yield CheckResult("memory", Verdict.OK, says)


def permissions(stack: LocalStack) -> Iterator[CheckResult]:
    """Check that nobody but the owner can read a secret."""
    run = stack.folder.run
    secret = [
        stack.folder.password,
        stack.folder.addresses,
        run / "systems.yaml",
        run / "seal-keys",
        run / "receipt-keys",
    ]
    there = [path for path in secret if path.is_file()]
    bad = [path for path in there if objection(path.stat(), is_secret=True)]
    if bad:
        names = " ".join(str(path) for path in bad)
        says = "others may read files with passwords"
        yield CheckResult("secrets", Verdict.FAIL, says, f"chmod 600 {names}")
    else:
        yield CheckResult("secrets", Verdict.OK, f"{len(there)} files, for the owner alone")


def kafka(settings: Settings) -> Iterator[CheckResult]:
    """Check that the brokers let this installation in, over a connection nobody can read along."""
    yield _entered("kafka", settings.kafka, lambda place: _enter_kafka(settings, place))


async def kafka_entered(settings: Settings, enter: Callable[[], Awaitable[object]]) -> CheckResult:
    """As :func:`kafka`, through the connection that *enter* opens."""

    async def entered(place: str) -> CheckResult:
        await enter()
        return _in_kafka(settings, place)

    return await _judged("kafka", settings.kafka, entered)


def registry(settings: Settings) -> Iterator[CheckResult]:
    """Check that the schema registry answers."""
    yield _entered("registry", settings.registry, lambda place: _enter_registry(settings, place))


def databases(settings: Settings, answers: Answers | None = None) -> Iterator[CheckResult]:
    """Whether every database that the settings name answers: the ledger's, each system's, each
    outbox's."""
    named = _databases(settings)
    answers = asyncio.run(_answers(settings)) if answers is None else answers
    if not named:
        yield CheckResult("databases", Verdict.OK, "none is named")
        return
    silent = sorted(answer for answer in answers.values() if isinstance(answer, str))
    if silent:
        says = f"{len(silent)} of {len(named)} do not answer: {', '.join(silent)}"
        yield CheckResult("databases", Verdict.FAIL, says, START)
    else:
        yield CheckResult("databases", Verdict.OK, f"{len(named)} of {len(named)} answer")


def lines(settings: Settings) -> Iterator[CheckResult]:
    """Check how each connection is protected: within this machine, by verified TLS, or not."""
    found: dict[Transport, list[str]] = {each: [] for each in Transport}
    if settings.kafka is not None:
        is_tls = settings.kafka_security in ("SSL", "SASL_SSL")
        found[_protected(stays_here(settings.kafka), is_tls)].append("kafka")
    if settings.registry is not None:
        url = urlsplit(settings.registry)
        is_here = is_loopback(url.hostname or "")
        found[_protected(is_here, url.scheme == "https")].append("registry")
    for name, uri in sorted(_databases(settings).items()):
        found[_way(uri)].append(name)
    said = [f"{each}: {', '.join(names)}" for each, names in found.items() if names]
    verdict = Verdict.FAIL if found[Transport.UNSAFE] else Verdict.OK
    mend = "docs/howto/secure-the-connections.md" if found[Transport.UNSAFE] else None
    yield CheckResult("lines", verdict, "; ".join(said) or "none are named", mend)


def _protected(is_here: bool, is_tls: bool) -> Transport:
    if is_tls:
        return Transport.VERIFIED
    return Transport.HERE if is_here else Transport.UNSAFE


def _databases(settings: Settings) -> dict[str, str]:
    """Whose database -> its URI."""
    named = {f"{system}'s outbox": box.uri for system, box in settings.outboxes.items()}
    reached: list[tuple[str, SystemConnection | SourceConnection]] = [
        *settings.systems.items(),
        *((f"{system}'s source", said) for system, said in settings.sources.items()),
    ]
    for system, connection in reached:
        if isinstance(uri := connection.options.get("uri"), str):
            named[system] = SecretStr(uri)
    if settings.database is not None:
        named[_LEDGER] = settings.database
    return {name: uri.get_secret_value() for name, uri in named.items()}


def _way(uri: str) -> Transport:
    """The way to a database; unsafe for what is no URI."""
    try:
        return transport_of(uri)
    except psycopg.ProgrammingError:
        return Transport.UNSAFE


async def _answers(
    settings: Settings,
    asks_ledger: Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]] | None = None,
) -> Answers:
    """What each database says: how far its clock is before this machine's, or, where it does not
    answer, whose it is, and why, where it said so."""

    async def ask(name: str, uri: str) -> timedelta | str:
        if _way(uri) is Transport.UNSAFE:
            return f"{name} (not asked: without verified TLS)"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await psycopg.AsyncConnection.connect(uri)
                async with connection:
                    row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
                    if name == _LEDGER and asks_ledger is not None:
                        await asks_ledger(connection)
        except TimeoutError:
            return name
        except psycopg.Error as error:
            said = _ASKED.error_of(error)
            return name if said is None or error.sqlstate is None else f"{name} ({said.message})"
        assert row is not None  # a SELECT without a table has one
        its_clock: datetime = row[0]
        return its_clock - datetime.now(UTC)

    named = _databases(settings)
    found = await asyncio.gather(*(ask(name, uri) for name, uri in named.items()))
    return dict(zip(named, found, strict=True))


def keys(settings: Settings) -> Iterator[CheckResult]:
    """Check that the keys that seal 個人番号 can be read."""
    mend = "docs/howto/keys-for-individual-numbers.md"
    found = _keys("seal keys", "sealing", mend, lambda: Seals(seal_keys(settings)))
    waiting = _publishers_of_sealed(settings) if found.says == NO_KEYS else []
    if waiting:
        says = f"{NO_KEYS}: changes with a 個人番号 wait in the outbox of {', '.join(waiting)}"
        found = CheckResult(found.name, Verdict.WARN, says, mend)
    yield found


def _publishers_of_sealed(settings: Settings) -> list[str]:
    """The systems of the settings whose outboxes may hold what must be sealed."""
    try:
        streams = load(settings.schemas).streams.values()
    except BusError:
        return []  # another finding says so
    sealed = [frozenset(stream.providers) for stream in streams if stream.sealed]
    said: dict[str, OutboxConnection | SourceConnection] = {
        **settings.outboxes,
        **settings.sources,
    }
    return [
        system
        for system, outbox in sorted(said.items())
        if any(not providers.isdisjoint(outbox.sources or (system,)) for providers in sealed)
    ]


def proofs(settings: Settings) -> Iterator[CheckResult]:
    """Check that the keys that prove receipts can be read."""
    mend = "docs/howto/keys-for-receipts.md"
    yield _keys("receipt keys", "proving", mend, lambda: Proofs(receipt_keys(settings)))


def _keys(name: str, does: str, mend: str, make: Callable[[], Keys]) -> CheckResult:
    try:
        made = make()
        ring = asyncio.run(made.ring()) if made.has_source else None
    except SettingsRefused as error:
        says = "; ".join(str(fault) for fault in error.faults)
        return CheckResult(name, Verdict.FAIL, says, "renkei settings show")
    except Unavailable as error:
        return CheckResult(name, Verdict.WARN, str(error), mend)
    except ConfigurationError as error:
        return CheckResult(name, Verdict.FAIL, str(error), mend)
    says = NO_KEYS if ring is None else f"{len(ring.keys)}, {does}: {ring.current.id}"
    return CheckResult(name, Verdict.OK, says)


def _entered(
    name: str, place: str | None, enter: Callable[[str], Coroutine[Any, Any, CheckResult]]
) -> CheckResult:
    return asyncio.run(_judged(name, place, enter))


async def _judged(
    name: str, place: str | None, enter: Callable[[str], Awaitable[CheckResult]]
) -> CheckResult:
    if place is None:
        return CheckResult(name, Verdict.OK, "none is named")
    try:
        return await enter(place)
    except SettingsRefused as error:
        says = "; ".join(str(fault) for fault in error.faults)
        return CheckResult(name, Verdict.FAIL, says, "renkei settings show")
    except Unavailable as error:
        return CheckResult(name, Verdict.FAIL, str(error), START)
    except ConfigurationError as error:
        return CheckResult(name, Verdict.FAIL, str(error), "renkei settings show")


async def _enter_kafka(settings: Settings, bootstrap: str) -> CheckResult:
    security = kafka_security(settings)
    broker = KafkaBroker(bootstrap, security, patience=timedelta(seconds=ANSWER_SECONDS))
    await broker.start()
    await broker.close()
    return _in_kafka(settings, bootstrap)


def _in_kafka(settings: Settings, bootstrap: str) -> CheckResult:
    security = kafka_security(settings)
    who = f" as {security.login.user}" if security.login else ""
    says = f"{bootstrap} by {security.protocol.value}{who}"
    return CheckResult("kafka", Verdict.OK, says)


async def _enter_registry(settings: Settings, url: str) -> CheckResult:
    async with Registry(url, registry_security(settings)) as there:
        await there.greet()
        return CheckResult("registry", Verdict.OK, there.shown)


def clock(
    stack: LocalStack, outside: CheckContext, answers: Answers | None = None
) -> Iterator[CheckResult]:
    """Check this machine's clock against others.

    On one machine all share a clock; then only going back is seen, by what was written before.
    """
    now = outside.now or datetime.now(UTC)
    answers = asyncio.run(_answers(outside.settings)) if answers is None else answers
    others = dict(_times(stack, outside, answers))
    off = {
        name: (now - then).total_seconds()
        for name, then in others.items()
        if abs((now - then).total_seconds()) > CLOCK_SECONDS
        and (name != "files written before" or then > now)
    }
    if off:
        says = "; ".join(f"{seconds:+.0f} s against {name}" for name, seconds in off.items())
        yield CheckResult("clock", Verdict.FAIL, says, "set the clock: timedatectl set-ntp true")
    else:
        names = ", ".join(others) or "nobody to compare with"
        there = local_time(now, ZoneInfo(outside.settings.time_zone), TO_THE_SECOND)
        says = f"{there} (agrees with {names})"
        yield CheckResult("clock", Verdict.OK, says)


def _times(
    stack: LocalStack, outside: CheckContext, answers: Answers
) -> Iterator[tuple[str, datetime]]:
    files = [path for path in (stack.folder.run, stack.folder.logs) if path.is_dir()]
    written = [file.stat().st_mtime for folder in files for file in folder.iterdir()]
    if written:
        yield "files written before", datetime.fromtimestamp(max(written), UTC)
    settings = outside.settings
    before = answers.get(_LEDGER)
    if isinstance(before, timedelta):
        yield "the database", datetime.now(UTC) + before
    if settings.registry is not None:
        date = _header_date(settings)
        if date:
            yield "the registry", date


def _header_date(settings: Settings) -> datetime | None:
    try:
        way_in = registry_security(settings)
        headers: Mapping[str, str] = httpx.get(
            f"{settings.registry}/subjects",
            timeout=ANSWER_SECONDS,
            verify=way_in.context or trusting(None),
            auth=way_in.login,
        ).headers
    except (httpx.HTTPError, SettingsRefused):
        return None
    return parsedate_to_datetime(headers["Date"]) if "Date" in headers else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
