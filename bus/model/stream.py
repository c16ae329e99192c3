"""A stream and its schema versions, as the catalogue has loaded them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bus.model.english import english

TOPIC_PREFIX = "linkage."
HEADER = "header"
"""The item that every event has: who, when, which version, and nothing of the record."""


def in_header(path: str) -> bool:
    """Whether a dotted path leads into the header, which every receiver gets."""
    return path.startswith(f"{HEADER}.")


class Sensitivity(StrEnum):
    """How carefully an item is handled (schema property ``x-sensitivity``)."""

    PLAIN = "plain"  # identifies nobody by itself: codes, flags, versions
    PERSONAL = "personal"  # about a person
    LOCATION = "location"  # says where a person is: withheld under protection
    RESTRICTED = "restricted"  # 個人番号 and the like: only in its own stream


class Nature(StrEnum):
    """What an event does to what was known before (header field ``nature``)."""

    RECORD = "RECORD"  # 記載: the subject becomes known
    CHANGE = "CHANGE"  # 修正: the subject's state changes
    CORRECTION = "CORRECTION"  # 訂正: an earlier event was wrong
    CANCELLATION = "CANCELLATION"  # 取消し: an earlier event is undone
    CESSATION = "CESSATION"  # 消除: the subject's record closes


@dataclass(frozen=True, slots=True)
class Item:
    """One leaf of a stream's body or header.

    ``path`` is the dotted path below the record (``header.reason``, ``address.town_code``);
    for an item inside a list, the list's own path comes first (``members.relationship``).
    """

    path: str
    ja: str
    romaji: str
    sensitivity: Sensitivity
    item_id: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)  # x-check, x-codes, x-max-length …
    en: str = ""

    @property
    def is_header(self) -> bool:
        """Whether it is an item of the header."""
        return in_header(self.path)


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One version of a stream's Avro schema, self-contained.

    ``text`` is what is registered (JSON, all named types inlined); ``fingerprint`` is the
    SHA-256 of its Parsing Canonical Form, in hex (Avro specification, "Parsing Canonical
    Form for Schemas").
    """

    stream: str
    version: int
    schema: Mapping[str, Any]
    text: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Stream:
    """An ordered feed of one kind of record about one kind of subject (ストリーム)."""

    name: str
    ja: str
    versions: tuple[SchemaVersion, ...]  # ascending, at least one
    event_types: tuple[str, ...]
    items: tuple[Item, ...]  # of the newest version
    is_internal: bool = False  # receipts, exceptions, operations: the bus about itself
    providers: tuple[str, ...] = ()  # systems that publish it
    persons: tuple[str, ...] = ()  # paths to the ids of all persons whom a record is about

    @property
    def en(self) -> str:
        """The stream's English name."""
        return self.latest.schema.get("x-en") or english(self.name)

    @property
    def topic(self) -> str:
        """The Kafka topic that carries this stream."""
        return TOPIC_PREFIX + self.name

    @property
    def schema_subject(self) -> str:
        """The registry's subject for this stream's values (Confluent's TopicNameStrategy)."""
        return f"{self.topic}-value"

    @property
    def latest(self) -> SchemaVersion:
        """The newest version, on which views are built."""
        return self.versions[-1]

    @property
    def located(self) -> tuple[str, ...]:
        """Paths to the ids of all persons whose location a record may say.

        Everybody whom it names counts: a levy's address gives a co-owner away as well.
        """
        return self.persons if self.has_location else ()

    @property
    def sealed(self) -> tuple[str, ...]:
        """Items that are sealed in the log (schema property ``x-sealed``), by path."""
        return tuple(item.path for item in self.items if item.properties.get("x-sealed"))

    @property
    def has_location(self) -> bool:
        """Whether any item says where a person is, so that the protection fence applies."""
        return any(item.sensitivity is Sensitivity.LOCATION for item in self.items)
