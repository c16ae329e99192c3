"""What the tests of ``make test-fast`` cost, in whichever run they are: processor time, that of
what they start included.

It is said at the end of a run, and no run fails by it: machines differ.
"""

from __future__ import annotations

import resource
from collections.abc import Generator

import pytest

AIM = 90.0
"""Seconds, on a quiet machine."""
_KEY = "processor_s"
_BEGUN = pytest.StashKey[float]()


def used() -> float:
    """Processor seconds of this process so far, and of those of its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def is_fast(item: pytest.Item) -> bool:
    """Whether ``make test-fast`` runs it."""
    return not any(item.get_closest_marker(mark) for mark in ("service", "slow"))


class Processor:
    """Adds up, wherever the tests ran."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        item.stash[_BEGUN] = used()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        if call.when == "teardown" and is_fast(item):
            item.user_properties.append((_KEY, used() - item.stash[_BEGUN]))
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self.seconds += float(dict(report.user_properties).get(_KEY, 0.0))  # type: ignore[arg-type]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        over = f", {AIM:.0f} s are aimed at" if self.seconds > AIM else ""
        terminalreporter.write_line(
            f"the fast tests took {self.seconds:.0f} s of processor time{over}"
        )
