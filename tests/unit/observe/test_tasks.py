"""A long-lived task that ends by itself is told of, seen by readiness, and begun again."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from bus.errors import BrokerUnavailable, ConfigurationError
from bus.observe import logs
from bus.observe.metrics import Metrics
from bus.observe.tasks import CameBack, Tasks
from tests.support.waiting import until

BRIEF = timedelta(milliseconds=5)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def tasks(metrics: Metrics) -> Tasks:
    return Tasks(metrics, first=BRIEF, most=timedelta(milliseconds=40))


class Work:
    """Fails as often as there are errors, then stays; says when it has begun for the n-th time."""

    def __init__(self, *errors: BaseException | None) -> None:
        self._errors = list(errors)
        self.begun = 0
        self.stays = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        if self._errors:
            if (error := self._errors.pop(0)) is not None:
                raise error
            return
        self.stays.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (KeyError("山田　太郎"), "KeyError"),
        (BrokerUnavailable("the broker does not answer"), BrokerUnavailable.code),
        (asyncio.CancelledError(), "CancelledError"),
        (None, "CameBack"),
    ],
)
async def test_what_ends_is_told_and_begun_again(
    tasks: Tasks,
    metrics: Metrics,
    error: BaseException | None,
    named: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By an error, a cancellation from within, or coming back."""
    logs.configure("json")
    work = Work(error)
    kept = tasks.keep("sender", work, system="juki")
    await until(lambda: tasks.fallen)
    assert tasks.ill() == [f"sender juki ended {named}"]
    assert metrics.value("renkei_tasks_ended", task="sender") == 1
    await asyncio.wait_for(work.stays.wait(), 5)
    await until(lambda: not tasks.fallen)
    assert metrics.value("renkei_tasks_restarted_total", task="sender") == 1
    assert metrics.value("renkei_tasks_ended", task="sender") == 0
    assert work.begun == 2
    await kept.end()
    (line,) = [json.loads(said) for said in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["task"], line["system"]) == ("task-ended", "sender", "juki")
    assert line["kind"] == type(error or CameBack()).__name__
    assert "山田" not in str(line)
    if isinstance(error, KeyError):
        assert "test_tasks.py" in line["trace"][-1]


async def test_it_waits_longer_each_time_and_is_not_ready_meanwhile(tasks: Tasks) -> None:
    """One that dies at once again and again is never called well in between."""
    work = Work(*[KeyError() for _ in range(6)])
    kept = tasks.keep("sender", work)
    await until(lambda: tasks.fallen)
    waits = []
    while not work.stays.is_set():
        (fallen,) = tasks.fallen
        waits.append(fallen.wait)
        await asyncio.sleep(0)
    assert max(waits) > 2 * BRIEF
    await until(lambda: not tasks.fallen)
    await kept.end()


async def test_work_that_is_done_is_done(tasks: Tasks) -> None:
    """What has an end is no failure; what failed before comes to its end."""
    work = Work(KeyError(), None)
    kept = tasks.keep("withdrawal", work, until_done=True)
    await asyncio.wait_for(kept.outcome, 5)
    assert (work.begun, tasks.ill()) == (2, [])


async def test_what_is_given_up_raises_and_stays_ill(tasks: Tasks) -> None:
    """Who asked for it decides; readiness goes on to name it."""
    kept = tasks.keep(
        "delivery",
        Work(ConfigurationError("no topic")),
        gives_up=lambda error: isinstance(error, ConfigurationError),
        system="juki",
    )
    with pytest.raises(ConfigurationError):
        await asyncio.wait_for(kept.outcome, 5)
    assert tasks.ill() == ["delivery juki ended RK-100"]


async def test_one_that_is_left_while_it_rests_is_not_begun_again(metrics: Metrics) -> None:
    """A process that stops waits for no back-off."""
    tasks = Tasks(metrics, first=timedelta(hours=1), most=timedelta(hours=1))
    work = Work(KeyError())
    kept = tasks.keep("sender", work)
    await until(lambda: tasks.fallen)
    kept.leave()
    await asyncio.wait_for(kept.outcome, 5)
    assert (work.begun, tasks.ill()) == (1, [])


async def test_ending_it_ends_the_work(tasks: Tasks) -> None:
    """Nothing is left running, and nothing was a failure."""
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    kept = tasks.keep("sender", work)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await kept.end()
    assert ended.is_set()
    assert tasks.ill() == []
