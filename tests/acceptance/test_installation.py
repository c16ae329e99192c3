"""What the acceptance tests start ends, so that no test is judged by what another one left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bus.local.stack import LocalStack
from tests.acceptance import installation
from tests.acceptance.installation import DELIVER, Installation


class Recorded:
    """Stands for a process: runs until it is stopped."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.runs = True
        made.append(self)

    def stop(self) -> int:
        """As an operator does."""
        self.runs = False
        return 0


made: list[Recorded] = []


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """No engines, and no processes."""
    made.clear()
    monkeypatch.setattr(installation, "Process", Recorded)
    return Installation(tmp_path, cast(LocalStack, SimpleNamespace(up=lambda owner: None)))


def test_a_name_that_is_given_again_leaves_nothing_behind(town: Installation) -> None:
    """A process that nobody knows of took half the lanes of every test after it."""
    town.start(DELIVER, "second")
    town.start(DELIVER, "second")

    assert [process.runs for process in made] == [False, True]
    town.stop_all()
    assert not any(process.runs for process in made)


def test_a_second_one_ends_with_a_test_that_fails(town: Installation) -> None:
    """The first one goes on."""

    def fails() -> None:
        with town.beside(DELIVER):
            assert [process.runs for process in made] == [True, True]
            raise AssertionError("found")

    town.start(DELIVER)
    with pytest.raises(AssertionError, match="found"):
        fails()

    assert [process.runs for process in made] == [True, False]
