"""Settings: which source wins, what is refused, and that secrets do not print."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from bus.errors import ConfigurationError, SettingsRefused
from bus.settings import Settings, load, resolve

SECRET = "postgresql://renkei:tr0ub4dor@127.0.0.1:1/renkei"


def private(file: Path, text: str, mode: int = 0o600) -> Path:
    """A settings file of this mode."""
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder whose stack is up, with the demo's systems."""
    run = tmp_path / "run"
    run.mkdir()
    private(
        run / "engines.yaml",
        f"kafka: 127.0.0.1:1\nregistry: http://127.0.0.1:2\ndatabase: {SECRET}\n",
    )
    private(run / "systems.yaml", "systems:\n  ledger: {connector: memory}\noutboxes: {}\n")
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


REFUSED = [
    ("KAFKA", "127.0.0.1:18073/", "host:port"),
    ("KAFKA", "127.0.0.1:x", "host:port"),
    ("SESSION_TIMEOUT", "PT0.9S", "greater than or equal to 1 second"),
    ("SESSION_TIMEOUT", "PT31M", "less than or equal to"),
    ("KAFKA", "127.0.0.1:99999", "ports of 1 to 65535"),
    ("KAFKA", "127.0.0.1", "host:port"),
    ("KAFKA", "a:1,,b:2", "host:port"),
    ("KAFKA", "kafka: http://", "host:port"),
    ("KAFKA", "127.0.0.1:\u0661", "host:port"),
    ("REGISTRY", "127.0.0.1:8081", "http://host:port/path"),
    ("REGISTRY", "http://", "http://host:port/path"),
    ("REGISTRY", "http://[", "http://host:port/path"),
    ("REGISTRY", "http://a:99999/", "http://host:port/path"),
    ("MAVEN", "ftp://a/", "http://host:port/path"),
    ("REPLICATION", "-1", "greater than or equal to 1"),
    ("REPLICATION", "100000", "less than or equal to 32767"),
    ("PARTITIONS", "0", "greater than or equal to 1"),
    ("PARTITIONS", "four", "a valid integer"),
    ("MAX_MESSAGE_BYTES", "1", "greater than or equal to 1024"),
    ("HTTP_PORT", "99999", "less than or equal to 65535"),
    ("COMPACTION_LAG", "P28D", "P29D or more"),
    ("COMPACTION_LAG", "-P1D", "above zero"),
    ("STOP_WITHIN", "PT0S", "above zero"),
    ("RETRY_MOST", "-PT1S", "not below zero"),
    ("RETRY_MOST", "soon", "a valid timedelta"),
    ("LOG_FORMAT", "xml", "'json' or 'text'"),
    ("KAFAK", "b:9092", "RENKEI_KAFKA is near"),
]


@pytest.mark.parametrize(("name", "value", "expected"), REFUSED)
def test_the_message_names_setting_and_what_is_expected(
    name: str, value: str, expected: str
) -> None:
    """Not ``names=partitions``; and never the value, which may be a secret in the wrong place."""
    with pytest.raises(SettingsRefused) as refused:
        load({"RENKEI_HOME": "/does/not/exist", f"RENKEI_{name}": value})

    (fault,) = refused.value.faults
    assert str(fault).startswith(f"RENKEI_{name}: ")
    assert expected in str(fault)
    assert len(value) < 8 or value not in str(fault)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """With the file that says it."""
    file = private(tmp_path / "settings.yaml", "partitions: four\nreplication: 0\nkafak: x\n")

    with pytest.raises(SettingsRefused) as refused:
        load({"RENKEI_HOME": "/does/not/exist", "RENKEI_SETTINGS": str(file)})

    assert [str(fault).partition(": expected")[0] for fault in refused.value.faults] == [
        f"{file} RENKEI_REPLICATION: greater-than-equal",
        f"{file} RENKEI_PARTITIONS: int-parsing",
        f"{file} RENKEI_KAFAK: unknown",
    ]


@pytest.mark.parametrize(
    ("mode", "text", "fault"),
    [
        (0o644, f"database: {SECRET}", "readable-by-others"),
        (0o640, "seal_keys_command: /usr/bin/true", "readable-by-others"),
        (0o604, f"outboxes: {{register: {SECRET}}}", "readable-by-others"),
        (0o644, "registry: https://me:tr0ub4dor@r.example/a", "readable-by-others"),
        (0o666, "kafka: 127.0.0.1:1", "writable-by-others"),
        (0o664, "schemas: /somewhere", "writable-by-others"),
    ],
)
def test_a_file_that_others_may_touch_is_refused(
    tmp_path: Path, mode: int, text: str, fault: str
) -> None:
    """Nobody else reads what is secret, or writes what says where everything goes."""
    file = private(tmp_path / "settings.yaml", text, mode)

    with pytest.raises(ConfigurationError) as refused:
        load({"RENKEI_SETTINGS": str(file)})

    assert refused.value.where["fault"] == fault
    assert "tr0ub4dor" not in str(refused.value)


def test_a_file_without_secrets_may_be_read(tmp_path: Path) -> None:
    """As the one that comes with docker-compose.yml."""
    file = private(tmp_path / "settings.yaml", "kafka: 127.0.0.1:1", 0o644)

    assert load({"RENKEI_SETTINGS": str(file)}).kafka == "127.0.0.1:1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Who owns it may change its mode and what it says at any time."""
    file = private(tmp_path / "settings.yaml", "kafka: 127.0.0.1:1")
    os.chown(file, 65_534, 65_534)

    with pytest.raises(ConfigurationError) as refused:
        load({"RENKEI_SETTINGS": str(file)})

    assert refused.value.where["fault"] == "owned-by-another"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 5_000, "at most 64 levels"),
        ("a: &a [x, x]\nb: [*a, *a]", "no anchors"),
        ("kafka: a:1\nkafka: b:2", "each key once"),
        ("kafka: [", "line 1"),
        ("x: " + "y" * 2**20, "1,048,576 bytes at most"),
    ],
)
def test_a_file_that_costs_its_reader_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    """Before anything is built of it, and with the place where it is."""
    file = private(tmp_path / "settings.yaml", text)

    with pytest.raises(ConfigurationError) as refused:
        load({"RENKEI_SETTINGS": str(file)})

    assert expected in str(refused.value)


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


def test_refused_changes_have_an_end(home: Path) -> None:
    """Unless a site says otherwise: what nobody settles holds a person's data for ever."""
    assert load({"RENKEI_HOME": str(home)}).refused_keep == timedelta(days=30)

    file = private(home / "settings.yaml", "refused_keep: null\n")
    kept = load({"RENKEI_HOME": str(home), "RENKEI_SETTINGS": str(file)}).refused_keep
    assert kept is None
