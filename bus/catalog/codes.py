"""Code lists: which values an item may have, each with its names (``schemas/codes/``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bus.catalog.documents import Document
from bus.model import Fault

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_]{0,62}")
_LIST_KEYS = ("name", "ja", "source", "certainty", "entries")


@dataclass(frozen=True, slots=True)
class Code:
    """One value of a list. ``kind`` is its class where the list has classes (記載, 消除, 修正)."""

    code: str
    ja: str
    en: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class CodeList:
    """A closed list of values. ``certainty`` says how sure it is that this is the official list."""

    name: str
    ja: str
    source: str
    certainty: str
    entries: Mapping[str, Code]

    def __contains__(self, code: object) -> bool:
        return code in self.entries


def read_list(document: Document, stem: str) -> tuple[CodeList | None, list[Fault]]:
    """The code list in *document*, whose file is called *stem*, and its faults."""
    value, faults = document.value, list[Fault]()
    if not isinstance(value, dict):
        return None, [document.fault("type", (), "a mapping with " + ", ".join(_LIST_KEYS))]
    for key in value:
        if key not in _LIST_KEYS:
            faults.append(document.fault("property", (key,), "one of " + ", ".join(_LIST_KEYS)))
    for key in _LIST_KEYS[:-1]:
        if not isinstance(value.get(key), str) or not value[key]:
            faults.append(document.fault("property", (key,), f"{key}: a text", field=key))
    if isinstance(value.get("name"), str) and (
        value["name"] != stem or not _NAME.fullmatch(value["name"])
    ):
        faults.append(document.fault("name", ("name",), "the file's name in snake case"))
    entries = _entries(document, faults)
    if faults:
        return None, faults
    return CodeList(value["name"], value["ja"], value["source"], value["certainty"], entries), []


def _entries(document: Document, faults: list[Fault]) -> dict[str, Code]:
    found: dict[str, Code] = {}
    entries = document.value.get("entries")
    if not isinstance(entries, list) or not entries:
        faults.append(document.fault("property", ("entries",), "entries: at least one entry"))
        return found
    for index, entry in enumerate(entries):
        place = ("entries", index)
        if (
            not isinstance(entry, dict)
            or not {"code", "ja", "en"} <= set(entry) <= {"code", "ja", "en", "class"}
            or not all(isinstance(text, str) and text for text in entry.values())
        ):
            faults.append(document.fault("entry", place, "code, ja and en as texts"))
        elif not _CODE.fullmatch(entry["code"]):
            faults.append(document.fault("code", place, "digits, or upper snake case"))
        elif entry["code"] in found:
            faults.append(document.fault("repeated-code", place, "each code once"))
        else:
            found[entry["code"]] = Code(entry["code"], entry["ja"], entry["en"], entry.get("class"))
    return found
