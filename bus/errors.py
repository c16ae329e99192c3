"""Every deliberate error of Renkei: its code, and what happens next.

The class of an error decides the reaction, and nothing else does: **retry** the same batch
after a back-off, **park** the event and carry on, or **stop** this lane and call somebody.
Where that alone would meet the same error again, the class also names a :class:`Remedy`.
Anything that is not a :class:`BusError` is a defect: it stops the lane with its traceback, leaves
the position where it was, and the lane is opened anew after a while (``bus.observe.tasks``).

A message is one lower-case sentence and never holds a field value; identifiers go into
``where``. The code is for searching: ``docs/errors.md`` says what to do about each.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, ClassVar

_OTHER_NAME = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and …_IP_ADDRESS_MISMATCH


class Reaction(StrEnum):
    """What the bus does when an error of a class is raised."""

    RETRY = "retry"  # the same batch again, after a back-off, without end
    PARK = "park"  # set the event aside with its reason, go on
    STOP = "stop"  # halt this lane (or this command) and say so


class Remedy(StrEnum):
    """What is done besides, where the reaction alone would meet the same error again."""

    REOPEN = "reopen"  # the store is opened anew before it is asked again
    MASK_AGAIN = "mask again"  # rows are seen anew, under what is known of coverage by now
    ASK_AGAIN = "ask again"  # the lane asks its store where it stands
    LEAVE_PARKED = "leave parked"  # an event that is set aside already stays so


class Dependency(StrEnum):
    """What does not answer; whoever hears from it tells all who wait for it."""

    BROKER = "broker"
    STORE = "store"  # a receiving system's


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from, back to the first."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def is_defect(error: BaseException) -> bool:
    """Whether nobody meant *error* to be raised: no error of the bus, and no wish to end.

    What native code raises when it gives up (a panic) is no ``Exception``, and counts.
    """
    if isinstance(error, BusError):
        return False
    return isinstance(error, Exception) or type(error).__module__ == "pyo3_runtime"


class BusError(Exception):
    """The root of all deliberate errors; doubt stops.

    Args:
        message: One lower-case sentence without field values.
        where: Identifiers only (stream, system, offset, file, line …).
    """

    code: ClassVar[str] = "RK-000"
    reaction: ClassVar[Reaction] = Reaction.STOP
    remedy: ClassVar[Remedy | None] = None
    outside: ClassVar[Dependency | None] = None
    has_end: ClassVar[bool] = False  # whether trying again comes to an end, after ``unready_most``
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, **where: object) -> None:
        super().__init__(message)
        self.message = message
        self.where = {name: value for name, value in where.items() if value is not None}

    def __str__(self) -> str:
        place = ", ".join(f"{name}={value}" for name, value in self.where.items())
        return f"[{self.code}] {self.message}" + (f" ({place})" if place else "")


class ConfigurationError(BusError):
    """Settings, options or files that cannot work; refuse to start."""

    code = "RK-100"
    exit_status = 78


class FilesRefused(ConfigurationError):
    """Reviewed files (schemas, subscriptions, codes) with faults; the report lists all of them.

    Args:
        message: As of every error.
        faults: Each fault found, in the order of the files; each prints as one line.
        where: As of every error.
    """

    code = "RK-101"

    def __init__(self, message: str, faults: Iterable[Any] = (), **where: object) -> None:
        super().__init__(message, **where)
        self.faults = tuple(faults)


class SettingsRefused(ConfigurationError):
    """Settings that do not go together; the report lists all that is wrong with them.

    Args:
        message: As of every error.
        faults: Each fault found; each prints as one line.
        where: As of every error.
    """

    code = "RK-102"

    def __init__(self, message: str, faults: Iterable[Any] = (), **where: object) -> None:
        super().__init__(message, **where)
        self.faults = tuple(faults)


class UnknownName(ConfigurationError):
    """A command was given a name, a number or an id that nobody knows; nothing was done."""

    code = "RK-120"
    exit_status = 64


class NothingChanged(ConfigurationError):
    """A command that was to change something found nothing to change."""

    code = "RK-121"
    exit_status = 65


class EditionOvertaken(ConfigurationError):
    """Somebody else applied an edition of the same subscription first."""

    code = "RK-107"


class Untrusted(ConfigurationError):
    """Whoever answers cannot prove to be whom we mean to talk to."""

    code = "RK-103"

    @classmethod
    def found_in(
        cls, error: BaseException, whose: str, setting: str, **where: object
    ) -> Untrusted | None:
        """What is wrong with a certificate, if that is among the causes of *error*.

        Args:
            error: As a library raised it.
            whose: Who showed the certificate, for the sentence.
            setting: The variable that names who may vouch for it.
            where: As of every error.
        """
        for cause in causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                if cause.verify_code in _OTHER_NAME:
                    return cls(f"{whose}'s certificate is for another host", **where)
                return cls(
                    f"{setting} does not vouch for {whose}'s certificate",
                    **where,
                    tls=cause.verify_message,
                )
        return None


class LoginRefused(ConfigurationError):
    """Whoever answers does not let us in: a login or a certificate of ours is refused."""

    code = "RK-104"


class KeysUnusable(ConfigurationError):
    """Keys (of 個人番号, or of receipts) are not set, not in order, or readable by others."""

    code = "RK-105"


class EngineError(ConfigurationError):
    """A local engine cannot be fetched, started or stopped."""

    code = "RK-110"


class DataFolderInUse(EngineError):
    """Another process holds this data folder."""

    code = "RK-111"


class FetchFailed(EngineError):
    """An engine's archive cannot be had, or is not the one that was pinned."""

    code = "RK-112"


class ContractError(BusError):
    """The data breaks a published contract."""

    code = "RK-200"
    reaction = Reaction.PARK
    exit_status = 65


class EventInvalid(ContractError):
    """An event does not fit the schema it claims (truncated, garbage, wrong type)."""

    code = "RK-201"


class EventRefused(ContractError):
    """The receiving store will not take a row of this batch."""

    code = "RK-202"


class SchemaUnknown(ContractError):
    """An event names a stream, a version or a schema id that nobody here knows."""

    code = "RK-203"


class SchemaIncompatible(ContractError):
    """A new version would break a reader; raised when registering."""

    code = "RK-204"
    reaction = Reaction.STOP


class SchemaMismatch(ContractError):
    """A schema id means another schema than the stream's; never guess what was meant."""

    code = "RK-205"
    reaction = Reaction.STOP


class ChangeRefused(ContractError):
    """A change that a publisher handed in has faults; all are in the report."""

    code = "RK-206"


class EventTooLarge(ContractError):
    """An event is above the broker's limit for one message."""

    code = "RK-207"


class SubjectWaiting(ContractError):
    """An earlier event of this subject is parked in this system; this one waits behind it."""

    code = "RK-208"


class EventGone(ContractError):
    """A parked event is no longer in the log, and no newer one of its subject stands in for it."""

    code = "RK-209"


class EventUnread(ContractError):
    """An operator set the event aside as it is, unread: its lane goes past it."""

    code = "RK-210"


class PolicyError(BusError):
    """The rules forbid it."""

    code = "RK-300"
    reaction = Reaction.PARK
    exit_status = 77


class NotEntitled(PolicyError):
    """No valid subscription covers this system and stream."""

    code = "RK-301"
    reaction = Reaction.STOP


class FieldWithheld(PolicyError):
    """A field left over after projection is not allowed out."""

    code = "RK-302"
    reaction = Reaction.STOP


class ErasureRefused(PolicyError):
    """A subject may not be erased now: somebody would learn by it what they must not."""

    code = "RK-303"
    reaction = Reaction.STOP


class Unavailable(BusError):
    """Something outside did not answer."""

    code = "RK-400"
    reaction = Reaction.RETRY
    exit_status = 75


class BrokerUnavailable(Unavailable):
    """Kafka does not answer."""

    code = "RK-401"
    outside = Dependency.BROKER


class RegistryUnavailable(Unavailable):
    """The schema registry does not answer."""

    code = "RK-402"


class SourceUnavailable(Unavailable):
    """A publishing system's store does not answer."""

    code = "RK-403"


class SinkUnavailable(Unavailable):
    """A receiving system's store does not answer."""

    code = "RK-404"
    remedy = Remedy.REOPEN
    outside = Dependency.STORE


class EditionOutdated(SinkUnavailable):
    """The store stands under a newer edition of its subscription than this process knows of."""

    code = "RK-409"


class StoreUnavailable(Unavailable):
    """The bus's own store (ledger) does not answer."""

    code = "RK-405"


class LeaseLost(Unavailable):
    """Another relay leads this outbox, or may by now; stand by and ask again."""

    code = "RK-406"


class KeysUnavailable(Unavailable):
    """The command that gives the keys does not answer."""

    code = "RK-407"


class FenceBehind(Unavailable):
    """The store knows of a newer protection than the batch was masked under: mask it again."""

    code = "RK-408"
    remedy = Remedy.MASK_AGAIN


class CoverageUnknown(Unavailable):
    """A household or a link between numbers cannot be read: whom a protection covers is unknown."""

    code = "RK-412"


class Unready(Unavailable):
    """What answers is not as it must be, which may be the middle of a restore or of a deployment.

    Tried again like a store that is away, but not without end: a lane stops on it after
    ``unready_most``.
    """

    code = "RK-410"
    remedy = Remedy.REOPEN
    outside = Dependency.STORE
    has_end = True


class IntakeDiffers(Unavailable):
    """Another living process that publishes has another ``RENKEI_INTAKE``: one of them would take
    no turns."""

    code = "RK-411"


class LaneError(BusError):
    """A lane must not go on; let go of it, never merge."""

    code = "RK-500"
    exit_status = 70


class LaneLost(LaneError):
    """Somebody else moved this lane's position in the store."""

    code = "RK-501"
    remedy = Remedy.ASK_AGAIN


class StoreWentBack(LaneLost):
    """A store stands before what it had: restored, or a standby that lagged. Its lanes catch up."""

    code = "RK-508"


class PositionForeign(LaneError):
    """A stored position belongs to another cluster, another log, or lies beyond the log's end."""

    code = "RK-502"
    sought: tuple[str, int, int] | None = None
    """Topic, partition and offset, where a consumer stands outside of a log that it reads: who
    reads many stops the lane of this one."""

    @classmethod
    def at(cls, topic: str, partition: int, offset: int) -> PositionForeign:
        """The error of a consumer that is told to read where a log has nothing."""
        error = cls(
            "the log does not hold this position", topic=topic, partition=partition, offset=offset
        )
        error.sought = (topic, partition, offset)
        return error


class RebuildBusy(LaneError):
    """Another process rebuilds the same table now."""

    code = "RK-506"


class PositionForged(LaneError):
    """What a store says of a lane is nothing that the bus wrote there: it is not believed."""

    code = "RK-507"


class StoreForged(LaneError):
    """What the bus's own tables in a store say is nothing that can be: it is not believed."""

    code = "RK-509"


class LaneTooOld(LaneError):
    """A lane was away longer than the log keeps erasures; reconcile or rebuild."""

    code = "RK-503"


class SealKeyUnknown(LaneError):
    """A sealed text names a key that is not among the keys; nothing was written."""

    code = "RK-504"
    remedy = Remedy.LEAVE_PARKED


class SealBroken(LaneError):
    """A sealed text does not open: altered, moved, or sealed with another key of that name."""

    code = "RK-505"
    remedy = Remedy.LEAVE_PARKED
