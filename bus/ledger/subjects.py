"""In which streams a person's number (宛名番号) occurs, and in which item.

Pure. A stream is about the person itself, about something of the person's that is numbered
``<宛名番号>-<…>`` (an assessment by year), or about something else that may name the person (a
household, a vehicle): of that one the ledger knows the number it is kept under and nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bus.model import Stream, spellings

_SUBJECT = "header.subject_id"
_DERIVED = "宛名番号-"  # how the name of such a number tells what it is made of


@dataclass(frozen=True, slots=True)
class PersonsStreams:
    """Names of published streams, by how a person's number occurs in them."""

    own: tuple[str, ...]  # the number is the person's
    derived: tuple[str, ...]  # the number begins with the person's
    naming: tuple[str, ...]  # the record may name the person, under another number
    is_spelled: bool = True  # the number is a 宛名番号 or 世帯番号, of which there are spellings

    def spellings(self, number: str) -> list[str]:
        """The ways in which *number* may have been written."""
        return [*spellings(number)] if self.is_spelled else [number]


def stream_of_a_number(stream: Stream) -> PersonsStreams:
    """One stream whose subject is a person's number."""
    subject = next((item for item in stream.items if item.path == _SUBJECT), None)
    is_spelled = subject is not None and subject.properties.get("x-check") == "atena"
    return PersonsStreams((stream.name,), (), (), is_spelled)


def persons_streams(streams: Iterable[Stream]) -> PersonsStreams:
    """How a person's number occurs in each of *streams*; internal ones are left out."""
    own, derived, naming = [], [], []
    for stream in streams:
        if stream.is_internal:
            continue
        ja = next((item.ja for item in stream.items if item.path == _SUBJECT), "")
        if _SUBJECT in stream.persons:
            own.append(stream.name)
        elif _DERIVED in ja:
            derived.append(stream.name)
        if set(stream.persons) - {_SUBJECT}:
            naming.append(stream.name)
    return PersonsStreams(tuple(own), tuple(derived), tuple(naming))
