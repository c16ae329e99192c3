"""The path of each page, and the links between pages."""

from __future__ import annotations

import posixpath

FRONT = "README.md"
BOOK = "index.html"
PICTURE = "matrix.svg"


def of_stream(name: str) -> str:
    """The path of a stream's page."""
    return f"streams/{name}.md"


def of_system(name: str) -> str:
    """The path of a system's page."""
    return f"systems/{name}.md"


def of_codes(name: str) -> str:
    """The path of a code list's page."""
    return f"codes/{name}.md"


def between(page: str, other: str) -> str:
    """The relative link from *page* to *other*."""
    return posixpath.relpath(other, posixpath.dirname(page) or ".")
