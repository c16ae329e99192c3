"""How a client comes into the cluster: whom it trusts, and who it says it is."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from enum import StrEnum


class Protocol(StrEnum):
    """Kafka's names for what a listener asks of who connects."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody between can read or change anything."""
        return self in (Protocol.SSL, Protocol.SASL_SSL)

    @property
    def has_login(self) -> bool:
        """Whether a user and a password are asked for."""
        return self in (Protocol.SASL_PLAINTEXT, Protocol.SASL_SSL)


class Mechanism(StrEnum):
    """How a password is proved."""

    SCRAM_SHA_512 = "SCRAM-SHA-512"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    PLAIN = "PLAIN"  # the broker itself gets to see it


@dataclass(frozen=True, slots=True)
class Login:
    """Who comes in, and the secret that proves it."""

    mechanism: Mechanism
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Security:
    """What every client of a cluster is given.

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
