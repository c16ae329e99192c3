"""Who was given what: the ledger's answers, with the streams and the days of these settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, time, timedelta

from bus.access import erasure_key, number_form
from bus.app.configured import catalog
from bus.app.outside import ledger
from bus.deliver.fleet import JAPAN
from bus.errors import ConfigurationError, UnknownName
from bus.ledger.provided import Period, Provided
from bus.ledger.provisions import Provisions
from bus.ledger.subjects import PersonsStreams, persons_streams, stream_of_a_number
from bus.model import NumberForm
from bus.model.erasure import subject_digest
from bus.publish.digits import is_municipality
from bus.settings import Settings


@asynccontextmanager
async def provided(settings: Settings) -> AsyncIterator[Provided]:
    """The ledger of these settings, to be asked about provisions."""
    async with ledger(settings) as asked:
        yield Provided(asked)


def period(first: date | None, last: date | None) -> Period:
    """From the first day to the end of the last, in Japan.

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


async def provisions_of(
    settings: Settings, asked: Provided, subject: str, stream: str | None, when: Period
) -> Provisions:
    """What was given of *subject*.

    Args:
        subject: ``<municipality>/<number>``, or the number where one municipality has it.
        stream: Look for the very number in this stream; None: for a person's, wherever it is.

    Raises:
        UnknownName: The ledger knows nothing of the number.
        ConfigurationError: The number is of several municipalities.
        SchemaUnknown: There is no such stream.
    """
    streams = catalog(settings)
    where = persons_streams(streams.streams.values())
    if stream is not None:
        where = stream_of_a_number(streams.stream(stream))
    municipality, number = await whose(asked, subject, where, number_form(settings))
    digest = None
    if settings.erasure_key_file is not None:
        digest = subject_digest(erasure_key(settings), municipality, number)
    found = await asked.of_subject(municipality, number, where, when, digest)
    is_known = found.provisions or found.erasure is not None
    if not is_known and municipality not in await asked.municipalities_of(number, where):
        raise UnknownName("the ledger knows no event of this number")
    return found


async def whose(
    asked: Provided, subject: str, where: PersonsStreams, form: NumberForm
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
