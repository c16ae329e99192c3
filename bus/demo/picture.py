"""Draw the demo's last screen as an SVG file, from the record of a real run.

``renkei demo --svg docs/demo.svg`` runs the demo and writes both: the record (JSON) and its
picture. A test draws the record again and compares, so the picture cannot grow old unseen.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from bus.demo.result import DemoResult
from bus.demo.screen import WIDTH, summary

_WEB_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def draw(result: DemoResult) -> str:
    """The last screen as SVG; the same result gives the same text, which names no other file."""
    console = Console(
        record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(summary(result))
    svg = console.export_svg(title="renkei demo", theme=MONOKAI, unique_id="renkei-demo")
    return _WEB_FONTS.sub("", svg)


def transcript(result: DemoResult) -> str:
    """The last screen as text, as it is written to a pipe."""
    console = Console(file=StringIO(), width=WIDTH, no_color=True, record=True)
    console.print(summary(result))
    lines = console.export_text(styles=False).splitlines()
    return "\n".join(line.rstrip() for line in lines).strip() + "\n"


def save(result: DemoResult, svg: Path) -> None:
    """Write the picture, and beside it the record that it was drawn from."""
    record = json.dumps(asdict(result), ensure_ascii=False, indent=1)
    svg.with_suffix(".json").write_text(record + "\n", encoding="utf-8")
    svg.write_text(draw(result), encoding="utf-8")


def load(record: Path) -> DemoResult:
    """The result in a record that :func:`save` wrote."""
    return DemoResult.from_record(json.loads(record.read_text(encoding="utf-8")))
