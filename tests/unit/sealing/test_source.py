"""Where keys come from: files and commands as they are found in the world."""

from __future__ import annotations

import ast
import asyncio
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from bus.errors import ConfigurationError, KeysUnavailable, KeysUnusable, Reaction
from bus.sealing import CommandSource, FileSource, Seals
from bus.sealing import file as key_file
from bus.sealing.ring import Key
from tests.support.waiting import until

AT = datetime(2026, 11, 24, tzinfo=UTC)
OLD, NEW = Key("old", bytes(range(32)), AT), Key("new", bytes(range(32, 64)), AT)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Puts a file of keys in place, as a whole."""
    path = tmp_path / "keys"

    def written(*keys: Key, text: str | None = None, mode: int = 0o600) -> Path:
        beside = tmp_path / "beside"
        beside.write_text("".join(f"{key.line}\n" for key in keys) if text is None else text)
        beside.chmod(mode)
        beside.replace(path)
        return path

    return written


def command(tmp_path: Path, python: str) -> str:
    """A command that runs this program."""
    program = tmp_path / "keys.py"
    program.write_text(python)
    return f"{sys.executable} {program}"


# -- a file -------------------------------------------------------------------------------------


async def test_a_file_is_read_again_when_it_changes(write: Callable[..., Path]) -> None:
    """And not before: whoever seals sees a new key without a restart."""
    seals = Seals(FileSource(write(OLD)))
    assert (await seals.ring()) is (await seals.ring())

    write(OLD, NEW)

    assert (await seals.ring()).current == NEW


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
async def test_a_file_that_others_may_read_is_refused(
    write: Callable[..., Path], mode: int
) -> None:
    """The group counts."""
    with pytest.raises(KeysUnusable, match="mode 0600 or 0400"):
        await Seals(FileSource(write(OLD, mode=mode))).ring()


async def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """And it is read once it is there."""
    seals = Seals(FileSource(tmp_path / "keys"))
    with pytest.raises(KeysUnusable) as raised:
        await seals.ring()
    assert raised.value.where["reason"] == os.strerror(2)

    key_file.add(tmp_path / "keys", OLD)

    assert (await seals.ring()).current == OLD


async def test_a_pipe_and_a_folder_are_no_files_of_keys(tmp_path: Path) -> None:
    """Neither holds anybody up."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "."):
        with pytest.raises(KeysUnusable):
            async with asyncio.timeout(30):
                await Seals(FileSource(tmp_path / name)).ring()


@pytest.mark.parametrize("spoil", ["half", "gone", "readable by others", "no text"])
async def test_what_is_known_goes_on_while_the_file_is_being_changed(
    write: Callable[..., Path], spoil: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be used takes no key away; it is said once, and once mended it is read."""
    path = write(OLD)
    seals = Seals(FileSource(path))
    await seals.ring()
    capsys.readouterr()

    if spoil == "half":
        write(text=f"{OLD.line}\n{NEW.line[:30]}")
    elif spoil == "gone":
        path.unlink()
    elif spoil == "no text":
        path.write_bytes(b"\xff\xfe")
    else:
        write(OLD, NEW, mode=0o644)
    for _ in range(5):
        assert (await seals.ring()).current == OLD
    assert capsys.readouterr().out.count("seal-keys-not-reread") == 1

    write(OLD, NEW)
    assert (await seals.ring()).current == NEW


async def test_a_key_that_is_needed_has_the_file_read_again(write: Callable[..., Path]) -> None:
    """A reader meets a key that a publisher elsewhere already seals with."""
    seals = Seals(FileSource(write(OLD)))
    await seals.ring()

    write(OLD, NEW)

    assert "new" in (await seals.ring({"new"})).keys
    assert "third" not in (await seals.ring({"third"})).keys  # whoever needs it says so


async def test_a_key_that_was_taken_out_is_gone(write: Callable[..., Path]) -> None:
    """Retired means retired."""
    seals = Seals(FileSource(write(OLD, NEW)))
    await seals.ring()

    write(NEW)

    assert list((await seals.ring()).keys) == ["new"]


async def test_without_keys_it_says_what_to_set() -> None:
    """By the names of the settings."""
    with pytest.raises(KeysUnusable, match="RENKEI_SEAL_KEYS_FILE"):
        await Seals().ring()


# -- writing a file -----------------------------------------------------------------------------


def test_a_key_is_written_behind_the_others(tmp_path: Path) -> None:
    """For the owner alone; comments stay; nothing is left beside it."""
    path = tmp_path / "keys"
    key_file.add(path, OLD)
    path.write_text(f"# kept by the information policy division\n{OLD.line}")

    key_file.add(path, NEW)

    assert path.read_text() == (
        f"# kept by the information policy division\n{OLD.line}\n{NEW.line}\n"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_file_of_keys_is_left_alone(write: Callable[..., Path]) -> None:
    """So is one that has this key, or that others may read."""
    for path in (write(text="half a fi"), write(OLD), write(NEW, mode=0o644)):
        before = path.read_text()
        with pytest.raises(KeysUnusable):
            key_file.add(path, OLD)
        assert path.read_text() == before


def test_two_writers_do_not_lose_a_key(tmp_path: Path) -> None:
    """The second is turned away while the first is at it."""
    (tmp_path / ".keys.new").touch()

    with pytest.raises(KeysUnusable, match="somebody else"):
        key_file.add(tmp_path / "keys", OLD)


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    """The folder is not there."""
    with pytest.raises(ConfigurationError) as raised:
        key_file.add(tmp_path / "nowhere" / "keys", OLD)
    assert raised.value.where["reason"] == os.strerror(2)


# -- a command ----------------------------------------------------------------------------------


async def test_a_command_prints_the_keys(tmp_path: Path) -> None:
    """Its words are split as a shell would, and no shell reads them."""
    said = command(
        tmp_path, f"import sys; assert sys.argv[1:] == ['a b', '$HOME']; print({OLD.line!r})"
    )

    ring = await Seals(CommandSource(f"{said} 'a b' $HOME")).ring()

    assert ring.current == OLD


async def test_a_command_is_asked_again_after_a_while(tmp_path: Path) -> None:
    """Or when a key is needed that it did not say."""
    clock = [0.0]
    said = command(tmp_path, f"print({OLD.line!r})")
    seals = Seals(CommandSource(said, trusted_for=timedelta(minutes=5), now=lambda: clock[0]))
    await seals.ring()
    command(tmp_path, f"print({OLD.line!r}); print({NEW.line!r})")

    clock[0] = 299.0
    assert (await seals.ring()).current == OLD
    clock[0] = 301.0
    assert (await seals.ring()).current == NEW
    command(tmp_path, f"print({NEW.line!r})")
    assert list((await seals.ring({"third"})).keys) == ["new"]


async def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Nobody waits for it longer than said; it is tried again by whoever needs it."""
    note = tmp_path / "child"
    said = command(
        tmp_path,
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)",
    )
    began = time.monotonic()

    with pytest.raises(KeysUnavailable) as raised:
        await Seals(CommandSource(said, patience=timedelta(seconds=1.5))).ring()

    assert time.monotonic() - began < 10
    assert raised.value.reaction is Reaction.RETRY
    child = int(note.read_text())
    await until(lambda: not psutil.pid_exists(child) or _is_dead(child))


async def test_a_command_that_hangs_takes_no_key_away(tmp_path: Path) -> None:
    """What is known goes on, and the command is not asked again at once."""
    clock, asked = [0.0], tmp_path / "asked"
    said = command(tmp_path, f"print({OLD.line!r})")
    source = CommandSource(said, patience=timedelta(seconds=1), now=lambda: clock[0])
    seals = Seals(source)
    await seals.ring()
    command(tmp_path, f"open({str(asked)!r}, 'a').write('x'); import time; time.sleep(60)")
    clock[0] = 1_000.0

    for _ in range(3):
        assert (await seals.ring()).current == OLD

    assert asked.read_text() == "x"


@pytest.mark.parametrize(
    ("python", "error"),
    [
        ("print('no keys here')", KeysUnusable),
        ("import sys; sys.stdout.buffer.write(bytes(range(256)))", KeysUnusable),
        ("", KeysUnusable),
        (f"print({OLD.line!r}[:40], end='')", KeysUnusable),
        (f"print({OLD.line!r}); raise SystemExit(3)", KeysUnavailable),
        ("raise SystemExit(1)", KeysUnavailable),
        (f"import os; print({OLD.line!r}, flush=True); os.kill(os.getpid(), 9)", KeysUnavailable),
    ],
)
async def test_a_command_that_does_not_give_keys(
    tmp_path: Path, python: str, error: type[Exception], capfd: pytest.CaptureFixture[str]
) -> None:
    """Garbage stops; a failure is tried again. What it printed is told nobody."""
    with pytest.raises(error) as raised:
        await Seals(CommandSource(command(tmp_path, python))).ring()

    assert OLD.line.split()[1][:16] not in f"{raised.value}"
    assert OLD.line.split()[1][:16] not in "".join(capfd.readouterr())


async def test_a_command_is_told_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our environment may hold passwords; and a PATH of ours would choose its programs."""
    monkeypatch.setenv("RENKEI_KAFKA_PASSWORD", "tr0ub4dor")
    monkeypatch.setenv("LD_PRELOAD_NOT", "x")
    told = tmp_path / "told"
    said = command(
        tmp_path,
        f"import os; open({str(told)!r}, 'w').write(repr((dict(os.environ), os.getcwd())))\n"
        f"print({OLD.line!r})",
    )

    await Seals(CommandSource(said)).ring()

    environment, folder = ast.literal_eval(told.read_text())
    environment.pop("LC_CTYPE", None)  # Python's own
    assert environment == {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    assert folder == "/"


async def test_a_command_without_its_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write a folder of PATH would give us the keys."""
    program = command(tmp_path, f"print({OLD.line!r})").split()[0]
    monkeypatch.setenv("PATH", str(Path(program).parent))

    with pytest.raises(KeysUnusable, match="absolute path"):
        await Seals(CommandSource(Path(program).name)).ring()


@pytest.mark.parametrize("mode", [0o775, 0o757])
async def test_a_command_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """They would say which keys seal."""
    program = tmp_path / "of-others"
    program.touch()
    program.chmod(mode)

    with pytest.raises(KeysUnusable) as raised:
        await Seals(CommandSource(str(program))).ring()

    assert raised.value.where["fault"] == "writable-by-others"


@pytest.mark.parametrize("said", ["/no/such/program", "", "'", "/dev/null"])
async def test_what_is_no_command_is_refused(said: str) -> None:
    """It does not mend itself."""
    with pytest.raises(KeysUnusable):
        await Seals(CommandSource(said)).ring()


def _is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
