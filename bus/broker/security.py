"""How a client connects to the cluster: which servers it trusts, and how it logs in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from enum import StrEnum


class Protocol(StrEnum):
    """Kafka's names of listener protocols."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is encrypted (TLS)."""
        return self in (Protocol.SSL, Protocol.SASL_SSL)

    @property
    def has_login(self) -> bool:
        """Whether user and password are asked for (SASL)."""
        return self in (Protocol.SASL_PLAINTEXT, Protocol.SASL_SSL)


class Mechanism(StrEnum):
    """Kafka's names of SASL mechanisms."""

    SCRAM_SHA_512 = "SCRAM-SHA-512"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    PLAIN = "PLAIN"  # the broker itself gets to see it


@dataclass(frozen=True, slots=True)
class Login:
    """User, password and mechanism."""

    mechanism: Mechanism
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Security:
    """The connection's protocol, TLS context and login, for every client of a cluster.

    Args:
        context: For an encrypted protocol: whom to trust, and our own certificate if there is one.
        login: For a protocol with a login.
    """

    protocol: Protocol = Protocol.PLAINTEXT
    context: ssl.SSLContext | None = None
    login: Login | None = None

    def __post_init__(self) -> None:
        if (self.context is not None) != self.protocol.is_encrypted:
            raise ValueError("encryption needs a context, and nothing else does")
        if (self.login is not None) != self.protocol.has_login:
            raise ValueError("a protocol with a login needs one, and no other does")


PLAIN_TEXT = Security()
