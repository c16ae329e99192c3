"""Settings: which source wins, what is refused, and that secrets do not print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bus.errors import ConfigurationError
from bus.settings import Settings, load, resolve

SECRET = "postgresql://renkei:tr0ub4dor@127.0.0.1:1/renkei"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder whose stack is up, with the demo's systems."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "engines.yaml").write_text(
        f"kafka: 127.0.0.1:1\nregistry: http://127.0.0.1:2\ndatabase: {SECRET}\n", encoding="utf-8"
    )
    (run / "systems.yaml").write_text(
        "systems:\n  ledger: {connector: memory}\noutboxes: {}\n", encoding="utf-8"
    )
    return tmp_path


def test_what_the_stack_wrote_is_used(home: Path) -> None:
    """After ``renkei local up`` no command needs an address."""
    settings = load({"RENKEI_HOME": str(home)})

    assert settings.kafka == "127.0.0.1:1"
    assert settings.need("database") == SECRET
    assert settings.systems["ledger"].connector == "memory"


def test_a_variable_wins_over_what_the_stack_wrote(home: Path) -> None:
    """Someone who names a broker means it."""
    settings, origins = resolve({"RENKEI_HOME": str(home), "RENKEI_KAFKA": "b:9092"})

    assert settings.kafka == "b:9092"
    assert origins["kafka"] == "RENKEI_KAFKA"
    assert origins["registry"] == str(home / "run" / "engines.yaml")
    assert origins["replication"] == "default"


def test_a_settings_file_replaces_what_the_stack_wrote(home: Path, tmp_path: Path) -> None:
    """In production nothing of a stack that happens to run here is mixed in."""
    file = tmp_path / "settings.yaml"
    file.write_text("kafka: production:9092\n", encoding="utf-8")

    settings = load({"RENKEI_HOME": str(home), "RENKEI_SETTINGS": str(file)})

    assert settings.kafka == "production:9092"
    assert settings.database is None


def test_the_command_line_wins(home: Path) -> None:
    """An option is the last word."""
    settings, origins = resolve({"RENKEI_KAFKA": "a:1"}, {"home": home, "kafka": "b:2"})

    assert settings.kafka == "b:2"
    assert origins["kafka"] == "command line"


@pytest.mark.parametrize(
    "environment",
    [
        {"RENKEI_KAFAK": "b:9092"},
        {"RENKEI_PARTITIONS": "four"},
        {"RENKEI_SYSTEMS": "{"},
        {"RENKEI_SETTINGS": "/does/not/exist.yaml"},
    ],
)
def test_an_unusable_setting_is_refused(environment: dict[str, str]) -> None:
    """A typing error is an error, not a shrug."""
    with pytest.raises(ConfigurationError):
        load(environment)


def test_a_secret_is_neither_printed_nor_in_an_error(home: Path) -> None:
    """The database's URI holds a password."""
    settings = load({"RENKEI_HOME": str(home)})
    with pytest.raises(ConfigurationError) as refused:
        load({"RENKEI_HOME": str(home), "RENKEI_OUTBOXES": f"[{SECRET}]"})

    assert "tr0ub4dor" not in repr(settings) + str(refused.value)


def test_a_missing_setting_names_its_variable() -> None:
    """The message says how to go on."""
    with pytest.raises(ConfigurationError, match="RENKEI_KAFKA"):
        load({"RENKEI_HOME": "/does/not/exist"}).need("kafka")


def test_every_setting_is_read_somewhere() -> None:
    """A setting that nothing obeys would be a promise that is not kept."""
    bus = Path(__file__).parents[2] / "bus"
    files = [file for file in bus.rglob("*.py") if file != bus / "settings.py"]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)

    unread = [
        name
        for name in Settings.model_fields
        if not re.search(rf"(settings|own)\.{name}\b|need\(\"{name}\"\)", code)
    ]

    assert unread == []


def test_an_outbox_is_a_uri_or_more(home: Path) -> None:
    """The short form says the URI alone; the long one also what may come out of it."""
    said = (
        f"resident_registry: {SECRET}\n"
        f"taxes: {{uri: '{SECRET}', sources: [fixed_asset_tax], municipalities: ['131016']}}\n"
    )

    outboxes = load({"RENKEI_HOME": str(home), "RENKEI_OUTBOXES": said}).outboxes

    assert outboxes["resident_registry"].uri.get_secret_value() == SECRET
    assert outboxes["resident_registry"].sources is None
    assert outboxes["taxes"].sources == ("fixed_asset_tax",)
    assert outboxes["taxes"].municipalities == ("131016",)
    assert "tr0ub4dor" not in repr(outboxes)


def test_an_outbox_with_a_word_too_many_is_refused(home: Path) -> None:
    """A misspelt restriction must not be no restriction."""
    said = f"resident_registry: {{uri: '{SECRET}', source: [resident_registry]}}"

    with pytest.raises(ConfigurationError) as refused:
        load({"RENKEI_HOME": str(home), "RENKEI_OUTBOXES": said})

    assert "tr0ub4dor" not in str(refused.value)
