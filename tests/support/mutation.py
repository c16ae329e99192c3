"""Changes as a broken or a hostile core system might write them: valid ones, spoilt by chance.

Seeded: the same seed gives the same changes. Starting points are every valid example of every
stream that may be published (:func:`whole_changes`); a mutation swaps a type, puts in nonsense,
nests it deeply, takes a key away, adds one, repeats or exchanges parts, and may be done several
times over. What comes out is JSON as far as :mod:`json` can say it: NaN and half a character too.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from bus.catalog import Catalog

Json = Any

_PLAIN: tuple[Json, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, -(10**400), 1e308,
    0.1, float("nan"), float("inf"), "", " ", "0", "x", "山田", "\ud800", "\udfff\ud800", "\x00",
    "\x7f", "\u0085", "\ue000", "\U000f0000", "\U0010ffff", "\ufeff", "辻\U000e0100", "か\u3099",
    "000000012345674", "123456789018", "131016", "0000-01-01", "9999-12-31", "2023-02-29",
    "2026-04-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00Z", "2026-04-01T10:15:30+09:00", "1e999", "NaN", "null",
    "019d3f00-0000-7000-8000-000000001001", "RECORD", "CANCELLATION", "protection",
    "protection.started", "resident", "individual_number", "receipt", "１２３", "a" * 300,
    "長" * 5_000,
)  # fmt: skip
_DEEPEST = 150


def whole_changes(catalog: Catalog) -> list[Json]:
    """A change of one record for each valid example, and some of two."""
    streams = catalog.folder / "streams"
    found = [
        _change_of(json.loads(file.read_text(encoding="utf-8")), stream.name)
        for stream in catalog.streams.values()
        if not stream.is_internal
        for file in sorted((streams / stream.name / "examples" / "valid").glob("*.json"))
    ]
    pairs = zip(found, found[1:] + found[:1], strict=True)
    return found + [one | {"records": one["records"] + other["records"]} for one, other in pairs]


def spoilt(wholes: list[Json], seed: int) -> Iterator[Json]:
    """One spoilt change after another, without end."""
    chance = random.Random(seed)
    texts = [json.dumps(whole) for whole in wholes]
    while True:
        change = json.loads(chance.choice(texts))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            change = _spoil(change, chance)
        yield change


def _change_of(example: Json, stream: str) -> Json:
    header = example["header"]
    body = {name: value for name, value in example.items() if name != "header"}
    record = {
        name: header[name]
        for name in ("event_type", "nature", "subject_id", "version", "effective_date", "cancels")
    }
    change = {
        name: header[name]
        for name in ("municipality_code", "source", "reason", "notified_on", "processed_at")
    }
    return {**change, "records": [{"stream": stream, **record, "body": body}]}


def _spoil(value: Json, chance: random.Random) -> Json:
    """*value* with one place changed, whichever comes up; the whole of it if it is no container."""
    places = list(_places(value))
    if not places:
        return _nonsense(chance)
    holder, key = chance.choice(places)
    kind = chance.randrange(10)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        name = chance.choice(("x", "山田", "\ud800", "", "header", "protected"))
        holder[name] = _nonsense(chance)
    elif kind == 2 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif kind == 3:
        other, at = chance.choice(places)
        holder[key] = copy.deepcopy(other[at])
    elif kind == 4:
        holder[key] = [holder[key]] * chance.choice((0, 1, 2, 40))
    elif kind == 5:
        holder[key] = {chance.choice(("date", "text", "x")): holder[key]}
    elif kind == 6 and isinstance(holder[key], str):
        holder[key] = _text(holder[key], chance)
    else:
        holder[key] = _nonsense(chance)
    return value


def _places(value: Json) -> Iterator[tuple[Any, Any]]:
    """Every place inside *value*: what holds it, and its key there."""
    waiting = [value] if isinstance(value, dict | list) else []
    while waiting:
        holder = waiting.pop()
        keys = holder if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])


def _nonsense(chance: random.Random) -> Json:
    kind = chance.randrange(12)
    if kind == 0:
        return [chance.choice(_PLAIN) for _ in range(chance.randrange(4))]
    if kind == 1:
        return {chance.choice(("date", "x", "subject_id", "山田")): chance.choice(_PLAIN)}
    if kind == 2:
        nested: Json = chance.choice(_PLAIN)
        for _ in range(chance.randrange(_DEEPEST)):
            nested = [nested] if chance.random() < 0.5 else {"x": nested}
        return nested
    if kind == 3:
        return [{}]
    return chance.choice(_PLAIN)


def _text(value: str, chance: random.Random) -> str:
    at = chance.randrange(len(value) + 1)
    put = chance.choice(("", "\ud800", "\x00", "\ue000", " ", "９", "\n", value, "z" * 100))
    return value[:at] + put + value[at + chance.randrange(2) :]
