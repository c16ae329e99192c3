"""``renkei keys``: new ones, those there are, and what each is still needed for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from bus import app as composition
from bus.cli import keys
from bus.errors import BusError, ConfigurationError, KeysUnusable, SealBroken
from bus.operate import sealing
from bus.operate.key_usage import sealed_in
from bus.operate.session import Session
from bus.sealing import KeyRing, Seals
from bus.sealing.seals import seal_rows
from bus.settings import Settings
from tests.support.keys import Pocket, key
from tests.support.lanes import CATALOG, Town
from tests.support.sealed import STREAM, number_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the settings say that the keys are."""
    return tmp_path / "seal-keys"


@pytest.fixture
def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the command under settings that name the file."""
    monkeypatch.setattr(composition.configured, "settings", lambda: Settings(seal_keys_file=path))
    app = typer.Typer()
    keys.register(app)

    def called(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["keys", *arguments])

    return called


def test_a_new_key_seals_from_now_on(run: Callable[..., Result], path: Path) -> None:
    """It is written behind the others, and listed; it is itself never shown."""
    first = json.loads(run("new", "--json").stdout)
    second = json.loads(run("new", "--id", "second", "--json").stdout)

    listed = json.loads(run("list", "--json").stdout)
    assert [each["id"] for each in listed] == [first["id"], "second"]
    assert [each["is_current"] for each in listed] == [False, True]
    assert second["file"] == str(path)
    said = "".join(run(*words).stdout for words in (["list"], ["list", "--json"]))
    assert not any(line.split()[1][:10] in said for line in path.read_text().splitlines())


def test_a_dry_run_writes_nothing(run: Callable[..., Result], path: Path) -> None:
    """It says whether it could."""
    assert json.loads(run("new", "--dry-run", "--json").stdout)["dry_run"] is True
    assert not path.exists()

    path.write_text("half a fi")
    path.chmod(0o600)
    assert isinstance(run("new", "--dry-run").exception, KeysUnusable)


@pytest.mark.parametrize("key_id", ["A", "a.b", "", "-a", "a" * 33, "a b"])
def test_an_id_that_cannot_be_in_a_text_is_refused(
    run: Callable[..., Result], path: Path, key_id: str
) -> None:
    """Nothing is written."""
    assert isinstance(run("new", "--id", key_id).exception, KeysUnusable)
    assert not path.exists()


def test_without_a_place_it_asks_for_one(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the names of option and setting."""
    monkeypatch.setattr(composition.configured, "settings", Settings)

    error = run("new").exception
    assert isinstance(error, ConfigurationError)
    assert "RENKEI_SEAL_KEYS_FILE" in str(error)


def test_two_places_are_one_too_many() -> None:
    """A file and a command: nobody knows which was meant."""
    with pytest.raises(BusError) as refused:
        composition.keys.seals(Settings(seal_keys_file=Path("x"), seal_keys_command=SecretStr("y")))

    assert "RENKEI_SEAL_KEYS_FILE" in str(refused.value.faults)  # type: ignore[attr-defined]


# -- what the log holds ---------------------------------------------------------------------------


async def town_with(*events: tuple[str, str]) -> Town:
    """A log with numbers, each sealed with a key of that name and then perhaps spoilt."""
    town = Town(partitions=2)
    await town.build()
    for person, (key_id, what) in enumerate(events):
        record = town.record(STREAM, f"{person:015d}", 1, number=number_of(person))
        (row,) = seal_rows(CATALOG.stream(STREAM), [record], KeyRing.parse(key(key_id).line))
        text = {"good": row["number"], "cut": row["number"][:-2], "plain": number_of(person)}[what]
        await town.publish(STREAM, f"{person:015d}", 1, number=text, partition=person % 2)
    return town


async def counted(town: Town, *ids: str) -> dict[str | None, tuple[Any, ...]]:
    """What is found under these keys: values, those that open, the first that does not."""
    stream = CATALOG.stream(STREAM)
    found = await sealed_in(town.broker, stream, town.reader(STREAM), Seals(Pocket(*ids)))
    return {e.key: (e.values, e.opened, e.code, e.partition, e.offset) for e in found}


async def test_everything_is_counted_by_its_key() -> None:
    """Also a key that nothing is under."""
    town = await town_with(("k1", "good"), ("k2", "good"), ("k2", "good"))
    await town.append(STREAM, "gone", None)
    await town.append(STREAM, "other", b"\x00garbage")

    assert await counted(town, "k1", "k2", "k3") == {
        "k1": (1, 1, None, None, None),
        "k2": (2, 2, None, None, None),
        "k3": (0, 0, None, None, None),
    }


async def test_what_does_not_open_is_named() -> None:
    """With the first of each kind: where, and why."""
    town = await town_with(("k1", "good"), ("k9", "good"), ("k1", "cut"), ("k1", "plain"))

    assert await counted(town, "k1") == {
        None: (1, 0, "RK-505", 1, 1),
        "k1": (2, 1, "RK-505", 0, 1),
        "k9": (1, 0, "RK-504", 1, 0),
    }


async def test_an_empty_log_needs_no_old_key() -> None:
    """Nothing is under any."""
    assert await counted(await town_with(), "k1") == {"k1": (0, 0, None, None, None)}


def test_the_command_says_what_may_be_retired(
    run: Callable[..., Result], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its exit status says that something does not open."""
    path.write_text("".join(f"{key(each).line}\n" for each in ("k1", "k2", "k3")))
    path.chmod(0o600)

    async def sealed(session: Session) -> Any:
        town = await town_with(("k2", "good"), ("k3", "good"))
        return await sealed_in(
            town.broker,
            CATALOG.stream(STREAM),
            town.reader(STREAM),
            composition.keys.seals(session.settings),
        )

    monkeypatch.setattr(sealing, "sealed", sealed)
    found = {each["key"]: each for each in json.loads(run("check", "--json").stdout)}
    assert {k: each["may_be_retired"] for k, each in found.items()} == {
        "k1": True,
        "k2": False,
        "k3": False,
    }
    assert run("check").exit_code == 0
    assert "may be retired" in run("check").stdout

    path.write_text(f"{key('k3').line}\n")
    result = run("check", "--json")
    assert result.exit_code == SealBroken.exit_status
    (lost,) = [each for each in json.loads(result.stdout) if each["key"] == "k2"]
    assert (lost["is_there"], lost["code"], lost["may_be_retired"]) == (False, "RK-504", False)
