"""One system's record of one of its subjects, and the writing of such records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random

from bus.model import Nature
from bus.publish.identity import event_id_of, new_change_id
from bus.sample.municipality.making import JAPAN
from bus.sample.municipality.subjects import Body, Entry, Subject, known


@dataclass(slots=True, kw_only=True)
class Holding(Subject):
    """One record of a system other than the register."""

    stream: str
    source: str
    content: Body

    def body(self) -> Body:
        """The whole record, as its stream has it."""
        return self.content


class Scribe:
    """Writes records from one seed."""

    def __init__(self, random: Random, at: datetime) -> None:
        self.random = random
        self.at = at
        self.today = at.astimezone(JAPAN).date()

    def holding(
        self,
        event_type: str,
        number: str,
        effective: date,
        content: Body,
        source: str | None = None,
        nature: Nature = Nature.RECORD,
    ) -> Holding:
        """A record as a first load hands it over: a change of its own, of the day it is true from.

        Args:
            event_type: Of which stream, and what happened last.
            number: The subject's id.
            effective: The day of that; one to come is entered today.
            content: The body.
            source: The publishing system, by default the one that the stream is named for.
            nature: What the entry does to what was known.
        """
        change_id = new_change_id(self.at, self.random.randbytes)
        stream = event_type.rpartition(".")[0]
        return Holding(
            number=number,
            stream=stream,
            source=source or stream.partition(".")[0],
            content=content,
            entry=Entry(
                event_type,
                nature,
                None,
                known(effective),
                None,
                self.office_hours(min(effective, self.today)),
                change_id,
                event_id_of(change_id, 0),
            ),
        )

    def office_hours(self, day: date) -> datetime:
        """A random moment in that day's office hours; never after now."""
        seconds = self.random.randint(0, 8 * 3600)
        return min(datetime.combine(day, time(9), JAPAN) + timedelta(seconds=seconds), self.at)

    def between(self, first: date, last: date) -> date:
        """A random day of a span; its first day if the span is empty."""
        days = (last - first).days
        return first + timedelta(days=self.random.randint(0, days)) if days > 0 else first
