"""Engines named in one line of text."""

from __future__ import annotations

import pytest

from bus.errors import ConfigurationError
from bus.local.endpoints import Endpoints

TEXT = "kafka=127.0.0.1:9092;registry=http://r/apis?a=b;database=postgresql://u:p@h/d?a=b"


def test_engines_are_read_from_one_line() -> None:
    """Values may hold equals signs."""
    endpoints = Endpoints.parse(TEXT)

    assert endpoints.kafka == "127.0.0.1:9092"
    assert endpoints.registry == "http://r/apis?a=b"
    assert endpoints.database == "postgresql://u:p@h/d?a=b"


def test_they_are_some_of_the_settings_that_the_stack_wrote() -> None:
    """Beside them stand other settings, which say nothing of an engine."""
    written = {"kafka": "a", "registry": "b", "database": "c", "seal_keys_file": "d"}

    assert Endpoints.of(written) == Endpoints("a", "b", "c")


def test_the_password_is_not_printed() -> None:
    """Endpoints end up in failing tests and logs."""
    assert "u:p" not in repr(Endpoints.parse(TEXT))


@pytest.mark.parametrize("text", ["", "kafka=a", "kafka=a;registry=b;database=c;more=d"])
def test_a_line_with_other_parts_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ConfigurationError):
        Endpoints.parse(text)
