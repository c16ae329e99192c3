"""The registry by https with an authority of the site's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bus import app
from bus.errors import Untrusted
from bus.local import checkup
from bus.local.checkup import Verdict
from bus.local.endpoints import Endpoints
from bus.settings import load
from tests.support.certificates import Authority
from tests.support.front import tls_front

pytestmark = pytest.mark.service


@pytest.fixture
def https(engines: Endpoints, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The variables of an installation whose registry has a certificate."""
    town = Authority(tmp_path, "town")
    with tls_front(engines.registry, town.certify("registry", "127.0.0.1")) as url:
        yield {
            "RENKEI_HOME": str(tmp_path / "home"),
            "RENKEI_REGISTRY": url,
            "RENKEI_REGISTRY_CA": str(town.file),
        }


async def test_schemas_are_pushed_and_found(https: Mapping[str, str]) -> None:
    """The whole way there and back."""
    settings = load(https)
    catalog = app.configured.catalog(settings)
    async with app.clients.registry(settings) as registry:
        await registry.push(catalog)
        found = await registry.id_of(catalog.stream("resident").latest)

    async with app.clients.registry(settings) as another:
        assert await another.schema_of(found)


def test_the_doctor_asks_it(https: Mapping[str, str], tmp_path: Path) -> None:
    """Let in, and turned away."""
    (fine,) = checkup.registry(load(https))
    another = {"RENKEI_REGISTRY_CA": str(Authority(tmp_path, "another").file)}
    (unproven,) = checkup.registry(load({**https, **another}))

    assert (fine.verdict, fine.says) == (Verdict.OK, f"{https['RENKEI_REGISTRY']}/")
    assert (unproven.verdict, unproven.says[:8]) == (Verdict.FAIL, "[RK-103]")


@pytest.mark.parametrize("wrong", ["authority", "none", "host"])
async def test_who_proves_nothing_is_not_asked(
    https: Mapping[str, str], tmp_path: Path, wrong: str
) -> None:
    """Told as what it is, and not as a registry that is away."""
    said = dict(https)
    if wrong == "authority":
        said["RENKEI_REGISTRY_CA"] = str(Authority(tmp_path, "another").file)
    elif wrong == "none":
        del said["RENKEI_REGISTRY_CA"]
    else:
        said["RENKEI_REGISTRY"] = said["RENKEI_REGISTRY"].replace("127.0.0.1", "localhost")

    async with app.clients.registry(load(said)) as registry:
        with pytest.raises(Untrusted, match=r"another host|RENKEI_REGISTRY_CA"):
            await registry.schema_of(1)


async def test_a_certificate_that_has_ended_is_told_as_that(
    engines: Endpoints, tmp_path: Path
) -> None:
    """What to do is another thing than with a stranger's: renew it."""
    town = Authority(tmp_path, "town")
    with tls_front(engines.registry, town.certify("registry", "127.0.0.1", days=-1)) as url:
        said = {"RENKEI_REGISTRY": url, "RENKEI_REGISTRY_CA": str(town.file)}
        async with app.clients.registry(load(said)) as registry:
            with pytest.raises(Untrusted) as refused:
                await registry.greet()

    assert refused.value.where["tls"] == "certificate has expired"
