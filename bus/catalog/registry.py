"""The schema registry, by its Confluent-compatible API: ids of schemas, schemas of ids.

Each question is asked once per process; ids never change their meaning, so answers are kept.
Away (no answer, 5xx) and unknown (404) are kept apart: the first is retried, the second never
gets better by itself.

A registry's own compatibility level may be NONE, as Apicurio's is until somebody sets it. So
each subject is set to FULL_TRANSITIVE before its first version is registered.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self
from urllib.parse import quote

import httpx
import stamina

from bus.catalog.load import Catalog
from bus.errors import (
    BusError,
    ConfigurationError,
    LoginRefused,
    RegistryUnavailable,
    SchemaIncompatible,
    SchemaUnknown,
    Untrusted,
)
from bus.model import SchemaVersion, Stream
from bus.tls import trusting

COMPATIBILITY = "FULL_TRANSITIVE"
SECONDS_TO_CONNECT = 3.0
SECONDS_TO_ANSWER = 10.0
_MEDIA = "application/vnd.schemaregistry.v1+json"
_TRIES_AT_A_RACE = 8


class Pushed(StrEnum):
    """What became of one schema version; in a dry run, what would become of it."""

    REGISTERED = "registered"
    PRESENT = "present"
    WOULD_REGISTER = "would register"


@dataclass(frozen=True, slots=True)
class PushLine:
    """One line of a push's report. ``schema_id`` is None where nothing is registered yet."""

    stream: str
    version: int
    subject: str
    outcome: Pushed
    schema_id: int | None


class _Conflict(Exception):
    """The registry said 409: a race with another registration, or an incompatible schema."""


@dataclass(frozen=True, slots=True)
class RegistrySecurity:
    """How this process logs in to the registry.

    Args:
        context: Whom to trust; None: it is not entered by TLS.
        login: User and password.
    """

    context: ssl.SSLContext | None = None
    login: tuple[str, str] | None = field(default=None, repr=False)


class SchemaIds(Protocol):
    """The part of :class:`Registry` that is used while events flow."""

    async def id_of(self, version: SchemaVersion) -> int:
        """The id under which a version is registered; see :meth:`Registry.id_of`."""

    async def schema_of(self, schema_id: int) -> str:
        """The text of the schema with that id; see :meth:`Registry.schema_of`."""


class Registry:
    """A registry at a base URL, ``https://host/apis/ccompat/v7`` or the like."""

    def __init__(
        self,
        base_url: str,
        security: RegistrySecurity | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        security = security or RegistrySecurity()
        self._client = httpx.AsyncClient(
            verify=security.context or trusting(None),
            auth=security.login,
            base_url=base_url.rstrip("/") + "/",
            headers={"Content-Type": _MEDIA, "Accept": f"{_MEDIA}, application/json"},
            timeout=httpx.Timeout(SECONDS_TO_ANSWER, connect=SECONDS_TO_CONNECT),
            transport=transport,
        )
        self.shown = str(self._client.base_url.copy_with(userinfo=b""))  # it may hold a password
        self._ids: dict[tuple[str, str], int] = {}
        self._texts: dict[int, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections; safe to call twice. Ids that were learnt stay known."""
        await self._client.aclose()

    async def greet(self) -> None:
        """Ask a question that every registry answers to whoever may log in.

        Raises:
            Untrusted: It does not prove to be the one that was meant.
            LoginRefused: It does not let us in.
            RegistryUnavailable: It does not answer.
        """
        self._json(await self._ask("GET", "subjects"))

    async def id_of(self, version: SchemaVersion) -> int:
        """The id under which *version* is registered for its stream.

        Raises:
            SchemaUnknown: It is not registered (``renkei schemas push``).
            RegistryUnavailable: The registry does not answer.
        """
        subject = _subject(version.stream)
        key = (subject, version.text)
        if key not in self._ids:
            found = await self._lookup(subject, version.text)
            if found is None:
                raise SchemaUnknown(
                    "the schema is not registered; push it: renkei schemas push",
                    stream=version.stream,
                    version=version.version,
                )
            self._remember(subject, version.text, found)
        return self._ids[key]

    async def schema_of(self, schema_id: int) -> str:
        """The text registered under *schema_id*.

        Raises:
            SchemaUnknown: The registry has no such id.
            RegistryUnavailable: The registry does not answer.
        """
        if schema_id not in self._texts:
            answer = await self._ask("GET", f"schemas/ids/{schema_id}")
            if answer.status_code == 404:
                raise SchemaUnknown("the registry has no such schema", schema_id=schema_id)
            self._texts[schema_id] = str(self._field(answer, "schema"))
        return self._texts[schema_id]

    async def push(self, catalog: Catalog, *, dry_run: bool = False) -> list[PushLine]:
        """Register every version of every stream, oldest first; repeating it changes nothing.

        Raises:
            SchemaIncompatible: The registry refuses a version; earlier ones are registered.
            RegistryUnavailable: The registry does not answer.
        """
        report: list[PushLine] = []
        for stream in catalog.streams.values():
            report += await self._push_stream(stream, dry_run=dry_run)
        return report

    async def _push_stream(self, stream: Stream, *, dry_run: bool) -> list[PushLine]:
        subject, report = stream.schema_subject, list[PushLine]()
        if not dry_run:
            await self._set_compatibility(subject)
        for version in stream.versions:
            schema_id = await self._lookup(subject, version.text)
            if schema_id is not None:
                outcome = Pushed.PRESENT
            elif dry_run:
                outcome = Pushed.WOULD_REGISTER
                await self._ask_compatible(subject, version)
            else:
                outcome = Pushed.REGISTERED
                schema_id = await self._register(subject, version)
            if schema_id is not None:
                self._remember(subject, version.text, schema_id)
            report.append(PushLine(stream.name, version.version, subject, outcome, schema_id))
        return report

    async def _register(self, subject: str, version: SchemaVersion) -> int:
        path = f"subjects/{quote(subject, safe='')}/versions"
        try:
            async for attempt in _at_a_race():
                with attempt:
                    answer = await self._ask("POST", path, {"schema": version.text})
                    if answer.status_code != 409:
                        break
                    found = await self._lookup(subject, version.text)
                    if found is not None:
                        return found
                    await self._ask_compatible(subject, version)
                    raise _Conflict
        except _Conflict:
            raise _incompatible(version) from None
        if answer.status_code == 422:
            raise _incompatible(version)
        return int(self._field(answer, "id"))

    async def _ask_compatible(self, subject: str, version: SchemaVersion) -> None:
        if not await self._is_compatible(subject, version):
            raise _incompatible(version)

    async def _is_compatible(self, subject: str, version: SchemaVersion) -> bool:
        """Whether the registry itself finds *version* compatible with every registered version."""
        path = f"compatibility/subjects/{quote(subject, safe='')}/versions"
        answer = await self._ask("POST", path, {"schema": version.text})
        return answer.status_code == 404 or bool(self._field(answer, "is_compatible"))

    async def _set_compatibility(self, subject: str) -> None:
        path = f"config/{quote(subject, safe='')}"
        async for attempt in _at_a_race():
            with attempt:
                answer = await self._ask("PUT", path, {"compatibility": COMPATIBILITY})
                if answer.status_code == 409:  # somebody else sets it at this moment
                    raise _Conflict
        self._json(answer)

    async def _lookup(self, subject: str, text: str) -> int | None:
        answer = await self._ask("POST", f"subjects/{quote(subject, safe='')}", {"schema": text})
        return None if answer.status_code == 404 else int(self._field(answer, "id"))

    def _remember(self, subject: str, text: str, schema_id: int) -> None:
        self._ids[(subject, text)] = schema_id
        self._texts.setdefault(schema_id, text)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """The registry's answer, of whatever status, unless it says that the registry is unwell."""
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        try:
            answer = await self._client.request(method, path, content=content)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self._silence(error) from error
        if answer.status_code in (401, 403):
            raise LoginRefused(
                "the schema registry refuses the login; see RENKEI_REGISTRY_USER",
                registry=self.shown,
                status=answer.status_code,
            )
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            raise self._unwell(answer)
        if answer.status_code == 404 and not _is_of_a_registry(answer):
            raise ConfigurationError(
                "what answers is no schema registry: is the path of RENKEI_REGISTRY right"
                " (…/apis/ccompat/v7)?",
                registry=self.shown,
                status=answer.status_code,
            )
        return answer

    def _json(self, answer: httpx.Response) -> Any:
        if not answer.is_success:
            raise ConfigurationError(
                "the schema registry refuses the request",
                registry=self.shown,
                status=answer.status_code,
            )
        try:
            return answer.json()
        except ValueError as error:
            raise self._unwell(answer) from error

    def _field(self, answer: httpx.Response, name: str) -> Any:
        content = self._json(answer)
        if not isinstance(content, dict) or name not in content:
            raise self._unwell(answer)
        return content[name]

    def _silence(self, error: Exception) -> BusError:
        untrusted = Untrusted.found_in(
            error, "the schema registry", "RENKEI_REGISTRY_CA", registry=self.shown
        )
        return untrusted or RegistryUnavailable(
            "the schema registry does not answer", registry=self.shown
        )

    def _unwell(self, answer: httpx.Response) -> RegistryUnavailable:
        return RegistryUnavailable(
            "the schema registry is not well",
            registry=self.shown,
            status=answer.status_code,
        )


def _is_of_a_registry(answer: httpx.Response) -> bool:
    """Whether a 404 comes from a registry: it names what was not found (40401 and the like)."""
    try:
        content = answer.json()
    except ValueError:
        return False
    code = content.get("error_code") if isinstance(content, dict) else None
    return isinstance(code, int) and code // 100 == 404


def _at_a_race() -> AsyncIterator[stamina.Attempt]:
    """Try again a few times, a moment apart, while :class:`_Conflict` is raised."""
    return stamina.retry_context(
        on=_Conflict, attempts=_TRIES_AT_A_RACE, wait_initial=0.05, wait_max=0.5
    ).__aiter__()


def _subject(stream: str) -> str:
    return Stream(stream, "", (), (), ()).schema_subject


def _incompatible(version: SchemaVersion) -> SchemaIncompatible:
    return SchemaIncompatible(
        "the registry refuses this version beside the earlier ones",
        stream=version.stream,
        version=version.version,
    )
