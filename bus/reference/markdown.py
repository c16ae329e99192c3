"""Write Markdown, as far as the pages need it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MADE = (
    "<!-- Written by `renkei docs build`. Do not edit: change the schema or the subscription. -->"
)
"""The first line of every page: who finds it knows that the file may be written anew."""

_SPECIAL = re.compile(r"([\\`*\[\]<>|])")


def text(value: object) -> str:
    """Plain text with all markup escaped; a dash for empty text."""
    said = " ".join(str(value).split()) if value is not None else ""
    return _SPECIAL.sub(r"\\\1", said) or "–"


def code(value: object) -> str:
    """An identifier."""
    return f"`{value}`"


def link(shown: str, target: str) -> str:
    """A link; *shown* is Markdown already."""
    return f"[{shown}]({target})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table's lines; the cells are Markdown already."""
    return [
        _row(head),
        _row(["---"] * len(head)),
        *(_row(row) for row in rows),
        "",
    ]


def facts(rows: Iterable[tuple[str, str]]) -> list[str]:
    """A table of two columns without a heading."""
    return table(("", ""), rows)


def page(title: str, lines: Iterable[str]) -> str:
    """A page's text."""
    body = "\n".join(lines).rstrip()
    return f"{MADE}\n\n# {title}\n\n{body}\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
