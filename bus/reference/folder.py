"""Compare the pages with a folder, and write those that differ.

Only what was made here is ever written over or removed: every file says so in its first lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bus.errors import ConfigurationError
from bus.reference.markdown import MADE

_LOOKED_AT = ("*.md", "*.html", "*.svg", "streams/*.md", "systems/*.md", "codes/*.md")
_HEAD = 400  # bytes in which a file must say that it was made here


@dataclass(frozen=True, slots=True)
class FolderDifference:
    """How a folder differs from the pages, by path below it, each in alphabetical order."""

    missing: tuple[str, ...]
    old: tuple[str, ...]
    surplus: tuple[str, ...]  # made here once, and no page any more

    def __bool__(self) -> bool:
        return bool(self.missing or self.old or self.surplus)


def difference(folder: Path, pages: Mapping[str, str]) -> FolderDifference:
    """What :func:`write` would do in *folder*, which need not exist."""
    contents = {path: _content(folder / path) for path in sorted(pages)}
    held = {path: content for path, content in contents.items() if content is not None}
    return FolderDifference(
        missing=tuple(path for path in contents if path not in held),
        old=tuple(path for path, content in held.items() if content != pages[path].encode()),
        surplus=tuple(sorted(path for path in _made_in(folder) if path not in pages)),
    )


def write(folder: Path, pages: Mapping[str, str]) -> FolderDifference:
    """Make *folder* hold exactly *pages*, besides files of other origin; what was done.

    Raises:
        ConfigurationError: A file of somebody else stands where a page should be.
    """
    found = difference(folder, pages)
    for path in found.old:
        if not _is_made(folder / path):
            raise ConfigurationError(
                "a file that was not made by this command is in the way", file=folder / path
            )
    for path in (*found.missing, *found.old):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pages[path].encode())
    for path in found.surplus:
        (folder / path).unlink()
    return found


def _made_in(folder: Path) -> Iterator[str]:
    for pattern in _LOOKED_AT:
        for file in folder.glob(pattern):
            if _is_made(file):
                yield file.relative_to(folder).as_posix()


def _is_made(file: Path) -> bool:
    return MADE.encode() in (_content(file) or b"")[:_HEAD]


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
