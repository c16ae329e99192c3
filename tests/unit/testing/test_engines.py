"""Which engines a test run uses when it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import ConfigurationError
from bus.local import folder
from bus.local.endpoints import Endpoints
from bus.local.folder import Folder
from bus.testing import engines


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A data folder of this test's own, named in the environment."""
    for name in ("RENKEI_HOME", "RENKEI_TEST_ENGINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RENKEI_HOME", str(tmp_path))
    made = Folder.at(tmp_path)
    made.make()
    return made


def test_nothing_said_means_engines_of_ones_own(home: Folder) -> None:
    """Then the run starts some."""
    assert engines.given() is None


def test_addresses_are_taken_as_they_are(home: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they run."""
    monkeypatch.setenv("RENKEI_TEST_ENGINES", "kafka=a:1;registry=http://b:2;database=c")

    assert engines.given() == Endpoints("a:1", "http://b:2", "c")


def test_home_means_the_running_stack(home: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``renkei local up`` wrote, as long as it runs."""
    monkeypatch.setenv("RENKEI_TEST_ENGINES", "home")
    home.addresses.write_text("kafka: a:1\nregistry: http://b:2\ndatabase: c\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="renkei local up"):
        engines.given()
    with monkeypatch.context() as up:
        up.setattr(folder, "is_held", lambda _: True)
        assert engines.given() == Endpoints("a:1", "http://b:2", "c")
