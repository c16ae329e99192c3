"""The shipped catalogue, and a small one in a folder that a test may spoil."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from bus.catalog import Catalog, load
from bus.catalog.load import SHIPPED, SYSTEMS


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The catalogue as shipped."""
    return load()


@pytest.fixture
def shown() -> Collection[str]:
    """Streams whose examples are copied, too: hundreds of files that few tests look at."""
    return ()


@pytest.fixture
def folder(tmp_path: Path, shown: Collection[str]) -> Path:
    """A copy of the shipped schemas, to be spoilt."""

    def left_out(path: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "examples" and Path(path).name not in shown]

    target = tmp_path / "schemas"
    for name in ("streams", "types", "codes"):
        shutil.copytree(SHIPPED / name, target / name, ignore=left_out)
    shutil.copy(SHIPPED / SYSTEMS, target)
    return target


@pytest.fixture
def edit(folder: Path) -> Callable[[str, Callable[[Any], None]], Path]:
    """Change a JSON file of the copy by a function on its value."""

    def change(name: str, by: Callable[[Any], None]) -> Path:
        path = folder / name
        value = json.loads(path.read_text(encoding="utf-8"))
        by(value)
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
        return path

    return change
