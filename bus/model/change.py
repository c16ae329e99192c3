"""A change as a core system hands it in: one act of one clerk, one or several records.

Outside data becomes a value here; what the schemas, code lists and rules say about it is
checked by ``bus.publish``.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

from bus.model.stream import Nature

_CALENDAR_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_OPEN_START = "0000-01-01"  # an open end of 基本データリスト: no date at all, not an odd one


def calendar_date(text: str) -> dt.date | None:
    """The day that *text* (``YYYY-MM-DD`` and nothing else) names; None if no calendar has it."""
    if not _CALENDAR_FORM.match(text):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def with_odd_date_as_text(value: dict[str, Any]) -> dict[str, Any]:
    """A partial date of JSON; a ``date`` in no calendar is moved to ``text`` if free."""
    said = value.get("date")
    if (
        isinstance(said, str)
        and value.get("text") is None
        and said != _OPEN_START
        and _CALENDAR_FORM.match(said)
        and calendar_date(said) is None
    ):
        return {**value, "date": None, "text": said}
    return value


class PartialDate(BaseModel):
    """A date that may be unknown or no calendar date (不詳日).

    ``date`` is a calendar date; one that is none (2023-02-29, 令和3年春) travels in ``text``. Input
    that has such a day in ``date`` and nothing in ``text`` is carried over.
    Source: 住民記録システム標準仕様書 v1.0, 1.1.8; 基本データリスト, …_不詳フラグ / …_不詳表記.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: dt.date | None = None
    unknown: bool = False
    text: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _carry(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        value = with_odd_date_as_text(value)
        said = value.get("date")
        day = calendar_date(said) if isinstance(said, str) else None
        return value if day is None else {**value, "date": day}


class ChangeRecord(BaseModel):
    """One subject's whole state after the change, for one stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stream: str
    event_type: str
    nature: Nature = Nature.CHANGE
    subject_id: str
    version: int
    effective_date: PartialDate = PartialDate()
    cancels: str | None = None
    body: dict[str, JsonValue]


class Change(BaseModel):
    """One act of one clerk (異動): who, what, why, when, and its records.

    ``change_id`` is a UUIDv7; one is made where it is absent. ``change_size`` may be declared
    and must then be the number of records. ``processed_at`` (処理日時) has a zone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    change_id: str | None = None
    change_size: int | None = None
    municipality_code: str
    source: str
    reason: str | None = None
    notified_on: dt.date | None = None
    processed_at: AwareDatetime
    records: tuple[ChangeRecord, ...] = Field(min_length=1)


def event_key(municipality_code: str, subject_id: str) -> str:
    """The Kafka key of a subject's events: ``<municipality_code>/<subject_id>``."""
    return f"{municipality_code}/{subject_id}"


JsonObject = dict[str, Any]
