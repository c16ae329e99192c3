"""What nobody knows is said, with what is near it, and nothing is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from bus import app as composition
from bus.catalog import load
from bus.catalog.registry import Registry
from bus.cli import names
from bus.cli.main import build
from bus.errors import ConfigurationError, NothingChanged, UnknownName
from bus.operate import naming
from bus.settings import OutboxConnection, Settings, SystemConnection
from tests.architecture.test_names import FREE, parameters

WRONG = {
    names.system: ("child_alowance", "child_allowance"),
    names.connected: ("child_alowance", "child_allowance"),
    names.outbox: ("resident_registery", "resident_registry"),
    names.source: ("resident_registery", "resident_registry"),
    names.stream: ("residant", "resident"),
    names.subject: ("000000012345674", None),
    names.change: ("xyz", None),
}
"""By parser: a slip of the pen, and what must be said to be near it."""


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """One receiving and one publishing system, and nothing that could be asked."""
    made = Settings(
        systems={"child_allowance": SystemConnection(options={})},
        outboxes={"resident_registry": OutboxConnection(uri=SecretStr("postgresql://localhost/x"))},
    )
    monkeypatch.setattr(composition.configured, "settings", lambda: made)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), arguments)


def slips() -> Iterator[Any]:
    """Each command once for each of its names, that name wrong and the others right."""
    right = {
        names.system: "child_allowance",
        names.connected: "child_allowance",
        names.outbox: "resident_registry",
        names.source: "resident_registry",
        names.stream: "resident",
        names.subject: "131016/000000012345674",
        names.change: "019d3f00-0000-7000-8000-000000000001",
    }
    commands: dict[str, list[Any]] = {}
    for command, parameter in parameters():
        commands.setdefault(command, []).append(parameter)
    for command, its in commands.items():
        for wrong in its:
            parser = wrong.type_descriptor.parameter_info.parser
            if parser not in WRONG:
                continue
            said = command.split()
            for each in its:
                of = each.type_descriptor.parameter_info.parser
                value = WRONG[of][0] if each is wrong else right.get(of, "1")
                if each.param_type_name == "argument":
                    is_before = its.index(each) <= its.index(wrong)
                    said += [value] if each.required or is_before or each is wrong else []
                elif each is wrong or each.required:
                    said += [each.opts[0], value]
            yield pytest.param(said, parser, id=f"{command.replace(' ', '-')}-{wrong.name}")


@pytest.mark.parametrize(("arguments", "parser"), list(slips()))
def test_a_slip_of_the_pen(arguments: list[str], parser: Any) -> None:
    """Before anything is opened: exit 64, and what was probably meant."""
    error = run(*arguments).exception

    assert isinstance(error, UnknownName)
    assert error.exit_status == 64
    near = WRONG[parser][1]
    assert near is None or f"near it: {near}" in str(error)


def test_somebodys_number_is_not_said_again() -> None:
    """It was typed where a subject belongs."""
    error = run("parked", "retry", "child_allowance", "--subject", "000000012345674").exception

    assert "12345674" not in str(error)
    assert "<municipality>/<number>" in str(error)


@pytest.mark.parametrize("answer", [True, False, None])
def test_a_system_of_before_is_known(monkeypatch: pytest.MonkeyPatch, answer: bool | None) -> None:
    """By an edition or by receipts, though no file names it any more; unless nobody can be
    asked."""

    async def told(*_: object) -> bool | None:
        return answer

    monkeypatch.setattr(naming, "is_known_elsewhere", told)
    if answer:
        assert names.system("water_supply") == "water_supply"
        return
    with pytest.raises(UnknownName) as raised:
        names.system("water_supply")
    assert ("cannot be asked" in str(raised.value)) is (answer is None)


def test_a_log_of_an_engine() -> None:
    """The few names that the program itself has."""
    error = run("local", "logs", "kafca").exception

    assert isinstance(error, UnknownName)
    assert "near it: kafka" in str(error)


def test_nothing_to_change_is_no_success() -> None:
    """Exit 65."""
    assert issubclass(NothingChanged, ConfigurationError)
    assert NothingChanged.exit_status == 65


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"title": "RESTEASY003210", "status": 404}),
        httpx.Response(404, text="<html>Not Found</html>"),
        httpx.Response(404, json={"error_code": 404, "message": "HTTP 404 Not Found"}),
    ],
    ids=["another path", "a page", "no subject"],
)
async def test_an_address_that_is_no_registry(answer: httpx.Response) -> None:
    """*Not found* of something else is not *not registered yet*: 33 would be new, it said."""
    transport = httpx.MockTransport(lambda _: answer)
    async with Registry("http://localhost:1", transport=transport) as registry:
        with pytest.raises(ConfigurationError, match="no schema registry"):
            await registry.push(load(), dry_run=True)


def test_every_lookup_has_a_slip_here() -> None:
    """A parser that is new needs its line above."""
    used = {parameter.type_descriptor.parameter_info.parser for _, parameter in parameters()}
    looks_up = {parser for parser in used if parser is not None and parser not in FREE}

    assert {parser for parser in looks_up if parser.__name__ != "chosen"} == WRONG.keys()
