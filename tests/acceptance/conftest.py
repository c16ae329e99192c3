"""One set of engines for the acceptance tests: their topics have the names of production."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.errors import EngineError
from tests.acceptance.installation import Installation
from tests.support import engines as test_engines
from tests.support.warm import warm


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """A folder with a ``renkei`` that is imported already."""
    with tempfile.TemporaryDirectory(prefix="renkei-programs") as folder, warm(Path(folder)):
        yield Path(folder)


@pytest.fixture(scope="session")
def installation(programs: Path) -> Iterator[Installation]:
    """Engines with a data folder of their own; a module builds its town on them."""
    home = Path(tempfile.gettempdir()) / test_engines.unique("renkei-acceptance")
    home.mkdir(mode=0o700)
    try:
        made = Installation(home, test_engines.stack(home))
    except EngineError as error:
        test_engines.stop(home)
        if os.environ.get("CI"):
            pytest.fail(f"the engines cannot be had: {error}")
        pytest.skip(f"the engines cannot be had: {error}")
    made.programs = programs
    try:
        yield made
    finally:
        made.stop_all()
        test_engines.stop(home)
