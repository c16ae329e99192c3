"""Which time a test has: the machine's, or its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support.madeup import MadeUp


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """See :mod:`tests.support.madeup`."""
    is_made_up = item.get_closest_marker("made_up_time") is not None
    return {"loop": MadeUp if is_made_up else asyncio.new_event_loop}
