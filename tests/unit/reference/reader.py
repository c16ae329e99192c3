"""A reader of its own: of schema and subscription files on one side, of pages on the other.

Shares no code with what makes the pages, so that the two can be held against each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

SCHEMAS = Path(__file__).parents[3] / "schemas"
_TYPES = {
    f"jp.renkei.{value['name']}": value
    for value in (
        json.loads(file.read_text(encoding="utf-8")) for file in (SCHEMAS / "types").glob("*.avsc")
    )
}


def streams() -> dict[str, dict[str, Any]]:
    """Stream -> its newest schema file's value."""
    found = {}
    for folder in (SCHEMAS / "streams").iterdir():
        newest = max(folder.glob("v*.avsc"), key=lambda file: int(file.stem[1:]))
        found[folder.name] = json.loads(newest.read_text(encoding="utf-8"))
    return found


def subscriptions() -> dict[str, dict[str, Any]]:
    """System -> its file's value."""
    files = (SCHEMAS / "subscriptions").glob("*.yaml")
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def systems() -> dict[str, dict[str, Any]]:
    """System -> what the list says of it."""
    text = (SCHEMAS / "systems.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["systems"])


def codes() -> dict[str, dict[str, Any]]:
    """Code list -> its file's value."""
    files = (SCHEMAS / "codes").glob("*.yaml")
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def leaves(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Path -> the field that declares it, of every value in a record that is no record."""
    return dict(_leaves(schema, "", dict(_TYPES)))


def _leaves(
    record: dict[str, Any], above: str, types: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for field in record["fields"]:
        path = f"{above}{field['name']}"
        inner = _record(field["type"], types)
        if inner is None:
            yield path, field
        else:
            yield from _leaves(inner, f"{path}.", types)


def _record(kind: Any, types: dict[str, Any]) -> dict[str, Any] | None:
    if isinstance(kind, list):
        kind = next(arm for arm in kind if arm != "null")
    if isinstance(kind, str):
        return types.get(kind)
    if kind["type"] == "array":
        return _record(kind["items"], types)
    if kind["type"] == "record":
        types[f"jp.renkei.{kind['name']}"] = kind
        return dict(kind)
    return None


def section(page: str, beginning: str) -> str:
    """What stands below the heading that begins so, up to the next of its height or above."""
    level = beginning.split(" ")[0]
    found = re.search(
        rf"^{re.escape(beginning)}.*?$(.*?)(?=^#{{1,{len(level)}}} |\Z)", page, re.M | re.S
    )
    return found.group(1) if found else ""


def rows(text: str) -> list[list[str]]:
    """The cells of every row of every table, without headings."""
    found = []
    lines = text.splitlines()
    for index, line in enumerate(lines):
        after = lines[index + 1] if index + 1 < len(lines) else ""
        if line.startswith("|") and not line.startswith("| ---") and not after.startswith("| ---"):
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def plain(cell: str) -> str:
    """A cell's text without its markup."""
    return re.sub(r"\\(.)", r"\1", cell.replace("`", ""))


def links(page: str) -> list[str]:
    """Where a page leads to."""
    outside = re.sub(r"^```.*?^```", "", page, flags=re.M | re.S)
    return re.findall(r"(?<!\\)\]\(([^)]+)\)", outside)
