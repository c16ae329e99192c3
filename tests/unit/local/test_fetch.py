"""Fetching engines: what arrives is what was pinned, and nothing is fetched twice."""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import stamina

from bus.errors import ConfigurationError, EngineError, FetchFailed
from bus.local import artifacts, fetch
from bus.local.artifacts import Artifact
from bus.local.fetch import unpack
from bus.local.maven import Repository, covers_central, repository
from bus.local.progress import Silent

CONTENT = os.urandom(3 * artifacts.CHUNK_BYTES + 17)


@dataclass
class Shelf:
    """A repository on loopback: what it has, what it was asked, how it misbehaves."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    cut_after: int | None = None
    fail_first: int = 0
    ranges: bool = True
    authorizations: list[str | None] = field(default_factory=list)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """A small Maven repository."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            wanted = self.headers.get("Range")
            it.asked.append((name, wanted))
            it.authorizations.append(self.headers.get("Authorization"))
            if it.fail_first > 0:
                it.fail_first -= 1
                self.send_error(503)
                return
            if name not in it.files:
                self.send_error(404)
                return
            content, status, start = it.files[name], 200, 0
            if wanted and it.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                status = 206 if start < len(content) else 416
            body = content[start:]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if it.cut_after is not None:
                body, it.cut_after = body[: it.cut_after], None
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it = Shelf(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield it
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    """No waiting between attempts."""
    with stamina.set_testing(True, attempts=fetch.ATTEMPTS):
        yield


def artifact(content: bytes = CONTENT, name: str = "thing") -> Artifact:
    """A pinned file."""
    digest = hashlib.sha256(content).hexdigest()
    return Artifact("kafka", "org.example", name, "1.0", "jar", None, len(content), digest)


def bring(folder: Path, shelf: Shelf, *wanted: Artifact, cache: Path | None = None) -> int:
    """Fetch from the shelf."""
    return fetch.fetch(
        folder,
        wanted,
        lambda: Repository(shelf.url, "the test"),
        cache=cache,
        environment={},
        progress=Silent(),
    )


def test_every_pinned_file_is_read() -> None:
    """The lock file names Kafka's whole closure and the registry."""
    pinned = artifacts.read()

    assert len(artifacts.of("kafka", pinned)) == 45
    (registry,) = artifacts.of("registry", pinned)
    assert registry.path.as_posix() == (
        "io/apicurio/apicurio-registry-app/3.0.9/apicurio-registry-app-3.0.9-all.tar.gz"
    )
    assert all(len(each.sha256) == 64 and each.size_bytes > 0 for each in pinned)


def test_a_broken_line_of_the_lock_file_is_named(tmp_path: Path) -> None:
    """An edit gone wrong is found at once."""
    lock = tmp_path / "engines.lock"
    lock.write_text("# fine\nkafka a:b:1:jar many abc\n", encoding="utf-8")

    with pytest.raises(EngineError, match="line=2"):
        artifacts.read(lock)


def test_files_arrive_and_the_second_run_asks_nobody(tmp_path: Path, shelf: Shelf) -> None:
    """With everything in place no network is needed."""
    wanted = []
    for n in range(9):
        content = os.urandom(100 + n)
        wanted.append(artifact(content, f"thing{n}"))
        shelf.files[wanted[n].path.as_posix()] = content

    assert bring(tmp_path, shelf, *wanted) == 9
    asked = len(shelf.asked)
    assert bring(tmp_path, shelf, *wanted) == 0
    assert len(shelf.asked) == asked
    assert not list(tmp_path.rglob("*.part"))
    assert fetch.differing(tmp_path, wanted) == []


def test_goes_on_where_it_was_cut_off(tmp_path: Path, shelf: Shelf) -> None:
    """A part that is here is not fetched again."""
    wanted = artifact()
    shelf.files[wanted.path.as_posix()] = CONTENT
    part = tmp_path / f"{wanted.path}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])

    bring(tmp_path, shelf, wanted)

    assert shelf.asked == [(wanted.path.as_posix(), "bytes=1000-")]
    assert (tmp_path / wanted.path).read_bytes() == CONTENT


def test_a_line_cut_in_the_middle_is_taken_up_again(tmp_path: Path, shelf: Shelf) -> None:
    """Within one run, too."""
    wanted = artifact()
    shelf.files[wanted.path.as_posix()] = CONTENT
    shelf.cut_after = 2 * artifacts.CHUNK_BYTES

    bring(tmp_path, shelf, wanted)

    assert [what is None for _, what in shelf.asked] == [True, False]
    assert (tmp_path / wanted.path).read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_from_the_start(tmp_path: Path, shelf: Shelf) -> None:
    """Some mirrors send the whole file whatever was asked."""
    wanted = artifact()
    shelf.files[wanted.path.as_posix()] = CONTENT
    shelf.ranges = False
    part = tmp_path / f"{wanted.path}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)

    bring(tmp_path, shelf, wanted)

    assert (tmp_path / wanted.path).read_bytes() == CONTENT


def test_a_server_that_is_not_well_is_asked_again(tmp_path: Path, shelf: Shelf) -> None:
    """503 passes."""
    wanted = artifact()
    shelf.files[wanted.path.as_posix()] = CONTENT
    shelf.fail_first = 2

    assert bring(tmp_path, shelf, wanted) == 1


@pytest.mark.parametrize("wrong", [b"!" * len(CONTENT), CONTENT + b"more", CONTENT[:-1]])
def test_another_file_than_the_pinned_one_is_refused(
    tmp_path: Path, shelf: Shelf, wrong: bytes
) -> None:
    """Nothing that was not pinned is ever run, and what came is not kept to be taken up later."""
    wanted = artifact()
    shelf.files[wanted.path.as_posix()] = wrong

    with pytest.raises(FetchFailed, match=r"thing-1\.0\.jar"):
        bring(tmp_path, shelf, wanted)

    assert not (tmp_path / wanted.path).exists()
    shelf.files[wanted.path.as_posix()] = CONTENT
    bring(tmp_path, shelf, wanted)
    assert (tmp_path / wanted.path).read_bytes() == CONTENT


def test_an_unreachable_source_says_what_to_do(tmp_path: Path, shelf: Shelf) -> None:
    """Which file, from where, and where to place it by hand; without the credentials."""
    wanted = artifact()
    secretly = shelf.url.replace("//", "//user:tr0ub4dor@")

    with pytest.raises(FetchFailed) as failed:
        bring(tmp_path, Shelf(secretly), wanted)

    message = str(failed.value)
    assert "thing-1.0.jar" in message
    assert f"{shelf.url}/{wanted.path}" in message
    assert str(tmp_path / wanted.path) in message
    assert "404" in message
    assert "tr0ub4dor" not in message


def test_nobody_there_is_an_unreachable_source(tmp_path: Path) -> None:
    """No network at all."""
    with pytest.raises(FetchFailed, match="place_at="):
        bring(tmp_path, Shelf("http://127.0.0.1:9"), artifact())


def test_one_failure_stops_the_rest_where_they_are(tmp_path: Path, shelf: Shelf) -> None:
    """Nobody waits for a hundred megabytes to be told, or after Ctrl-C; the part is kept."""
    large = artifact()
    shelf.files[large.path.as_posix()] = CONTENT
    reached = threading.Event()

    class Impatient(Silent):
        """Has had enough in the middle of the large file; waits for the failure of the other."""

        def received(self, file: str, size_bytes: int, done_bytes: int) -> None:
            if not reached.is_set():
                reached.set()
                time.sleep(0.3)

    wanted = [large, artifact(b"absent", "absent")]
    with pytest.raises(FetchFailed, match="absent"):
        fetch.fetch(
            tmp_path,
            wanted,
            lambda: Repository(shelf.url, "the test"),
            cache=None,
            environment={},
            progress=Impatient(),
        )

    part = tmp_path / f"{large.path}.part"
    assert 0 < part.stat().st_size < large.size_bytes
    assert CONTENT.startswith(part.read_bytes())


def test_a_file_placed_by_hand_is_taken(tmp_path: Path) -> None:
    """What the error advises works."""
    wanted = artifact()
    place = tmp_path / wanted.path
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)

    assert bring(tmp_path, Shelf("http://127.0.0.1:9"), wanted) == 0


def test_the_local_repository_is_a_cache(tmp_path: Path) -> None:
    """What Maven once fetched on this machine is copied."""
    wanted = artifact()
    cached = tmp_path / "m2" / wanted.path
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)

    bring(tmp_path / "e", Shelf("http://127.0.0.1:9"), wanted, cache=tmp_path / "m2")

    assert (tmp_path / "e" / wanted.path).read_bytes() == CONTENT


def test_a_cached_file_that_differs_is_passed_over(tmp_path: Path, shelf: Shelf) -> None:
    """A local repository is no authority."""
    wanted = artifact()
    shelf.files[wanted.path.as_posix()] = CONTENT
    cached = tmp_path / "m2" / wanted.path
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"other")

    bring(tmp_path / "e", shelf, wanted, cache=tmp_path / "m2")

    assert (tmp_path / "e" / wanted.path).read_bytes() == CONTENT


def settings(maven: Path, text: str) -> None:
    """Write the user's Maven settings."""
    namespace = "http://maven.apache.org/SETTINGS/1.0.0"
    maven.mkdir(exist_ok=True)
    (maven / "settings.xml").write_text(
        f'<settings xmlns="{namespace}">{text}</settings>', encoding="utf-8"
    )


MIRROR = "<mirror><id>{}</id><mirrorOf>{}</mirrorOf><url>{}</url></mirror>"
SERVERS = (
    "<servers><server><id>house</id><username>u</username>"
    "<password>${env.HOUSE_PASSWORD}</password></server></servers>"
)


def test_a_mirror_of_central_is_used_with_its_credentials(tmp_path: Path, shelf: Shelf) -> None:
    """A company's mirror set for Maven is respected."""
    wanted = artifact()
    shelf.files[wanted.path.as_posix()] = CONTENT
    mirrors = MIRROR.format("other", "spring", "http://127.0.0.1:9") + MIRROR.format(
        "house", "*,!spring", shelf.url
    )
    settings(tmp_path / "m2", f"<mirrors>{mirrors}</mirrors>{SERVERS}")

    source = repository(None, tmp_path / "m2", {"HOUSE_PASSWORD": "tr0ub4dor"})
    fetch.fetch(tmp_path, [wanted], lambda: source, cache=None, environment={}, progress=Silent())

    assert source.named_by.startswith("mirror house")
    assert shelf.authorizations == ["Basic dTp0cjB1YjRkb3I="]
    assert "tr0ub4dor" not in repr(source)


def test_the_setting_wins_over_the_mirror(tmp_path: Path) -> None:
    """Whoever sets it means it."""
    settings(tmp_path, f"<mirrors>{MIRROR.format('house', 'central', 'http://h')}</mirrors>")

    assert repository("http://mine/", tmp_path, {}).url == "http://mine"
    assert repository(None, tmp_path, {}).url == "http://h"


def test_without_any_setting_it_is_maven_central(tmp_path: Path) -> None:
    """As jgo names it: no address stands in this code."""
    source = repository(None, tmp_path, {})

    assert source.url.startswith("https://")
    assert source.credentials is None


@pytest.mark.parametrize(
    ("mirror_of", "expected"),
    [
        ("central", True),
        ("*", True),
        ("external:*", True),
        ("spring, central", True),
        ("*,!central", False),
        ("spring", False),
        ("", False),
    ],
)
def test_which_mirrors_stand_for_central(mirror_of: str, expected: bool) -> None:
    """Maven's own expressions."""
    assert covers_central(mirror_of) is expected


@pytest.mark.parametrize(
    "text",
    [
        "<mirrors>",
        "<mirrors>"
        + MIRROR.format("house", "*", "http://h")
        + "</mirrors><servers><server><id>house</id><username>u</username>"
        "<password>{COQLCE6DU6GtcS5P=}</password></server></servers>",
    ],
)
def test_maven_settings_that_cannot_be_used_are_refused(tmp_path: Path, text: str) -> None:
    """Rather than asking the wrong repository, or with the wrong password."""
    settings(tmp_path, text)

    with pytest.raises(ConfigurationError, match=r"settings\.xml"):
        repository(None, tmp_path, {})


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    """It is there whole, or not at all."""
    archive = tmp_path / "a.tar.gz"
    (tmp_path / "file").write_text("content", encoding="utf-8")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "file", "in/file")

    unpack(archive, tmp_path / "out" / "a-1")
    archive.unlink()
    unpack(archive, tmp_path / "out" / "a-1")

    assert (tmp_path / "out" / "a-1" / "in" / "file").read_text(encoding="utf-8") == "content"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a-1"]


def link(name: str, target: str) -> tarfile.TarInfo:
    """A symbolic link in an archive."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../../escaped"),
        tarfile.TarInfo("/tmp/escaped"),
        tarfile.TarInfo("in/../../../escaped"),
        link("escaped", "/etc"),
    ],
    ids=lambda member: member.name,
)
def test_an_archive_that_reaches_outside_is_refused(
    tmp_path: Path, member: tarfile.TarInfo
) -> None:
    """Nothing lands anywhere."""
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(member)

    with pytest.raises(FetchFailed):
        unpack(archive, tmp_path / "out" / "a-1")

    assert not list(tmp_path.rglob("escaped"))
    assert not list((tmp_path / "out").iterdir())


def test_half_an_archive_is_refused(tmp_path: Path) -> None:
    """Nothing half unpacked is left to be run."""
    archive = tmp_path / "a.tar.gz"
    (tmp_path / "file").write_bytes(os.urandom(200_000))
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "file", "file")
    archive.write_bytes(archive.read_bytes()[:100_000])

    with pytest.raises(FetchFailed):
        unpack(archive, tmp_path / "out" / "a-1")

    assert not list((tmp_path / "out").iterdir())
