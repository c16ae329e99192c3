"""The registry's client: asked once, away and unknown kept apart, races survived."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from bus.catalog import Catalog
from bus.catalog.registry import Pushed, Registry, RegistrySecurity
from bus.errors import (
    BusError,
    ConfigurationError,
    LoginRefused,
    RegistryUnavailable,
    SchemaIncompatible,
    SchemaUnknown,
)
from tests.unit.catalog.fakeregistry import FakeRegistry

Before = Callable[[httpx.Request], httpx.Response | None]


@pytest.fixture
def fake() -> FakeRegistry:
    return FakeRegistry()


def refuses(error: Exception) -> Before:
    def before(request: httpx.Request) -> httpx.Response | None:
        raise error

    return before


def says(status: int, content: bytes = b"") -> Before:
    return lambda request: httpx.Response(status, content=content)


async def test_push_registers_every_version_once(fake: FakeRegistry, catalog: Catalog) -> None:
    """Every version, oldest first, each subject FULL_TRANSITIVE before; again changes nothing."""
    async with fake.registry() as registry:
        first = await registry.push(catalog)
        registered = dict(fake.texts)
        second = await registry.push(catalog)

    assert [(line.stream, line.version) for line in first] == [
        (stream.name, version.version)
        for stream in catalog.streams.values()
        for version in stream.versions
    ]
    assert {line.outcome for line in first} == {Pushed.REGISTERED}
    assert {line.outcome for line in second} == {Pushed.PRESENT}
    assert [line.schema_id for line in first] == [line.schema_id for line in second]
    assert fake.texts == registered
    assert set(fake.levels) == {stream.schema_subject for stream in catalog.streams.values()}
    assert set(fake.levels.values()) == {"FULL_TRANSITIVE"}
    subject = "linkage.resident-value"
    config = fake.asked.index(("PUT", f"config/{subject}"))
    assert config < fake.asked.index(("POST", f"subjects/{subject}/versions"))


async def test_a_dry_run_writes_nothing(fake: FakeRegistry, catalog: Catalog) -> None:
    """It says what would be registered."""
    async with fake.registry() as registry:
        report = await registry.push(catalog, dry_run=True)

    assert {line.outcome for line in report} == {Pushed.WOULD_REGISTER}
    assert fake.texts == {}
    assert fake.levels == {}
    assert not [path for method, path in fake.asked if path.endswith("/versions")
                and path.startswith("subjects/")]  # fmt: skip


async def test_an_id_is_asked_for_once(fake: FakeRegistry, catalog: Catalog) -> None:
    """Answers are kept in both directions, and outlive the registry."""
    version = catalog.stream("resident").latest
    async with fake.registry() as registry:
        await registry.push(catalog)
    async with fake.registry() as registry:
        schema_id = await registry.id_of(version)
        fake.before = refuses(httpx.ConnectError("away"))
        asked = len(fake.asked)

        assert await registry.id_of(version) == schema_id
        assert await registry.schema_of(schema_id) == version.text
        assert len(fake.asked) == asked
        with pytest.raises(RegistryUnavailable):
            await registry.id_of(catalog.stream("household").latest)


async def test_what_is_not_there_is_unknown(fake: FakeRegistry, catalog: Catalog) -> None:
    """An unknown id or schema gets no better by asking again, and is asked again all the same."""
    version = catalog.stream("resident").latest
    async with fake.registry() as registry:
        with pytest.raises(SchemaUnknown, match="push"):
            await registry.id_of(version)
        with pytest.raises(SchemaUnknown):
            await registry.schema_of(7)
        fake.put(version.text, 7)
        assert await registry.schema_of(7) == version.text


@pytest.mark.parametrize(
    ("before", "error"),
    [
        (refuses(httpx.ConnectError("refused")), RegistryUnavailable),
        (refuses(httpx.ConnectTimeout("slow")), RegistryUnavailable),
        (refuses(httpx.ReadTimeout("slow")), RegistryUnavailable),
        (refuses(httpx.RemoteProtocolError("cut off")), RegistryUnavailable),
        (says(500), RegistryUnavailable),
        (says(503), RegistryUnavailable),
        (says(429), RegistryUnavailable),
        (says(200, b"<html>"), RegistryUnavailable),
        (says(200, b"[]"), RegistryUnavailable),
        (says(200, b"{}"), RegistryUnavailable),
        (says(401), ConfigurationError),
        (says(403), ConfigurationError),
        (says(400), ConfigurationError),
    ],
)
async def test_each_answer_has_its_error(
    fake: FakeRegistry, before: Before, error: type[BusError]
) -> None:
    """Away is retried, refused rights stop: neither is mistaken for an unknown schema."""
    fake.before = before
    async with fake.registry() as registry:
        with pytest.raises(error):
            await registry.schema_of(7)


async def test_a_race_with_another_push_is_won_or_joined(
    fake: FakeRegistry, catalog: Catalog
) -> None:
    """Two pushes at once end with one registration each knows."""
    conflicts = 2

    def before(request: httpx.Request) -> httpx.Response | None:
        nonlocal conflicts
        path = request.url.path.removeprefix("/apis/ccompat/v7/")
        if conflicts and path.startswith("subjects/") and path.endswith("/versions"):
            conflicts -= 1
            return httpx.Response(409, json={"error_code": 409})
        return None

    fake.before = before
    async with fake.registry() as registry:
        report = await registry.push(catalog)

    assert conflicts == 0
    assert {line.outcome for line in report} == {Pushed.REGISTERED}


async def test_an_incompatible_version_is_refused(fake: FakeRegistry, catalog: Catalog) -> None:
    """What the registry calls incompatible is not tried again for ever."""

    def before(request: httpx.Request) -> httpx.Response | None:
        if "/compatibility/" in request.url.path:
            return httpx.Response(200, json={"is_compatible": False})
        if request.url.path.endswith("/versions"):
            return httpx.Response(409, json={"error_code": 409})
        return None

    fake.before = before
    async with fake.registry() as registry:
        for dry_run in (False, True):
            with pytest.raises(SchemaIncompatible) as refused:
                await registry.push(catalog, dry_run=dry_run)
            assert refused.value.where == {"stream": next(iter(catalog.streams)), "version": 1}


async def test_text_goes_out_as_it_is(fake: FakeRegistry, catalog: Catalog) -> None:
    """Japanese names reach the registry in UTF-8."""
    sent: list[bytes] = []

    def before(request: httpx.Request) -> httpx.Response | None:
        sent.append(request.content)
        return None

    fake.before = before
    async with fake.registry() as registry:
        await registry.push(catalog)

    assert any("宛名番号".encode() in content for content in sent)
    assert all(json.loads(content) is not None for content in sent if content)


@pytest.mark.parametrize("answer", [refuses(httpx.ConnectError("no")), says(500), says(401)])
async def test_an_error_never_names_the_password(answer: Before) -> None:
    """A registry that wants a login has it in its URL."""
    transport = httpx.MockTransport(lambda request: answer(request) or httpx.Response(200))
    registry = Registry("https://renkei:tr0ub4dor@registry.example/apis", transport=transport)

    with pytest.raises(BusError) as failed:
        await registry.schema_of(1)
    await registry.close()

    assert failed.value.where["registry"] == "https://registry.example/apis/"
    assert "tr0ub4dor" not in str(failed.value)


async def test_a_login_is_sent_and_its_refusal_is_told() -> None:
    """A registry that wants a user and a password; asking again with the same would not help."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(401)

    security = RegistrySecurity(login=("renkei", "tr0ub4dor"))
    registry = Registry(
        "https://registry.example/apis", security, transport=httpx.MockTransport(answer)
    )
    with pytest.raises(LoginRefused, match="RENKEI_REGISTRY_USER") as refused:
        await registry.schema_of(1)
    await registry.close()

    assert seen == [httpx.BasicAuth("renkei", "tr0ub4dor")._auth_header]
    assert "tr0ub4dor" not in str(refused.value)
