"""Awkward inputs as files: a case found in production is added, and every adapter must pass it.

``text/`` holds texts that must come through unchanged, ``refused/`` texts that no store takes.
A file is UTF-8 and its whole content is the case: no line end is added or taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType


def _read(folder: str) -> Mapping[str, str]:
    files = sorted((Path(__file__).parent / folder).glob("*.txt"))
    return MappingProxyType({file.stem: file.read_bytes().decode("utf-8") for file in files})


HOSTILE_TEXT: Mapping[str, str] = _read("text")
REFUSED_TEXT: Mapping[str, str] = _read("refused")
