"""The addresses of the engines: the one value that other packages take from ``bus.local``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from bus.errors import ConfigurationError

ENGINES = ("kafka", "postgres", "registry")
"""The engines of the stack, by name."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of running engines.

    Args:
        kafka: Bootstrap servers, ``host:port``.
        registry: Full base URL of the registry's Confluent-compatible API.
        database: URI of PostgreSQL as its superuser; carries the password, so it never prints.
    """

    kafka: str
    registry: str
    database: str = field(repr=False)

    @classmethod
    def of(cls, written: Mapping[str, str]) -> Endpoints:
        """The addresses in the settings that the stack wrote."""
        return cls(**{item.name: written[item.name] for item in fields(cls)})

    @classmethod
    def parse(cls, text: str) -> Endpoints:
        """Read ``kafka=…;registry=…;database=…``.

        Raises:
            ConfigurationError: A part is missing or unknown.
        """
        parts = dict(part.partition("=")[::2] for part in text.split(";") if part.strip())
        given = {name.strip(): value.strip() for name, value in parts.items()}
        if set(given) != {item.name for item in fields(cls)}:
            raise ConfigurationError("engines are given as kafka=…;registry=…;database=…")
        return cls(**given)
