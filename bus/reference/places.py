"""Where each page lies, and how one links to another."""

from __future__ import annotations

import posixpath

FRONT = "README.md"
BOOK = "index.html"
PICTURE = "matrix.svg"


def of_stream(name: str) -> str:
    """A stream's page."""
    return f"streams/{name}.md"


def of_system(name: str) -> str:
    """A system's page."""
    return f"systems/{name}.md"


def of_codes(name: str) -> str:
    """A code list's page."""
    return f"codes/{name}.md"


def between(page: str, other: str) -> str:
    """What *page* has to say to lead to *other*."""
    return posixpath.relpath(other, posixpath.dirname(page) or ".")
