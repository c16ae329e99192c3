"""``python -m tests.orders`` says what it found, and with which seed it is found again."""

from __future__ import annotations

import json

import pytest

import connectors.memory.sink as memory
from tests.orders.__main__ import main

pytestmark = pytest.mark.slow


def test_orders_that_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them are run, in races whose seeds count up."""
    assert main(["--orders", "28", "--seed", "5", "--json"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert (said["first_seed"], said["races"], said["orders"]) == (5, 2, 28)
    assert said["looks"] > 28
    assert said["failed_seed"] is None


def test_an_order_that_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends there, and says how to have the same order again."""
    monkeypatch.setattr(memory, "suppress", lambda table, *_: table)

    assert main(["--orders", "100", "--seed", "0"]) == 1

    said = capsys.readouterr().out
    assert "was seen" in said
    assert "--orders 25 --seed 0\n" in said
