"""Records in which every sensitive item holds a word that is nowhere else in the world.

Made from the schema files read as JSON, without the product: strings get a token, amounts a number
of thirteen digits, dates a day of the nineteenth century that is used once. What is too short to
be told apart (a code, a grade, a flag, a postal code) holds what its rules want, and numbers that
identify a subject hold that number: the ledger keeps those, by design.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.acceptance.leaks import Canary

SHORTEST = 9  # characters; what is shorter turns up by chance
_FIRST_DAY = date(1860, 1, 1)
_SENSITIVE = ("personal", "location", "restricted")


@dataclass(frozen=True, slots=True)
class Planted:
    """A canary, and whose item of which stream holds it."""

    canary: Canary
    stream: str
    path: str
    sensitivity: str
    subject: str
    is_protected: bool


@dataclass(slots=True)
class Garden:
    """Where canaries are planted; the same seed plants the same."""

    schemas: Path
    random: Random
    planted: list[Planted] = field(default_factory=list)
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """(stream, subject) -> the record that was made."""
    _days: Iterator[date] = field(
        default_factory=lambda: (_FIRST_DAY + timedelta(days=7 * n) for n in range(2_000))
    )

    @property
    def streams(self) -> list[str]:
        """Every stream that systems publish."""
        return sorted(
            folder.name
            for folder in (self.schemas / "streams").iterdir()
            if not newest(folder).get("x-internal")
        )

    def record(
        self,
        stream: str,
        example: str,
        subject: str,
        *,
        is_protected: bool,
        given: Mapping[str, Any],
    ) -> dict[str, Any]:
        """One record of *stream* as a change has it, planted.

        Args:
            example: The valid example that says what cannot hold a canary: codes, flags, grades.
            subject: The record's subject id.
            is_protected: Whether anybody whom the record is about is protected.
            given: Dotted path -> the value it has to have, whatever could be planted there.
        """
        folder = self.schemas / "streams" / stream
        file = folder / "examples" / "valid" / f"{example}.json"
        base = json.loads(file.read_text(encoding="utf-8"))
        header = base.pop("header")
        planting = _Planting(self, stream, subject, given, _types(self.schemas))
        planting.is_protected = is_protected
        made = {
            "stream": stream,
            "event_type": header["event_type"],
            "nature": header["nature"],
            "subject_id": subject,
            "version": 1,
            "effective_date": header["effective_date"],
            "body": planting.fields(newest(folder)["fields"][1:], "", None, base),
        }
        self.records[stream, subject] = made
        return made

    def plant(self, stream: str, path: str, sensitivity: str, subject: str, token: str,
              *, is_protected: bool) -> None:  # fmt: skip
        """Remember where a token was put."""
        held = Canary(token, f"{stream}.{path} of {'a protected' if is_protected else 'a'} subject")
        self.planted.append(Planted(held, stream, path, sensitivity, subject, is_protected))

    def day(self) -> date:
        """A day that nothing else has; later than the one before."""
        return next(self._days)

    def token(self, length: int) -> str:
        """So many characters that nothing else has."""
        return "".join(self.random.choice("0123456789abcdef") for _ in range(length))

    def digits(self, length: int) -> str:
        """So many digits, not beginning with a nought."""
        return "7" + "".join(self.random.choice("0123456789") for _ in range(length - 1))


def newest(folder: Path) -> dict[str, Any]:
    """The newest version of a stream's schema, as its file has it."""
    file = max(folder.glob("v*.avsc"), key=lambda each: int(each.stem[1:]))
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _types(schemas: Path) -> dict[str, Any]:
    found = {}
    for file in (schemas / "types").glob("*.avsc"):
        kind = json.loads(file.read_text(encoding="utf-8"))
        found[f"jp.renkei.{kind['name']}"] = kind
    return found


@dataclass(slots=True)
class _Planting:
    """One record on its way."""

    garden: Garden
    stream: str
    subject: str
    given: Mapping[str, Any]
    types: Mapping[str, Any]
    is_protected: bool = False

    def fields(
        self, fields: list[dict[str, Any]], above: str, sensitivity: str | None, base: Any
    ) -> dict[str, Any]:
        """The values of a record's fields, in order; a sum after its summands."""
        made: dict[str, Any] = {}
        for entry in fields:
            path = f"{above}.{entry['name']}" if above else entry["name"]
            kept = entry.get("x-sensitivity", sensitivity)
            held = base.get(entry["name"]) if isinstance(base, dict) else None
            if path in self.given:
                made[entry["name"]] = self.given[path]
            elif "x-sum-of" in entry:
                made[entry["name"]] = sum(made[name] for name in entry["x-sum-of"])
                if kept in _SENSITIVE:
                    self._plant(path, kept, str(made[entry["name"]]))
            else:
                made[entry["name"]] = self._value(entry, entry["type"], path, kept, held)
        return made

    def _value(
        self, entry: dict[str, Any], kind: Any, path: str, sensitivity: str | None, held: Any
    ) -> Any:
        if isinstance(kind, list):
            kind = next(arm for arm in kind if arm != "null")
        if isinstance(kind, str) and kind in self.types:
            kind = self.types[kind]
        if isinstance(kind, dict):
            return self._made_of(entry, kind, path, sensitivity, held)
        if sensitivity not in _SENSITIVE or "x-codes" in entry:
            return held
        if kind == "long":
            return self._amount(path, sensitivity)
        return self._text(entry, path, sensitivity, held) if kind == "string" else held

    def _made_of(
        self, entry: dict[str, Any], kind: dict[str, Any], path: str, sensitivity: Any, held: Any
    ) -> Any:
        if kind["type"] == "record" and kind["name"] == "PartialDate":
            return {"date": self._day(path, sensitivity), "unknown": False, "text": None}
        if kind["type"] == "record":
            return self.fields(kind["fields"], path, sensitivity, held)
        if kind["type"] == "array":
            return [
                self._value(entry, kind["items"], path, sensitivity, each) for each in held or ()
            ]
        if kind.get("logicalType") == "date" and sensitivity in _SENSITIVE:
            return self._day(path, sensitivity)
        return held

    def _day(self, path: str, sensitivity: str | None) -> str:
        day = self.garden.day().isoformat()
        self._plant(path, sensitivity, day)
        return day

    def _amount(self, path: str, sensitivity: str | None) -> int:
        value = int(self.garden.digits(13))
        self._plant(path, sensitivity, str(value))
        return value

    def _text(self, entry: dict[str, Any], path: str, sensitivity: str | None, held: Any) -> Any:
        check, most = entry.get("x-check", ""), int(entry.get("x-max-length", 100))
        prefix = "ロウエイケンサ" if check == "kana" else "漏洩検査"
        check = "" if check in ("name", "kana") else check
        if check == "individual-number":
            token = individual_number(self.garden.digits(11))
        elif check.startswith("digits:") and int(check.removeprefix("digits:")) >= SHORTEST:
            token = self.garden.digits(int(check.removeprefix("digits:")))
        elif check or most < SHORTEST:
            return held
        else:
            token = self.garden.token(min(most, 16))
        self._plant(path, sensitivity, token)
        is_wide = not check and most >= len(token) + 8 and entry.get("x-form", "X")[0] != "X"
        return f"{prefix}-{token}" if is_wide else token

    def _plant(self, path: str, sensitivity: str | None, token: str) -> None:
        assert sensitivity is not None
        self.garden.plant(
            self.stream, path, sensitivity, self.subject, token, is_protected=self.is_protected
        )


def individual_number(body: str) -> str:
    """*body* (11 digits) with its check digit (総務省令第85号(平成26年) 第5条)."""
    total = 0
    for place, digit in enumerate(reversed(body), 1):
        total += int(digit) * (place + 1 if place <= 6 else place - 5)
    rest = total % 11
    return body + str(0 if rest <= 1 else 11 - rest)
