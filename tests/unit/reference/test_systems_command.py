"""``renkei systems``: every system, whether it provides, receives, both or neither."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from bus.cli import systems
from bus.errors import ConfigurationError
from connectors import SINKS
from tests.unit.reference import reader

KEPT = ("transactional", "reshapes", "suppresses", "rewrites", "stages", "readable")


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    systems.register(app)
    return app


def told(app: typer.Typer, *arguments: str, width: int = 80) -> str:
    result = CliRunner().invoke(app, ["systems", *arguments], env={"COLUMNS": str(width)})
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_all_seventeen_receive_and_provide(app: typer.Typer) -> None:
    """The standardised business systems, told from their neighbours by their kind."""
    found = json.loads(told(app, "list", "--json"))
    standard = [each for each in found if each["kind"] == "standard"]

    assert len(standard) == 17
    assert all(each["provides"] and each["receives"] for each in standard)
    assert {each["system"] for each in found} == set(reader.systems())


def test_json_says_what_the_files_say(app: typer.Typer) -> None:
    """Names from the list, streams from the subscriptions and the schemas."""
    listed, schemas, subscriptions = reader.systems(), reader.streams(), reader.subscriptions()
    for each in json.loads(told(app, "list", "--json")):
        name = each["system"]
        subscription = subscriptions.get(name, {"streams": {}})
        assert {k: each[k] for k in listed[name]} == listed[name]
        assert {r["stream"] for r in each["receives"]} == set(subscription["streams"])
        assert set(each["provides"]) == {
            stream for stream, s in schemas.items() if name in s.get("x-providers", [])
        }


def test_list_has_a_line_for_each(app: typer.Typer) -> None:
    """No name is cut off in a plain terminal."""
    lines = told(app, "list").splitlines()[1:]

    assert [line.split()[0] for line in lines] == list(reader.systems())
    assert all("…" not in line for line in lines)


def test_show_has_what_one_receives_and_provides(app: typer.Typer) -> None:
    """With the purpose of each grant."""
    shown = told(app, "show", "public_assistance", width=200)

    assert "生活保護" in shown
    assert "厚生労働省" in shown
    assert "public_assistance.receipt" in shown
    for stream, grant in reader.subscriptions()["public_assistance"]["streams"].items():
        assert stream in shown
        assert grant["purpose"] in shown


def test_show_of_one_that_receives_nothing_says_so(app: typer.Typer) -> None:
    """A provider that is nobody's receiver has its name from the list."""
    shown = told(app, "show", "calendar")

    assert "暦" in shown
    assert "nothing" in shown
    assert json.loads(told(app, "show", "calendar", "--json"))["receives"] == []


def test_show_says_what_its_store_can_do(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody relies on a promise that hangs on what it lacks."""
    monkeypatch.setitem(SINKS, "receiver", "tests.support.stores.receiver:ReceiverSink")
    for connection, said, can in (
        ({"connector": "memory"}, "memory: keeps every promise", dict.fromkeys(KEPT, True)),
        (
            {"connector": "receiver", "options": {"port": 1}},
            "receiver: lacks transactional, reshapes, suppresses, stages, readable:"
            " see docs/delivery.md",
            dict.fromkeys(KEPT, False) | {"rewrites": True},
        ),
        ({"connector": "telex"}, "telex: cannot be used as it is configured", None),
    ):
        monkeypatch.setenv("RENKEI_SYSTEMS", json.dumps({"electoral_roll": connection}))
        found = json.loads(told(app, "show", "electoral_roll", "--json"))["store"]
        assert found == {"connector": connection["connector"], "can": can}
        assert said in told(app, "show", "electoral_roll", width=200)
    assert json.loads(told(app, "show", "calendar", "--json"))["store"] is None


def test_an_unknown_system_is_said_to_be_unknown(app: typer.Typer) -> None:
    """As everywhere."""
    result = CliRunner().invoke(app, ["systems", "show", "nobody"])

    assert isinstance(result.exception, ConfigurationError)
