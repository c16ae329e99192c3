"""Know which systems should have what, by the subscriptions that are in force now.

Files are read once, as in a process that delivers; editions are followed, and days pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from bus.app.configured import granted_by, this_day
from bus.app.deliverers import expected_of
from bus.catalog import Catalog
from bus.control.editions import Editions, Newest
from bus.policy import read_subscriptions
from bus.settings import Settings

Granted = Mapping[str, Mapping[str, frozenset[str]]]


class ExpectedSystems:
    """The systems that some process must host, and those that should have each stream."""

    def __init__(self, settings: Settings, streams: Catalog, editions: Editions) -> None:
        self._settings = settings
        self._streams = streams
        self._files = read_subscriptions(streams)
        self._editions = editions
        self._reckoned_for: tuple[date, Mapping[str, Newest]] | None = None
        self._granted: Granted = {}

    def hosted(self) -> list[str]:
        """The systems that some process must host now."""
        return expected_of(self._settings, self._now())

    def by_stream(self) -> Mapping[str, frozenset[str]]:
        """Stream -> the systems that should have all its events now: those of the settings, or all
        where they name none."""
        ours = self._settings.systems
        expected: dict[str, set[str]] = {}
        for system, views in self._now().items():
            for stream in views:
                if system in ours or not ours:
                    expected.setdefault(stream, set()).add(system)
        return {stream: frozenset(systems) for stream, systems in expected.items()}

    def _now(self) -> Granted:
        """What is granted; reckoned again only where an edition or the day is another."""
        today, newest = this_day(), dict(self._editions.newest)
        if self._reckoned_for != (today, newest):
            self._granted = granted_by(self._files, self._streams, today, newest)
            self._reckoned_for = today, newest
        return self._granted
