"""The questions about provisions: SQL, and its answers as values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from bus.errors import ConfigurationError, UnknownName
from bus.ledger.provisions import (
    DayOfProvisions,
    ErasureRecord,
    GivenItem,
    Provision,
    Provisions,
    RecordedView,
    SystemProvisions,
)
from bus.ledger.statements import events_table
from bus.ledger.store import Ledger
from bus.ledger.subjects import PersonsStreams

EVENTS_OF_A_NUMBER = """
  SELECT * FROM ledger.event
  WHERE stream = ANY(%(own)s::text[]) AND subject_id = ANY(%(spellings)s::text[])
  UNION ALL
  SELECT mine.* FROM unnest(%(spellings)s::text[]) AS spelled (number)
  CROSS JOIN LATERAL (
    SELECT * FROM ledger.event
    WHERE stream = ANY(%(derived)s::text[])
      AND subject_id ~>=~ (number || '-') AND subject_id ~<~ (number || '.')
  ) AS mine"""
"""By two indexes; asked as one condition, it would read the tables. The number in all its spellings
(:func:`bus.model.spellings`): it may have been published before the site's form was kept."""

# Whoever was ever handed something: one step of the index for each system.
_DELIVERING = """
     delivering (system) AS (
       SELECT min(system) FROM ledger.event_receipt
       UNION ALL
       SELECT (SELECT min(receipt.system) FROM ledger.event_receipt AS receipt
               WHERE receipt.system > delivering.system)
       FROM delivering WHERE delivering.system IS NOT NULL)"""

_COLUMNS = """receipt.applied_at, receipt.system, event.stream, event.subject_id, event.version,
       event.event_type, event.event_id, event.change_id, event.processed_at,
       event.log_partition, event.log_offset, receipt.view, receipt.is_replay, receipt.chain"""

# A receipt that was sent twice has the same chain value and the same time; one that a rebuild
# happens to repeat has another time, and is another provision.
_GIVEN_OF_A_SUBJECT = f"""
WITH RECURSIVE {_DELIVERING},
     event AS MATERIALIZED (
       SELECT * FROM ({EVENTS_OF_A_NUMBER}) AS mine WHERE municipality_code = %(municipality)s),
     given AS (
       SELECT DISTINCT ON (receipt.system, event.stream, event.log_partition, event.log_offset,
                           receipt.chain, receipt.applied_at) {_COLUMNS}
       FROM event
       JOIN delivering ON delivering.system IS NOT NULL
       CROSS JOIN LATERAL ledger.receipts_of(
         delivering.system, event.stream, event.log_partition, event.log_offset) AS receipt
       WHERE receipt.applied_at >= greatest(%(first)s, %(at)s::timestamptz)
         AND receipt.applied_at < %(after)s)"""

# A page goes on after its mark; without a limit it is the whole.
_OF_A_SUBJECT = f"""{_GIVEN_OF_A_SUBJECT}
SELECT * FROM given
WHERE (applied_at, system, stream, log_partition, log_offset, chain)
      > (%(at)s, %(system)s::text, %(stream)s::text, %(partition)s::integer, %(offset)s::bigint,
         %(chain)s::text)
ORDER BY applied_at, system, stream, log_partition, log_offset, chain
LIMIT %(most)s::bigint"""

_COUNTS_OF_A_SUBJECT = f"""{_GIVEN_OF_A_SUBJECT}
SELECT system, stream, count(*) FROM given GROUP BY system, stream ORDER BY system, stream"""

_MUNICIPALITIES = f"""
SELECT DISTINCT municipality_code FROM ({EVENTS_OF_A_NUMBER}) AS mine
ORDER BY municipality_code"""

_HAS_PROTECTION = """
SELECT EXISTS (SELECT FROM ledger.event WHERE stream = 'protection'
               AND subject_id = ANY(%(spellings)s::text[])
               AND municipality_code = %(municipality)s)"""

VIEW_COLUMNS = """fingerprint, system, system_ja, stream, stream_ja, schema_version,
       columns_name, columns_path, columns_ja, columns_sensitivity, columns_mask, event_types,
       conditions, suppression, mode, legal_basis, number_use, purpose, approver, approved_on,
       expires_on, statement"""
"""As :func:`recorded_view` takes them."""
_VIEWS = f"""
SELECT {VIEW_COLUMNS}
FROM ledger.view WHERE fingerprint = ANY(%(fingerprints)s::text[])"""

_ERASURE = """
SELECT at, state, streams, reason FROM ledger.erasure
WHERE subject_digest = %(digest)s AND municipality_code = %(municipality)s"""

_BY_SYSTEM = """
SELECT day, stream, view, count(*), sum(rows)::bigint FROM (
  SELECT (applied_at AT TIME ZONE 'Asia/Tokyo')::date AS day, stream, view, rows
  FROM ledger.event_receipt
  WHERE system = %(system)s AND applied_at >= %(first)s AND applied_at < %(after)s AND rows > 0
  GROUP BY stream, partition, start, "end", applied_at, view, rows  -- sent twice, given once
) AS once
GROUP BY day, stream, view ORDER BY day, stream, view"""

# Of one stream, so that its own table is read; a page goes on after (time, partition, offset).
_DETAILS = """
SELECT DISTINCT ON (receipt.applied_at, receipt.partition, event.log_offset, receipt.chain)
       receipt.applied_at, receipt.system, receipt.stream, event.subject_id, event.version,
       event.event_type, event.event_id, event.change_id, event.processed_at,
       event.log_partition, event.log_offset, receipt.view, receipt.is_replay, receipt.chain
FROM (
  SELECT given.*, lower(stretch) AS first, upper(stretch) AS after
  FROM ledger.event_receipt AS given CROSS JOIN LATERAL unnest(given.delivered) AS stretch
  WHERE given.system = %(system)s AND given.stream = %(stream)s
    AND given.applied_at >= greatest(%(first)s, %(at)s) AND given.applied_at < %(after)s
  ORDER BY given.applied_at OFFSET 0
) AS receipt
CROSS JOIN LATERAL (
  SELECT * FROM ledger.{table} AS one
  WHERE one.log_partition = receipt.partition
    AND one.log_offset >= receipt.first AND one.log_offset < receipt.after
    AND (receipt.applied_at, receipt.partition, one.log_offset)
        > (%(at)s::timestamptz, %(partition)s::integer, %(offset)s::bigint)
  ORDER BY one.log_offset LIMIT %(most)s
) AS event
ORDER BY receipt.applied_at, receipt.partition, event.log_offset, receipt.chain
LIMIT %(most)s"""
BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
END = datetime(9999, 12, 30, tzinfo=UTC)
_NO_MARK = "--after is what the page before ended with"


@dataclass(frozen=True, slots=True)
class Period:
    """A period from one moment up to, and without, another; by default all of time."""

    first: datetime = BEGINNING
    after: datetime = END


@dataclass(frozen=True, slots=True)
class PageMark:
    """The provision after which a page begins."""

    at: datetime = BEGINNING
    partition: int = -1
    offset: int = -1

    @classmethod
    def of(cls, text: str) -> PageMark:
        """The mark in *text*.

        Raises:
            ConfigurationError: It is none.
        """
        try:
            at, partition, offset = text.split("/")
            return cls(_moment(at), int(partition), int(offset))
        except ValueError:
            raise ConfigurationError(_NO_MARK) from None

    @classmethod
    def behind(cls, provision: Provision) -> PageMark:
        """The mark after *provision*."""
        return cls(provision.given_at, provision.partition, provision.offset)

    def __str__(self) -> str:
        return f"{self.at.isoformat()}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class SubjectPageMark:
    """The provision of a subject after which a page begins."""

    at: datetime = BEGINNING
    system: str = ""
    stream: str = ""
    partition: int = -1
    offset: int = -1
    receipt: str = ""

    @classmethod
    def of(cls, text: str) -> SubjectPageMark:
        """The mark in *text*.

        Raises:
            ConfigurationError: It is none.
        """
        try:
            at, system, stream, partition, offset, receipt = text.split("/")
            return cls(_moment(at), system, stream, int(partition), int(offset), receipt)
        except ValueError:
            raise ConfigurationError(_NO_MARK) from None

    @classmethod
    def behind(cls, provision: Provision) -> SubjectPageMark:
        """The mark after *provision*."""
        return cls(
            provision.given_at,
            provision.system,
            provision.stream,
            provision.partition,
            provision.offset,
            provision.receipt,
        )

    def __str__(self) -> str:
        place = f"{self.system}/{self.stream}/{self.partition}/{self.offset}"
        return f"{self.at.isoformat()}/{place}/{self.receipt}"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


class ProvisionQueries:
    """Asks a ledger about provisions."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def municipalities_of(self, subject_id: str, streams: PersonsStreams) -> list[str]:
        """The municipalities in which the ledger knows the number."""
        about = {
            "spellings": streams.spellings(subject_id),
            "own": [*streams.own],
            "derived": [*streams.derived],
        }
        return [str(row[0]) for row in await self._ledger.ask(_MUNICIPALITIES, about)]

    async def municipality_of(self, subject_id: str, streams: PersonsStreams) -> str:
        """The one municipality in which the ledger knows the number.

        Raises:
            ConfigurationError: It knows it in none, or in several.
        """
        found = await self.municipalities_of(subject_id, streams)
        if len(found) == 1:
            return found[0]
        if not found:
            raise UnknownName("the ledger knows no event of this number")
        raise ConfigurationError(
            "the number is one of several municipalities: say <municipality>/<number>",
            municipalities=", ".join(found),
        )

    async def of_subject(
        self,
        municipality_code: str,
        subject_id: str,
        streams: PersonsStreams,
        period: Period,
        digest: str | None = None,
        *,
        mark: SubjectPageMark = SubjectPageMark(),
        most: int | None = None,
    ) -> Provisions:
        """What was given of one subject: a page of it, oldest first, or the whole.

        Args:
            municipality_code: Whose number it is.
            subject_id: The number.
            streams: Where it is looked for.
            period: When it was given.
            digest: What an erasure's record would know the subject by; None: not looked for.
            mark: After which the page begins.
            most: Most provisions of the page; None: all that follow.
        """
        about = {
            **_about(municipality_code, subject_id, streams, period, mark),
            "digest": digest,
            "most": most,
        }
        provisions = [_provision(row) for row in await self._ledger.ask(_OF_A_SUBJECT, about)]
        erasures = await self._ledger.ask(_ERASURE, about) if digest is not None else []
        return Provisions(
            municipality_code=municipality_code,
            subject_id=subject_id,
            provisions=provisions,
            views=await self.views({provision.view for provision in provisions}),
            has_protection=(await self._ledger.ask(_HAS_PROTECTION, about))[0][0],
            naming=streams.naming,
            erasure=next(
                (
                    ErasureRecord(at=at, is_done=state == "ERASED", streams=tuple(of), reason=why)
                    for at, state, of, why in erasures
                ),
                None,
            ),
        )

    async def counts_of_subject(
        self, municipality_code: str, subject_id: str, streams: PersonsStreams
    ) -> Mapping[tuple[str, str], int]:
        """How many events of one subject each system was given ever, by system and stream."""
        about = _about(municipality_code, subject_id, streams, Period(), SubjectPageMark())
        rows = await self._ledger.ask(_COUNTS_OF_A_SUBJECT, about)
        return {(system, stream): count for system, stream, count in rows}

    async def by_system(self, system: str, period: Period) -> SystemProvisions:
        """What one system was given, by day, stream and view; days are those of Japan."""
        about = {"system": system, "first": period.first, "after": period.after}
        days = [
            DayOfProvisions(day=day, stream=stream, view=view, deliveries=count, events=events)
            for day, stream, view, count, events in await self._ledger.ask(_BY_SYSTEM, about)
        ]
        return SystemProvisions(
            system=system, days=days, views=await self.views({day.view for day in days})
        )

    async def page(
        self, system: str, stream: str, period: Period, mark: PageMark, most: int
    ) -> list[Provision]:
        """The next provisions of one stream to one system, at most *most*, oldest first."""
        about = {
            "system": system,
            "stream": stream,
            "first": period.first,
            "after": period.after,
            "at": mark.at,
            "partition": mark.partition,
            "offset": mark.offset,
            "most": most,
        }
        question = sql.SQL(_DETAILS).format(table=sql.Identifier(events_table(stream)))
        return [_provision(row) for row in await self._ledger.ask(question, about)]

    async def views(self, fingerprints: Collection[str]) -> Mapping[str, RecordedView]:
        """The recorded views with these fingerprints; absent if not recorded."""
        about = {"fingerprints": sorted(fingerprints)}
        rows = await self._ledger.ask(_VIEWS, about) if fingerprints else []
        return {row[0]: recorded_view(row) for row in rows}


def _about(
    municipality_code: str,
    subject_id: str,
    streams: PersonsStreams,
    period: Period,
    mark: SubjectPageMark,
) -> dict[str, object]:
    """A subject as parameters of the SQL."""
    return {
        "municipality": municipality_code,
        "spellings": streams.spellings(subject_id),
        "own": [*streams.own],
        "derived": [*streams.derived],
        "first": period.first,
        "after": period.after,
        "at": mark.at,
        "system": mark.system,
        "stream": mark.stream,
        "partition": mark.partition,
        "offset": mark.offset,
        "chain": mark.receipt,
    }


def _provision(row: Sequence[Any]) -> Provision:
    return Provision(**dict(zip(_FIELDS, row, strict=True)))


_FIELDS = (
    "given_at", "system", "stream", "subject_id", "version", "event_type", "event_id", "change_id",
    "processed_at", "partition", "offset", "view", "is_replay", "receipt",
)  # fmt: skip


def recorded_view(row: Sequence[Any]) -> RecordedView:
    """A row of ``ledger.view`` as a value."""
    head, lists, rest = row[:6], row[6:11], row[11:]
    names = ("fingerprint", "system", "system_ja", "stream", "stream_ja", "schema_version")
    after = (
        "event_types", "conditions", "suppression", "mode", "legal_basis", "number_use", "purpose",
        "approver", "approved_on", "expires_on", "statement",
    )  # fmt: skip
    values = dict(zip(names, head, strict=True)) | dict(zip(after, rest, strict=True))
    values |= {name: tuple(values[name]) for name in ("event_types", "conditions")}
    return RecordedView(**values, items=tuple(map(GivenItem, *lists)))
