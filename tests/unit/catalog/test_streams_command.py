"""``renkei streams``: what is published, as the catalogue and the subscriptions say."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from bus.catalog import Catalog
from bus.cli import streams
from bus.errors import UnknownName


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    streams.register(app)
    return app


def told(app: typer.Typer, *arguments: str) -> str:
    """What the command prints, with room enough for its tables."""
    result = CliRunner().invoke(app, ["streams", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_list_has_every_stream(app: typer.Typer, catalog: Catalog) -> None:
    """One line each; the bus's own are told apart."""
    lines = told(app, "list").splitlines()[1:]

    assert [line.split()[0] for line in lines] == list(catalog.streams)
    (resident,) = [line for line in lines if line.startswith("resident ")]
    assert "v2" in resident
    assert resident.split()[-1] == "16"
    own = [stream for stream in catalog.streams.values() if stream.is_internal]
    assert sum(line.rstrip().endswith("the bus") for line in lines) == len(own)


def test_show_has_every_item(app: typer.Typer, catalog: Catalog) -> None:
    """With its names in both languages; who provides the stream, and who receives it."""
    shown = told(app, "show", "resident")

    for item in catalog.stream("resident").items:
        assert item.path in shown
        assert item.ja in shown
        assert item.en in shown
    assert "provided by  resident_registry\n" in shown
    assert "child_allowance (24)" in shown


def test_json_says_the_same(app: typer.Typer, catalog: Catalog) -> None:
    """One object for a stream, a list of smaller ones for all."""
    stream = catalog.stream("resident")
    shown = json.loads(told(app, "show", "resident", "--json"))
    listed = json.loads(told(app, "list", "--json"))

    assert [item["item"] for item in shown["items"]] == [item.path for item in stream.items]
    assert [v["fingerprint"] for v in shown["versions"]] == [v.fingerprint for v in stream.versions]
    assert [item["en"] for item in shown["items"]] == [item.en for item in stream.items]
    assert shown["providers"] == ["resident_registry"]
    assert len(shown["receivers"]) == 16
    assert shown["versions"][1]["added"] == ["former_family_name", "former_family_name_kana"]
    assert [each["stream"] for each in listed] == list(catalog.streams)
    assert all("items" not in each for each in listed)


def test_an_unknown_stream_is_said_to_be_unknown(app: typer.Typer) -> None:
    """As everywhere."""
    result = CliRunner().invoke(app, ["streams", "show", "nobody"])

    assert isinstance(result.exception, UnknownName)
