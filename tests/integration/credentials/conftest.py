"""One broker with listeners that ask for more than an address, for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bus import settings as settings_tree
from bus.local.endpoints import Endpoints
from bus.sealing import file as keyfile
from bus.sealing.ring import new_key
from bus.settings import Settings
from tests.support.secured import USER, Secured, secured_kafka

Say = Callable[..., Settings]


@pytest.fixture(scope="session")
def secured(engines: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """It runs beside the ordinary engines, from the files that were fetched for them."""
    fetched = settings_tree.load(os.environ).home / "engines"
    with secured_kafka(tmp_path_factory.mktemp("secured") / "home", fetched) as broker:
        yield broker


@pytest.fixture
def words(secured: Secured, engines: Endpoints, tmp_path: Path) -> Mapping[str, str]:
    """The variables of an installation that logs in over TLS."""
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(secured.password + "\n", encoding="utf-8")
    keys = tmp_path / "receipt-keys"
    keyfile.add(keys, new_key(None, datetime.now(UTC)))
    return {
        "RENKEI_RECEIPT_KEYS_FILE": str(keys),
        "RENKEI_HOME": str(tmp_path / "home"),
        "RENKEI_REGISTRY": engines.registry,
        "RENKEI_PARTITIONS": "1",
        "RENKEI_IDLE_WAIT": "PT0.2S",
        "RENKEI_KAFKA": secured.login,
        "RENKEI_KAFKA_SECURITY": "SASL_SSL",
        "RENKEI_KAFKA_CA": str(secured.ca),
        "RENKEI_KAFKA_USER": USER,
        "RENKEI_KAFKA_PASSWORD_FILE": str(password),
    }


@pytest.fixture
def mutual(words: Mapping[str, str], secured: Secured) -> Mapping[str, str]:
    """The variables of an installation that shows a certificate of its own."""
    return {
        **{
            name: text
            for name, text in words.items()
            if "_USER" not in name and "_PASS" not in name
        },
        "RENKEI_KAFKA": secured.mutual,
        "RENKEI_KAFKA_SECURITY": "SSL",
        "RENKEI_KAFKA_CERTIFICATE": str(secured.client.certificate),
        "RENKEI_KAFKA_KEY": str(secured.client.key),
    }
