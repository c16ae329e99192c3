"""Seeds of long runs: all of them in ``make test``, some in ``make test-fast``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def seeds(count: int, fast: int = 3) -> Sequence[Any]:
    """From 0 to *count*; those from *fast* on are marked slow."""
    late = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(fast, count)]
    return [*range(fast), *late]
