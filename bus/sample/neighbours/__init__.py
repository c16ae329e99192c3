"""Subscriptions of the family's neighbours, which are shipped to nobody: 統合収納・滞納,
団体内統合宛名, 戸籍の附票.

Some links of the seventeen systems end at these; the demo and the tests bring them along, by
adding their files to a folder of contracts.
"""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).parent
NEIGHBOURS = tuple(sorted(file.stem for file in HERE.glob("*.yaml")))


def add_neighbours(schemas: Path, folder: Path) -> Path:
    """Copy *schemas* to *folder*, with the neighbours' subscriptions among the others; *folder*."""
    shutil.copytree(schemas, folder, dirs_exist_ok=True)
    for name in NEIGHBOURS:
        shutil.copy2(HERE / f"{name}.yaml", folder / "subscriptions" / f"{name}.yaml")
    return folder
