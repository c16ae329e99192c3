"""``renkei throughput``: what it draws, and whom it asks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from bus.cli import throughput
from bus.monitor.page import ask_monitor, throughput_page
from bus.monitor.report import report
from bus.monitor.windows import MINUTE, ReceiptTimes, Windows
from bus.observe import http
from bus.observe.metrics import Metrics
from bus.operate import throughput as throughputs
from bus.operate.session import Session

T0 = 1_800_000_000 // MINUTE * MINUTE


def said(
    lanes: int = 2, *, minutes: int = 3, open_: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A monitor's answer: lane n applied n rows in each minute."""
    windows = Windows()
    for minute in range(minutes):
        for lane in range(1, lanes + 1):
            windows.add(
                ReceiptTimes(
                    system=f"individual_resident_tax_{lane}",
                    stream="resident",
                    partition=0,
                    end=minute,
                    rows=lane * (minute + 1),
                    chain=f"{minute}",
                    applied_at=T0 + minute * MINUTE,
                    told_at=T0 + minute * MINUTE,
                    is_replay=False,
                )
            )
    answer = report(windows, None, now=T0 + minutes * MINUTE)
    return {"source": "monitor", **answer, "open": open_}


def shown(value: dict[str, Any], last: int = 15) -> str:
    """What stands on an 80-column terminal without colour."""
    console = Console(width=80, file=io.StringIO(), highlight=False)
    console.print(throughput.drawn(value, last))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_draws_a_line_per_system_and_stream() -> None:
    """Bars, the sum, the newest minute, and how far behind."""
    lane = {"system": "individual_resident_tax_2", "stream": "resident", "behind_events": 4,
            "behind_s": 1.0}  # fmt: skip
    text = shown(said(open_={"changes": 3, "is_at_least": True, "lanes": [lane]}))

    first, second = (line.split() for line in text.splitlines()[1:3])
    assert first == ["individual_resident_tax_1", "resident", "▃▆█", "6", "3", "–"]
    assert second[-3:] == ["12", "6", "4"]
    assert text.endswith("at least 3 changes under way\n")


def test_fits_eighty_columns() -> None:
    """Sixteen systems and half an hour are readable where there is no room."""
    text = shown(said(16, minutes=40), last=60)

    assert max(map(len, text.splitlines())) <= 80
    assert "█" in text


def test_says_where_it_read() -> None:
    """Without the monitor there are windows and no open changes."""
    text = shown({**said(), "source": "log"})

    assert "the monitor does not run" in text
    assert "under way" not in text
    assert shown({**said(minutes=0), "source": "monitor"}) == "nothing was applied lately\n"


@pytest.mark.parametrize(
    ("counts", "drawing"),
    [([], ""), ([0, 0], "··"), ([1], "█"), ([0, 1, 1000], "·▁█"), ([125, 500, 1000], "▁▄█")],
)
def test_bars(counts: list[int], drawing: str) -> None:
    """The highest is full, what is small is still seen, nothing is a dot."""
    assert throughput.bars(counts) == drawing


async def test_the_page_is_what_the_command_asks() -> None:
    """The monitor answers over HTTP, bounded; nobody there, or somebody else, is no answer."""
    asked: list[int] = []

    def tell(last: int) -> dict[str, Any]:
        asked.append(last)
        return {"minutes": [], "open": None}

    pages = http.build(Metrics())
    pages.router.routes.append(throughput_page(tell))
    async with http.serving(pages, "127.0.0.1", 0) as port:
        base = f"http://127.0.0.1:{port}"
        assert await ask_monitor(base, 5) == {"minutes": [], "open": None}
        await ask_monitor(base, 10_000)
        assert await ask_monitor(base + "/healthz?", 5) is None
    assert asked == [5, 60]
    assert await ask_monitor(base, 5) is None


def test_prints_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The command passes on what was said, whole."""

    async def answer(_: Session, last: int) -> dict[str, Any]:
        return {**said(), "last": last}

    monkeypatch.setenv("RENKEI_HOME", str(tmp_path))
    monkeypatch.setattr(throughputs, "throughput", answer)
    app = typer.Typer()
    throughput.register(app)
    run: Callable[..., Any] = CliRunner().invoke

    result = run(app, ["--json", "--last", "7"])

    assert json.loads(result.stdout) == json.loads(
        json.dumps({"document": "throughput/1", **said(), "last": 7})
    )
