"""How every client of the library connects and logs in, and why one could not.

aiokafka tries each server, logs what went wrong there, and says only that it could not begin. So
after a client that could not start each server is asked once more, by hand: a certificate that
proves nothing or a login that is refused is said as what it is. It will not mend itself, so it is
not retried; and nothing is ever tried again with less security.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from aiokafka import errors as kafka
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.protocol.metadata import MetadataRequest

from bus.broker.kafka.translation import SILENCES, translated
from bus.broker.security import Security
from bus.errors import BrokerUnavailable, ConfigurationError, LoginRefused, Untrusted, causes

_Server = tuple[str, int]
_CLOSE_SECONDS = 5.0  # at most, for the other side to say goodbye
_WRONG_LOGIN = (kafka.AuthenticationFailedError, kafka.SaslAuthenticationFailed)
_NO_SUCH_MECHANISM = (
    kafka.AuthenticationMethodNotSupported,
    kafka.UnsupportedSaslMechanismError,
)
_REFUSALS = (*_WRONG_LOGIN, *_NO_SUCH_MECHANISM, kafka.IllegalSaslStateError)


class WayIn:
    """The cluster's addresses and login; one for all clients of a :class:`KafkaBroker`.

    Args:
        patience: How long one request may take.
    """

    def __init__(self, bootstrap: str, security: Security, patience: timedelta) -> None:
        self._servers = [server.strip() for server in bootstrap.split(",")]
        self._security = security
        self.patience = patience

    @property
    def options(self) -> Mapping[str, Any]:
        """The arguments that a client of the library is made with."""
        return {"bootstrap_servers": self._servers, **self._on_a_connection}

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[None]:
        """Wrap the start of a client, to raise a refusal in place of a time-out.

        Raises:
            Untrusted: A server cannot prove to be the one that was meant.
            LoginRefused: A server does not let us in.
            BrokerUnavailable: Nobody answers, or it is not known why it did not work.
        """
        try:
            with translated(
                address=",".join(self._servers), security=self._security.protocol.value
            ):
                yield
        except BrokerUnavailable as error:
            refusal = await self._why()
            if refusal is not None:
                raise refusal from error
            raise

    @property
    def _on_a_connection(self) -> dict[str, Any]:
        security = self._security
        options: dict[str, Any] = {
            "security_protocol": security.protocol.value,
            "ssl_context": security.context,
            "request_timeout_ms": int(self.patience.total_seconds() * 1000),
        }
        if security.login is not None:
            options |= {
                "sasl_mechanism": security.login.mechanism.value,
                "sasl_plain_username": security.login.user,
                "sasl_plain_password": security.login.password,
            }
        return options

    async def _why(self) -> ConfigurationError | None:
        """Why a server refuses us or we refuse it, of the named servers and then those they name.

        None if there is nothing, or nobody answers.
        """
        asked: set[_Server] = set()
        waiting: list[_Server] = [(host, port) for host, port, _ in collect_hosts(self._servers)]
        while waiting:
            server = waiting.pop(0)
            if server in asked:
                continue
            asked.add(server)
            try:
                waiting += await self._others(server)
            except (*_REFUSALS, *SILENCES) as error:
                refusal = _meaning(error, server)
            else:
                continue
            if refusal is not None:
                return refusal
        return None

    async def _others(self, server: _Server) -> list[_Server]:
        """The brokers in this one's metadata."""
        host, port = server
        connection = AIOKafkaConnection(host, port, client_id="renkei-why", **self._on_a_connection)
        patience = _CLOSE_SECONDS
        try:
            await connection.connect()
            answer = await connection.send(MetadataRequest([]))
        except OSError:
            patience = 0.0  # nobody is there who could say goodbye
            raise
        finally:
            await asyncio.wait({connection.close()}, timeout=patience)
        cluster = ClusterMetadata()
        cluster.update_metadata(answer)
        return [(broker.host, broker.port) for broker in cluster.brokers()]


def _meaning(error: BaseException, server: _Server) -> ConfigurationError | None:
    """The refusal among the causes of an error; None if there is none."""
    broker = f"{server[0]}:{server[1]}"
    untrusted = Untrusted.found_in(error, "the broker", "RENKEI_KAFKA_CA", broker=broker)
    if untrusted is not None:
        return untrusted
    for cause in causes(error):
        if isinstance(cause, _WRONG_LOGIN):
            return LoginRefused(
                "the broker refuses RENKEI_KAFKA_USER with this password", broker=broker
            )
        if isinstance(cause, _NO_SUCH_MECHANISM):
            return LoginRefused("the broker does not take RENKEI_KAFKA_MECHANISM", broker=broker)
        if isinstance(cause, kafka.IllegalSaslStateError):
            return LoginRefused(
                "the broker takes no login here; see RENKEI_KAFKA_SECURITY", broker=broker
            )
        if isinstance(cause, ssl.SSLError) and "_ALERT_" in (cause.reason or ""):
            return LoginRefused(
                "the broker ends the handshake; see RENKEI_KAFKA_CERTIFICATE",
                broker=broker,
                tls=cause.reason,
            )
    return None
