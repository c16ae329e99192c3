"""``python -m tests.orders``: thousands of orders, and no address in a store that withholds it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import pytest

from tests.support.madeup import run
from tests.unit.deliver.memory_race import FEW, Race, without_logs

TOLD_EVERY = 20
"""Races between two lines of progress."""


@dataclass
class Told:
    """What became of the races."""

    first_seed: int
    races: int = 0
    orders: int = 0
    looks: int = 0
    rebuilds: int = 0
    seconds: float = 0.0
    failed_seed: int | None = None
    failed_orders: int | None = None
    """Families of the race that failed; the same seed with others is another order."""
    failure: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Exits 1 at the first order that fails, and 130 where it is cut off: what was run is told."""
    asked = _arguments(arguments)
    if not asked.verbose:
        without_logs()
    told = Told(asked.seed)
    with suppress(KeyboardInterrupt):
        _races(told, asked.orders)
    is_whole = told.orders == asked.orders
    if asked.json:
        print(json.dumps(asdict(told), indent=2))
    elif told.failed_seed is None:
        cut = "" if is_whole else f" of {asked.orders}, cut off"
        print(
            f"{told.orders} orders{cut}, {told.looks} looks,"
            f" {told.rebuilds} rebuilds: nothing seen."
        )
    else:
        print(
            f"{told.failure}\nAgain: python -m tests.orders --verbose --orders"
            f" {told.failed_orders} --seed {told.failed_seed}"
        )
    return 1 if told.failed_seed is not None else 0 if is_whole else 130


def _races(told: Told, orders: int) -> None:
    """Races until so many families have lived, or one has failed."""
    started = time.process_time()
    while told.orders < orders and told.failed_seed is None:
        _race(told, told.first_seed + told.races, min(FEW, orders - told.orders))
        told.seconds = round(time.process_time() - started, 1)
        if told.races % TOLD_EVERY == 0 or told.orders == orders:
            print(
                f"[{told.orders}/{orders}] seeds {told.first_seed} to"
                f" {told.first_seed + told.races - 1}, {told.looks} looks, {told.seconds:.0f} s",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def _race(told: Told, seed: int, families: int) -> None:
    """One race of so many families; *told* of what it came to, or of how it failed."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            race = Race(seed, patch, is_varied=True)
            run(race.run(families))
    except Exception as error:  # noqa: BLE001  (whatever it is, the order is what made it)
        traceback.print_exc()
        told.failed_seed, told.failure = seed, f"{type(error).__name__}: {error}"
        told.failed_orders = families
        return
    told.races += 1
    told.orders += families
    told.looks += race.judge.looks
    told.rebuilds += race.rebuilt


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.orders", description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000, help="families; 10,000 by default")
    parser.add_argument("--seed", type=int, default=0, help="of the first race; 0 by default")
    parser.add_argument("--json", action="store_true", help="what came of it, as JSON")
    parser.add_argument("--verbose", action="store_true", help="show what the bus logs meanwhile")
    return parser.parse_args(given)


def _ended(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # a seed's order is the same each time
        same = [sys.executable, "-m", "tests.orders", *sys.argv[1:]]
        os.execve(sys.executable, same, {**os.environ, "PYTHONHASHSEED": "0"})
    signal.signal(signal.SIGTERM, _ended)
    sys.exit(main())
