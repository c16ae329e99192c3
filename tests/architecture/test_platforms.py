"""The stated platforms are held: the lock has a file for each of them, and no compiler is needed.

Stated in README.md: Linux on x86_64 and aarch64 with glibc 2.28, Python 3.11 to 3.14.
``requirements/files.txt`` says which file each hash of the lock is (``make lock`` writes both).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
GLIBC = 28

SOURCES = {
    "avro-python3": MACHINES,  # Python alone
    "faust-streaming": ("aarch64",),  # its C may be missing: tests/integration/monitor
}
"""Installed from source, where: what builds without a compiler."""


@cache
def locked() -> dict[Requirement, frozenset[str]]:
    """Each requirement of the lock, with its hashes."""
    text = (ROOT / "requirements/lock.txt").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    parted = [line.split("--hash=sha256:") for line in lines]
    hashes = {
        first.strip(): frozenset(digest.strip() for digest in rest) for first, *rest in parted
    }
    return {Requirement(first): digests for first, digests in hashes.items()}


@cache
def named() -> dict[str, str]:
    """A file's name by its hash."""
    lines = (ROOT / "requirements/files.txt").read_text("utf-8").splitlines()
    return dict(line.split("  ") for line in lines)


@cache
def tags(python: str, machine: str) -> frozenset[Tag]:
    """What an interpreter of *python* takes on *machine*."""
    version = tuple(int(part) for part in python.split("."))
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)]
    platforms += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    platforms.append(f"linux_{machine}")
    interpreter = "cp" + "".join(python.split("."))
    found = [*cpython_tags(version, platforms=platforms)]
    return frozenset([*found, *compatible_tags(version, interpreter, platforms)])


def without_a_file(python: str, machine: str) -> Iterator[str]:
    """What the lock asks for on that platform and has no file for."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for requirement, hashes in locked().items():
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        files = [named()[digest] for digest in hashes if digest in named()]
        wheels = [parse_wheel_filename(file) for file in files if file.endswith(".whl")]
        if any(taken & tags(python, machine) for _, _, _, taken in wheels):
            continue
        if not files or machine not in SOURCES.get(requirement.name, ()):
            yield requirement.name


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_package_has_a_file(python: str, machine: str) -> None:
    """A wheel, or one of the sources that need no compiler."""
    assert list(without_a_file(python, machine)) == []


def test_the_names_are_those_of_the_lock() -> None:
    """No file that the lock does not have; each one of the package that the lock says."""
    by_hash = {digest: need for need, hashes in locked().items() for digest in hashes}

    for digest, name in named().items():
        is_wheel = name.endswith(".whl")
        parsed = parse_wheel_filename(name) if is_wheel else parse_sdist_filename(name)
        need = by_hash[digest]
        assert parsed[0] == canonicalize_name(need.name)
        assert need.specifier.contains(parsed[1], prereleases=True)


def test_what_is_stated() -> None:
    """README and the distribution's own words say the same."""
    readme = (ROOT / "README.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    versions = [line for line in project["classifiers"] if ":: Python :: 3." in line]

    assert {line.rpartition(" ")[2] for line in versions} == set(PYTHONS)
    assert project["requires-python"] == f">={PYTHONS[0]}"
    stated = f"Python {PYTHONS[0]} to {PYTHONS[-1]} on Linux (glibc 2.{GLIBC} or newer)"
    assert re.sub(r"\s+", " ", readme).count(f"{stated}, {' or '.join(MACHINES)}") == 1
