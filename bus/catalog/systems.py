"""The list of systems: who may publish or receive, and what each is called (``systems.yaml``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bus.catalog.documents import Document, KeyPath
from bus.model import Fault, System, SystemKind

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TEXTS = ("ja", "en")
_TEXTS_OR_NOTHING = ("ministry", "separate_organ")
_KEYS = frozenset({*_TEXTS, *_TEXTS_OR_NOTHING, "kind"})


def read_systems(document: Document) -> tuple[dict[str, System], list[Fault]]:
    """The systems in *document* without a fault, in its order, and all faults."""
    value, found, faults = document.value, dict[str, System](), list[Fault]()
    if not isinstance(value, dict) or set(value) != {"systems"}:
        return found, [document.fault("type", (), "a mapping with systems alone")]
    if not isinstance(value["systems"], dict) or not value["systems"]:
        return found, [document.fault("type", ("systems",), "at least one system, by its name")]
    for name, entry in value["systems"].items():
        wrong = _faults_of(document, ("systems", str(name)), name, entry)
        faults += wrong
        if not wrong:
            found[name] = System(
                name=name,
                ja=entry["ja"],
                en=entry["en"],
                kind=SystemKind(entry["kind"]),
                ministry=entry["ministry"],
                separate_organ=entry["separate_organ"],
            )
    return found, faults


def _faults_of(document: Document, place: KeyPath, name: object, entry: Any) -> list[Fault]:
    shown = str(name)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return [document.fault("name", place, "a system's name in snake case", field=shown)]
    if not isinstance(entry, Mapping) or set(entry) != _KEYS:
        expected = "exactly " + ", ".join(sorted(_KEYS))
        return [document.fault("property", place, expected, field=shown)]
    faults = [
        document.fault("property", (*place, key), f"{key}: a text", field=shown)
        for key in (*_TEXTS, *_TEXTS_OR_NOTHING)
        if not (_is_text(entry[key]) or (entry[key] is None and key in _TEXTS_OR_NOTHING))
    ]
    if entry["kind"] not in list(SystemKind):
        expected = "kind: one of " + ", ".join(SystemKind)
        faults.append(document.fault("property", (*place, "kind"), expected, field=shown))
    return faults


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
