"""Draw the matrix as an SVG file that refers to no other file."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from bus.model import System, SystemKind
from bus.reference.markdown import MADE
from bus.reference.matrix import signs, taking_part
from bus.reference.sources import Sources
from bus.reference.visibility import CAPABLE, MARKS, PROVIDES, RECEIVES, WITHHOLD, Sign

_CELL = 26
_LEFT = 330  # where names of streams end
_LETTER = 13
_COLOURS = {PROVIDES: "#b45309", RECEIVES: "#0f766e", WITHHOLD: "#1d4ed8", CAPABLE: "#be123c"}
_STYLE = (
    "text{fill:#1f2937;font-family:'Noto Sans CJK JP','Yu Gothic',Meiryo,sans-serif}"
    ".ja{font-size:12px}.en{font-size:10px;fill:#6b7280}.sign{font-size:14px;text-anchor:middle}"
    ".head{font-size:12px;text-anchor:middle}.key{font-size:11px}"
)


def picture(sources: Sources) -> str:
    """The picture's text; the same sources give the same text."""
    systems = taking_part(sources)
    top = 24 + _LETTER * max(len(each.ja) for each in systems)
    width = _LEFT + _CELL * len(systems) + 16
    bottom = top + _CELL * len(sources.streams)
    height = bottom + 24 + 18 * len(MARKS)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        MADE,
        "<title>提供と受取の一覧 Who provides and who receives</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_columns(systems, top, bottom),
        *_rows(sources, systems, top, width),
        *_key(bottom),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _columns(systems: tuple[System, ...], top: int, bottom: int) -> Iterator[str]:
    for index, system in enumerate(systems):
        x = _LEFT + _CELL * index
        fill = "#f3f4f6" if system.kind is SystemKind.STANDARD else "#fef3c7"
        if index % 2 == 0 or system.kind is not SystemKind.STANDARD:
            yield f'<rect x="{x}" y="8" width="{_CELL}" height="{bottom - 8}" fill="{fill}"/>'
        letters = "".join(
            f'<tspan x="{x + _CELL // 2}" y="{top - 10 - _LETTER * (len(system.ja) - 1 - n)}">'
            f"{escape(letter)}</tspan>"
            for n, letter in enumerate(system.ja)
        )
        yield f'<text class="head"><title>{escape(system.en)}</title>{letters}</text>'


def _rows(sources: Sources, systems: tuple[System, ...], top: int, width: int) -> Iterator[str]:
    for row, stream in enumerate(sources.streams):
        y = top + _CELL * row
        yield f'<line x1="8" y1="{y}" x2="{width - 8}" y2="{y}" stroke="#e5e7eb"/>'
        yield (
            f'<text class="ja" x="12" y="{y + 12}">{escape(stream.ja)}</text>'
            f'<text class="en" x="12" y="{y + 23}">{escape(stream.name)}</text>'
        )
        found = signs(stream, sources)
        for column, system in enumerate(systems):
            yield from _cell(found.get(system.name, ()), _LEFT + _CELL * column, y)


def _cell(found: tuple[Sign, ...], x: int, y: int) -> Iterator[str]:
    for index, mark in enumerate(found):
        middle = x + _CELL * (2 * index + 1) // (2 * len(found))
        yield (
            f'<text class="sign" x="{middle}" y="{y + 18}" style="fill:{_COLOURS[mark]}">'
            f"{mark.sign}</text>"
        )


def _key(bottom: int) -> Iterator[str]:
    for index, mark in enumerate(MARKS):
        y = bottom + 24 + 18 * index
        yield (
            f'<text class="key" x="12" y="{y}"><tspan style="fill:{_COLOURS[mark]}">{mark.sign}'
            f"</tspan> {escape(f'{mark.name}: {mark.meaning}')}</text>"
        )
