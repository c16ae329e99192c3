"""Ask the ledger who was given what, with the streams and the time zone of these settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bus.credentials import erasure_key, number_form
from bus.errors import ConfigurationError, UnknownName
from bus.hosting.feeds import JAPAN
from bus.ledger import handout
from bus.ledger.handout import CsvSheet, HtmlSheet
from bus.ledger.provision_queries import PageMark, Period, ProvisionQueries, SubjectPageMark
from bus.ledger.provisions import Provision, Provisions, RecordedView, SystemProvisions
from bus.ledger.subjects import PersonsStreams, persons_streams, stream_of_a_number
from bus.model import NumberForm
from bus.model.deed import Act
from bus.operate.deeds import Order, Planned, digest_of, record
from bus.operate.session import Session
from bus.publish.digits import is_municipality

__all__ = [
    "CsvSheet",
    "HtmlSheet",
    "Provision",
    "RecordedView",
    "SystemProvisions",
]  # what answers are made of


def period(first: date | None, last: date | None) -> Period:
    """From the beginning of the first day to the end of the last, in Japan.

    Raises:
        ConfigurationError: They are the wrong way round.
    """
    if first is not None and last is not None and first > last:
        raise ConfigurationError("--from is no later than --to")
    whole = Period()
    return Period(
        whole.first if first is None else datetime.combine(first, time(), JAPAN),
        whole.after if last is None else datetime.combine(last + timedelta(days=1), time(), JAPAN),
    )


@dataclass(frozen=True, slots=True)
class ProvisionsShown:
    """A page of the provisions of a subject, with times in the site's zone."""

    answer: Provisions
    zone: ZoneInfo
    after: str | None = None  # where the next page goes on; None: there is none
    is_whole: bool = True  # the one page that there is

    @property
    def notes(self) -> Sequence[tuple[str, str]]:
        """What a reader must know about the answer, in Japanese and in English."""
        return handout.notes(self.answer, self.zone)

    @property
    def grounds(self) -> Mapping[str, str]:
        """View -> its short mark."""
        return handout.grounds(self.answer)

    def html(self, period: str) -> HtmlSheet:
        """A page to hand out: identifiers, no values; it takes this answer's pages."""
        return HtmlSheet(self.zone, made_at=datetime.now(UTC), period=period)

    def csv(self) -> CsvSheet:
        """The table for a spreadsheet; it takes this answer's pages."""
        return CsvSheet(self.zone)


MOST_AT_ONCE = 10_000
"""Most provisions of one page."""


async def provisions_of(
    session: Session,
    subject: str,
    stream: str | None,
    when: Period,
    order: Order,
    *,
    after: str | None = None,
    most: int = MOST_AT_ONCE,
) -> ProvisionsShown:
    """A page of what was given of *subject*; that somebody looks, and why, is recorded before it
    is told.

    Args:
        session: Where it is asked.
        subject: ``<municipality>/<number>``, or the number where one municipality has it.
        stream: Look for the very number in this stream; None: for a person's, wherever it is.
        when: Given in this time.
        order: Who looks, and why.
        after: What the page before ended with; None: the first page.
        most: Most provisions of the page.

    Raises:
        UnknownName: The ledger knows nothing of the number.
        ConfigurationError: The number is of several municipalities; no key of erasures is set, by
            which the journal knows whom somebody looked up; there is no such place to go on after.
        SchemaUnknown: There is no such stream.
        Unavailable: Ledger or log does not answer.
    """
    settings = session.settings
    mark = SubjectPageMark() if after is None else SubjectPageMark.of(after)
    erasure_key(settings)  # before anybody is asked
    asked = ProvisionQueries(await session.ledger())
    where = persons_streams(session.catalog.streams.values())
    if stream is not None:
        where = stream_of_a_number(session.catalog.stream(stream))
    municipality, number = await whose(asked, subject, where, number_form(settings))
    digest = digest_of(session, municipality, number)
    found = await asked.of_subject(municipality, number, where, when, digest, mark=mark, most=most)
    looked_up = Planned(
        act=Act.PROVISIONS_OF,
        count=len(found.provisions),
        stream=stream,
        subject_digest=digest,
    )
    await record(session, looked_up, order)
    is_known = found.provisions or found.erasure is not None
    if not is_known and municipality not in await asked.municipalities_of(number, where):
        raise UnknownName("the ledger knows no event of this number")
    is_full = len(found.provisions) == most
    goes_on = str(SubjectPageMark.behind(found.provisions[-1])) if is_full else None
    zone = ZoneInfo(settings.time_zone)
    return ProvisionsShown(found, zone, goes_on, is_whole=after is None and goes_on is None)


async def all_provisions_of(
    session: Session,
    subject: str,
    stream: str | None,
    when: Period,
    order: Order,
    take: Callable[[ProvisionsShown], None],
) -> ProvisionsShown:
    """Have *take* called with each page of what was given of *subject*; the first of them.

    Each page is recorded as a look-up of its own before it is told.

    Raises:
        BusError: As :func:`provisions_of`.
    """
    page = first = await provisions_of(session, subject, stream, when, order)
    take(page)
    while page.after is not None:
        page = await provisions_of(session, subject, stream, when, order, after=page.after)
        take(page)
    return first


async def provisions_by(session: Session, system: str, when: Period) -> SystemProvisions:
    """What *system* was given: events by day, stream and ground; nobody is named.

    Raises:
        StoreUnavailable: The ledger does not answer.
    """
    return await ProvisionQueries(await session.ledger()).by_system(system, when)


def marks_of(answer: SystemProvisions) -> Mapping[str, str]:
    """View -> the mark that stands for it, in the order of the days."""
    first = dict.fromkeys(day.view for day in answer.days)
    return {view: f"[{number}]" for number, view in enumerate(first, start=1)}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a system's provisions of a stream, event by event."""

    events: Sequence[Provision]
    after: str | None  # where the next page goes on; None: there is none


async def provisions_page(
    session: Session, system: str, stream: str, when: Period, after: str | None, most: int,
    order: Order,
) -> Page:  # fmt: skip
    """A page of a system's provisions of a stream; recorded as a look-up first: persons are named.

    Raises:
        ConfigurationError: There is no such place to go on after.
        SchemaUnknown: There is no such stream.
        Unavailable: Ledger or log does not answer.
    """
    name = session.catalog.stream(stream).name
    mark = PageMark() if after is None else PageMark.of(after)
    asked = ProvisionQueries(await session.ledger())
    page = await asked.page(system, name, when, mark, most)
    looked_up = Planned(act=Act.PROVISIONS_BY, count=len(page), system=system, stream=name)
    await record(session, looked_up, order)
    return Page(page, str(PageMark.behind(page[-1])) if len(page) == most else None)


async def whose(
    asked: ProvisionQueries, subject: str, where: PersonsStreams, form: NumberForm
) -> tuple[str, str]:
    """Municipality and number of *subject*, the number in the site's *form*.

    Raises:
        ConfigurationError: It says none, and the ledger knows none, or several.
    """
    municipality, _, number = subject.rpartition("/")
    if not number or not number.isprintable() or " " in number:
        raise ConfigurationError("a subject is <municipality>/<number>, or the number")
    if municipality and not is_municipality(municipality):
        raise ConfigurationError(
            "a subject's municipality is a 全国地方公共団体コード of six digits"
        )
    number = form.of(number) if where.is_spelled else number
    return municipality or await asked.municipality_of(number, where), number
