"""A plugin of pytest that writes down, line by line, how each test ended and by which error.

A test that has failed in one of its cases is not run in its others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "MUTANT_OUTCOMES"
_failed: set[str] = set()


def _write(**line: Any) -> None:
    with Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def without_case(test: str) -> str:
    """The id of a test without that of one of its cases."""
    return test.partition("[")[0]


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _write(test=report.nodeid, outcome="not collected", error="", said=str(report.longrepr))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if without_case(item.nodeid) in _failed:
        pytest.skip("another case of it has failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" or not report.passed:
        test, error, said = item.nodeid, "", ""
        if call.excinfo is not None:
            error = call.excinfo.typename
            said = str(call.excinfo.value).partition("\n")[0][:200]
        _write(test=test, outcome=report.outcome, error=error, said=said)
        if report.failed:
            _failed.add(without_case(test))
    return report
