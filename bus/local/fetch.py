"""Fetch the engines' files into a folder: in parallel, resumable, every digest verified.

The folder is laid out as a Maven repository, so a file can be placed by hand, and the user's own
local repository serves as a cache. A file has its final name only once its SHA-256 is right;
until then it is ``….part`` and the next attempt goes on where that one ends. With every file in
place nothing here opens a connection. Two processes may fetch into one folder at once: the
second waits and finds everything done.
"""

from __future__ import annotations

import fcntl
import shutil
import ssl
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx
import stamina

from bus.errors import FetchFailed, causes
from bus.local import artifacts
from bus.local.artifacts import Artifact
from bus.local.maven import Repository
from bus.local.progress import StartProgress
from bus.tls import trusting

AT_ONCE = 4
ATTEMPTS = 4
CONNECT_SECONDS = 15.0
READ_SECONDS = 60.0
CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a PEM file of authorities, as for pip; without any the machine's count."""


def missing(folder: Path, wanted: Sequence[Artifact]) -> list[Artifact]:
    """Files that are not there in the right size; digests are verified when fetching."""
    return [
        artifact
        for artifact in wanted
        if not (folder / artifact.path).is_file()
        or (folder / artifact.path).stat().st_size != artifact.size_bytes
    ]


def differing(folder: Path, wanted: Sequence[Artifact]) -> list[Artifact]:
    """Files that are there and do not have the pinned digest."""
    there = [artifact for artifact in wanted if (folder / artifact.path).is_file()]
    return [a for a in there if artifacts.digest(folder / a.path) != a.sha256]


def fetch(
    folder: Path,
    wanted: Sequence[Artifact],
    source: Callable[[], Repository],
    *,
    cache: Path | None,
    environment: Mapping[str, str],
    progress: StartProgress,
) -> int:
    """Fetch every wanted file that is missing.

    Args:
        folder: Where they go; made if absent.
        wanted: What must be there afterwards.
        source: Names the repository; called only if something is missing.
        cache: A local Maven repository to copy from, read only.
        environment: Says which certificates to trust, as for pip.
        progress: Told of bytes as they arrive.

    Returns:
        How many files were brought.

    Raises:
        FetchFailed: A file cannot be had, or is another than the pinned one. Names the file,
            where it was wanted from and where to place it by hand.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not missing(folder, wanted):
        return 0
    with _alone(folder):
        absent = missing(folder, wanted)
        progress.fetching(len(absent), sum(artifact.size_bytes for artifact in absent))
        absent.sort(key=lambda artifact: -artifact.size_bytes)  # the longest sets the pace
        named = source()
        with _client(named, environment) as client, ThreadPoolExecutor(AT_ONCE) as pool:
            way = _SharedFetch(named, client, cache, progress, threading.Event())
            jobs = [pool.submit(_bring, folder, artifact, way) for artifact in absent]
            try:
                for job in as_completed(jobs):
                    job.result()
            except BaseException:
                way.given_up.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    progress.fetched()
    return len(absent)


def unpack(archive: Path, into: Path) -> None:
    """Extract a tar archive into a folder that exists afterwards, whole, or not at all.

    Written out because Python 3.11.0 to 3.11.3 have no extraction filters; stricter than those:
    an archive with anything but folders and regular files inside is refused.
    """
    if into.is_dir():
        return
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".unpack-") as temporary:
        content = Path(temporary) / "content"
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    _extract(tar, member, content)
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise FetchFailed("cannot unpack the archive", file=str(archive)) from error
        content.rename(into)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    name = PurePosixPath(member.name)
    stream = tar.extractfile(member) if member.isfile() else None
    if name.is_absolute() or ".." in name.parts or not (stream or member.isdir()):
        raise tarfile.TarError("a member of the archive would land outside, or is no file")
    target = into / name
    if stream is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with stream, target.open("wb") as file:
        shutil.copyfileobj(stream, file, artifacts.CHUNK_BYTES)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _client(source: Repository, environment: Mapping[str, str]) -> httpx.Client:
    named = next((name for name in CERTIFICATES if environment.get(name)), None)
    bundle = environment[named] if named else None
    try:
        verify = trusting(Path(bundle) if bundle else None)
    except (OSError, ValueError) as error:
        raise FetchFailed("cannot use the certificates", file=bundle, named_by=named) from error
    return httpx.Client(
        auth=source.credentials,
        verify=verify,
        follow_redirects=True,
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        headers={"Accept-Encoding": "identity"},
    )


@dataclass(frozen=True, slots=True)
class _SharedFetch:
    """What all downloads of one fetch share."""

    source: Repository
    client: httpx.Client
    cache: Path | None
    progress: StartProgress
    given_up: threading.Event
    """Set when one file has failed or the user has had enough: the others stop where they are."""

    def address(self, artifact: Artifact) -> str:
        """The URL of a file, without the credentials that the repository's URL may carry."""
        url = httpx.URL(f"{self.source.url}/{artifact.path}")
        return str(url.copy_with(userinfo=b""))


class _GivenUp(Exception):
    """This download was stopped because of another one; its part stays."""


def _bring(folder: Path, artifact: Artifact, way: _SharedFetch) -> None:
    target = folder / artifact.path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    cached = way.cache / artifact.path if way.cache else None
    if cached and cached.is_file() and artifacts.digest(cached) == artifact.sha256:
        shutil.copyfile(cached, part)
    else:
        _download(part, target, artifact, way)
    if artifacts.digest(part) != artifact.sha256:
        part.unlink()
        raise FetchFailed(
            "the file is not the one that was pinned; it was deleted",
            file=artifact.file,
            wanted_from=way.address(artifact),
            sha256=artifact.sha256,
        )
    part.rename(target)
    way.progress.received(artifact.file, artifact.size_bytes, artifact.size_bytes)


def _download(part: Path, target: Path, artifact: Artifact, way: _SharedFetch) -> None:
    try:
        for attempt in stamina.retry_context(
            on=_is_passing, attempts=ATTEMPTS, wait_initial=0.2, wait_max=5.0
        ):
            with attempt:
                _resume(part, artifact, way)
    except httpx.HTTPError as error:
        reason = (
            f"status {error.response.status_code}"
            if isinstance(error, httpx.HTTPStatusError)
            else str(error) or type(error).__name__
        )
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error)):
            raise FetchFailed(
                f"cannot fetch {artifact.file}: who answers is vouched for by nobody whom this "
                f"machine trusts; name the PEM file of the right authority by {CERTIFICATES[0]}",
                wanted_from=way.address(artifact),
                named_by=way.source.named_by,
            ) from error
        raise FetchFailed(
            f"cannot fetch {artifact.file}: {reason}; set RENKEI_MAVEN to a repository that has "
            "it, or place the file by hand",
            wanted_from=way.address(artifact),
            named_by=way.source.named_by,
            place_at=str(target),
            sha256=artifact.sha256,
        ) from error


def _is_passing(error: Exception) -> bool:
    """Whether trying again may help: the connection broke, or the server is not well."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in {408, 429} or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


def _resume(part: Path, artifact: Artifact, way: _SharedFetch) -> None:
    done = part.stat().st_size if part.exists() else 0
    if done >= artifact.size_bytes:  # whole, or no beginning of this file: its digest tells
        return
    headers = {"Range": f"bytes={done}-"} if done else {}
    url = f"{way.source.url}/{artifact.path}"
    with way.client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()  # it is longer than what is there: begin again
            raise httpx.RemoteProtocolError("the rest of the file is not there")
        response.raise_for_status()
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            done = 0
        with part.open("ab" if done else "wb") as file:
            for chunk in response.iter_raw(artifacts.CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                way.progress.received(artifact.file, artifact.size_bytes, done)
                if done > artifact.size_bytes:  # not ours, and perhaps without end
                    return
                if way.given_up.is_set():
                    raise _GivenUp
    if done < artifact.size_bytes:
        raise httpx.RemoteProtocolError("the file ended early")
