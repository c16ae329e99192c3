"""What raises for one of many is found, refused and told; the others go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
import structlog

from bus.catalog.single import encode_one
from bus.connect.source import MOST_REASONS, Refusal, Taken
from bus.errors import BrokerUnavailable, BusError, EventInvalid, is_defect
from bus.model import Change, Fault
from bus.publish import admission
from bus.publish import publisher as publishing
from bus.publish.body import Fitter
from bus.publish.fault_search import narrowed
from bus.publish.parse import parse
from bus.publish.whole import check_whole
from tests.support.changes import body, change, record
from tests.support.loads import load

SECRET = "山田花子"


def ident(number: int) -> str:
    """A change id."""
    return f"019d4be0-0000-7abc-8def-{number:012d}"


def people(count: int, broken: set[int], **items: Any) -> list[dict[str, Any]]:
    """Changes of as many residents; those that are broken have a name that a test breaks at."""
    return [
        change(
            record(
                subject_id=f"{number:014d}7",
                body=body("resident", name__full=SECRET if number in broken else "辻", **items),
            ),
            change_id=ident(number),
        )
        for number in range(count)
    ]


class Panic(BaseException):
    """As native code raises it."""


Panic.__module__ = "pyo3_runtime"


@pytest.mark.parametrize("broken", [set(), {0}, {5}, {1, 2, 7}, set(range(8))])
def test_those_that_raise_alone_are_found(broken: set[int]) -> None:
    """All others are had, in their order."""
    found: list[int] = []

    def act(some: Any) -> list[int]:
        if broken & set(some):
            raise ValueError(SECRET)
        return list(some)

    had = narrowed(range(8), act, lambda one, _: found.append(one))

    assert [one for part in had for one in part] == [n for n in range(8) if n not in broken]
    assert set(found) == broken


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), BusError("x"), KeyboardInterrupt()])
def test_what_is_no_fault_of_data_is_not_looked_for(error: BaseException) -> None:
    """What is away, what stops and whoever wants to end are not blamed on anybody."""

    def act(_: Any) -> None:
        raise error

    with pytest.raises(type(error)):
        narrowed([1, 2], act, lambda *_: pytest.fail("nobody is to blame"))


def test_a_panic_of_native_code_is_a_defect() -> None:
    """It is no ``Exception``, and comes from what was handed in all the same."""
    assert is_defect(Panic())
    assert not is_defect(EventInvalid("x"))
    assert not is_defect(SystemExit())


@pytest.mark.parametrize("error", [TypeError(SECRET), RecursionError(), Panic(SECRET)])
@pytest.mark.parametrize("where", ["whole", "fit", "encode"])
async def test_a_change_that_breaks_a_step_is_refused_and_told(
    house: Any,
    parse: Callable[[dict[str, Any]], Change],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    error: BaseException,
) -> None:
    """By RK-000; the log has the class and the place, and no value."""
    publisher = await house.publisher()
    whole, fit = check_whole, Fitter.fit

    def broken(step: Any) -> Callable[..., Any]:
        def act(*arguments: Any) -> Any:
            if SECRET in repr(arguments):
                raise error
            return step(*arguments)

        return act

    if where == "whole":
        monkeypatch.setattr(publishing, "check_whole", broken(whole))
    elif where == "fit":
        monkeypatch.setattr(Fitter, "fit", broken(fit))
    else:
        monkeypatch.setattr(publishing, "encode_one", broken(encode_one))

    with structlog.testing.capture_logs() as logs:
        outcomes = await publisher.publish([parse(one) for one in people(9, {2, 3})])

    codes = [[fault.code for fault in outcome.faults if fault.is_error] for outcome in outcomes]
    assert codes == [["RK-000"] if number in (2, 3) else [] for number in range(9)]
    assert len(house.events("resident")) == 7
    told = [line for line in logs if line["event"] == "change-breaks-a-check"]
    assert [line["exc_info"] for line in told] == [error, error]
    assert SECRET not in repr([outcome.faults for outcome in outcomes])


async def test_a_line_that_breaks_its_reading_is_refused(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load goes on behind it."""
    publisher = await house.publisher()

    def breaking(data: bytes, **options: Any) -> Any:
        if SECRET.encode() in data:
            raise TypeError(SECRET)
        return parse(data, **options)

    monkeypatch.setattr(admission, "parse", breaking)
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in people(4, {1}))
    refused: list[Any] = []

    progress = await load(
        BytesIO(lines.encode()), publisher, sealed=(), key=bytes(32), refused=refused.append
    )

    assert (progress.published, progress.refused) == (3, 1)
    assert [fault.code for line in refused for fault in line.faults] == ["RK-000"]


def test_a_row_that_breaks_its_reading_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows beside it are read."""

    class Breaking:
        @staticmethod
        def model_validate_json(text: bytes, *, strict: bool) -> Change:
            if SECRET.encode() in text:
                raise RecursionError
            return Change.model_validate_json(text, strict=strict)

    monkeypatch.setattr(admission, "Change", Breaking)
    texts = [json.dumps(one, ensure_ascii=False) for one in people(3, {1})]

    changes, (refusal,) = admission.read(
        [Taken(seq, text.encode(), is_from_json=True) for seq, text in enumerate(texts)]
    )

    assert [seq for seq, _ in changes] == [0, 2]
    assert (refusal.place, refusal.codes) == (1, {"RK-000"})


def test_reasons_have_an_end() -> None:
    """However many faults a change has, what is kept of them is bounded."""
    faults = [Fault(code="type", expected="text", record=n) for n in range(100_000)]

    assert len(json.loads(Refusal(1, faults).as_json)) == MOST_REASONS


async def test_what_shared_with_may_hold(house: Any, parse: Any) -> None:
    """The change by which a relay's task ended: a name that is no text is a fault of that item."""
    wrong = record("protection", body=body("protection", shared_with=[{}]))
    publisher = await house.publisher()

    (outcome,) = await publisher.publish([parse(change(wrong, change_id=ident(1)))])

    assert ("type", "shared_with") in {(fault.code, fault.field) for fault in outcome.faults}
    assert not outcome.is_published
