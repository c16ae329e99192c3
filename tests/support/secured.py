"""A real Kafka that speaks TLS and asks who is there: one broker, one listener for each way in."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka.admin import (  # its __all__ lacks three
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from bus.local import artifacts
from bus.local.engine import LOOPBACK
from bus.local.folder import Folder
from bus.local.kafka import Kafka, escaped
from bus.local.ports import free_port
from tests.support.certificates import Authority, Certified
from tests.support.waiting import wait_until

USER = "renkei"
RIGHTS = {
    ("TOPIC", "linkage."): (
        "READ",
        "WRITE",
        "CREATE",
        "DESCRIBE",
        "DESCRIBE_CONFIGS",
        "ALTER_CONFIGS",
    ),
    ("GROUP", "renkei."): ("READ", "DESCRIBE"),
}
"""All that the bus may do there: operations on whatever has a name that begins so."""
_LISTENERS = {
    "login": "SASL_SSL",
    "mutual": "SSL",
    "in_the_clear": "SASL_PLAINTEXT",
    "astray": "SASL_SSL",
}
_START_SECONDS = 60.0
_SCRAM_ROUNDS = 4096
_LOGIN_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class Secured:
    """Where it answers, and what somebody needs who is to be let in.

    Args:
        plain: The ordinary listener; only the test itself has business there.
        login: SASL_SSL: SCRAM and PLAIN.
        mutual: SSL, with a certificate asked of the client.
        in_the_clear: SASL_PLAINTEXT.
        astray: As ``login``, but its broker calls itself ``localhost``, for which it has no proof.
    """

    plain: str
    login: str
    mutual: str
    in_the_clear: str
    astray: str
    ca: Path
    client: Certified
    password: str = field(repr=False)


class SecuredKafka(Kafka):
    """The one-machine stack's broker with more listeners. It calls itself 127.0.0.1."""

    def __init__(self, folder: Folder, ca: Path, broker: Certified, password: str) -> None:
        files = artifacts.of("kafka", artifacts.read())
        taken: list[int] = []
        for _ in range(2 + len(_LISTENERS)):
            taken.append(free_port(taken))
        port, controller, *more = taken
        self.more = dict(zip(_LISTENERS, more, strict=True))
        super().__init__(
            folder, [folder.engines / "maven" / each.path for each in files], port, controller
        )
        self._ca = ca
        self._broker = broker
        self._password = password

    def properties(self) -> str:
        """The ordinary settings, and what makes the other listeners."""
        places = [f"{name.upper()}://{LOOPBACK}:{port}" for name, port in self.more.items()]
        told = [place.replace(f"ASTRAY://{LOOPBACK}", "ASTRAY://localhost") for place in places]
        protocols = [f"{name.upper()}:{protocol}" for name, protocol in _LISTENERS.items()]
        ordinary = dict(
            line.split("=", 1) for line in super().properties().splitlines() if "=" in line
        )
        settings = {
            **ordinary,
            "listeners": ",".join([ordinary["listeners"], *places]),
            "advertised.listeners": ",".join([ordinary["advertised.listeners"], *told]),
            "listener.security.protocol.map": ",".join(
                ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *protocols]
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",  # whoever comes by the ordinary listener
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": escaped(str(self._broker.both)),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": escaped(str(self._ca)),
            "listener.name.mutual.ssl.client.auth": "required",
        }
        for name in (name for name, protocol in _LISTENERS.items() if "SASL" in protocol):
            for mechanism in ("scram-sha-512", "scram-sha-256"):
                settings[f"listener.name.{name}.{mechanism}.sasl.jaas.config"] = (
                    f"{_LOGIN_MODULES}.scram.ScramLoginModule required;"
                )
            settings[f"listener.name.{name}.plain.sasl.jaas.config"] = (
                f'{_LOGIN_MODULES}.plain.PlainLoginModule required user_{USER}="{self._password}";'
            )
        return "".join(f"{name}={value}\n" for name, value in settings.items())


@contextmanager
def secured_kafka(home: Path, engines: Path) -> Iterator[Secured]:
    """Run one in *home* until the block ends; *engines* is where its fetched files lie."""
    folder = Folder.at(home, engines)
    folder.make()
    password = secrets.token_hex(12)
    authority = Authority(home, "town")
    broker = SecuredKafka(folder, authority.file, authority.certify("broker", LOOPBACK), password)
    broker.prepare()
    process = broker.command().start(folder.log(broker.name))
    try:
        log = folder.log(broker.name)

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text(encoding="utf-8")[-2000:]
            return broker.is_ready()

        wait_until(is_ready, _START_SECONDS)
        _know(f"{LOOPBACK}:{broker.port}", password)
        yield Secured(
            plain=f"{LOOPBACK}:{broker.port}",
            **{name: f"{LOOPBACK}:{port}" for name, port in broker.more.items()},
            ca=authority.file,
            client=authority.certify("client"),
            password=password,
        )
    finally:
        process.terminate()
        process.wait(30)


def _know(bootstrap: str, password: str) -> None:
    """Let the user in by SCRAM, and give the user and the client's certificate their rights."""
    client = AdminClient({"bootstrap.servers": bootstrap})
    for mechanism in (ScramMechanism.SCRAM_SHA_512, ScramMechanism.SCRAM_SHA_256):
        wanted = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(mechanism, _SCRAM_ROUNDS), password.encode()
        )
        client.alter_user_scram_credentials([wanted])[USER].result(timeout=20)
    rights = [
        AclBinding(
            ResourceType[kind],
            beginning,
            ResourcePatternType.PREFIXED,
            f"User:{who}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for (kind, beginning), operations in RIGHTS.items()
        for operation in operations
        for who in (USER, "CN=client")
    ]
    for given in client.create_acls(rights).values():
        given.result(timeout=20)
