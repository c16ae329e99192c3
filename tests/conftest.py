"""Fixtures that every test may use, and the life of the engines of a run.

``engines`` starts the real Kafka, PostgreSQL and registry once per run, also with xdist, when the
first test asks for them. They end with the run, however it ends. Where they cannot be had a test
is skipped on a laptop and fails in CI (``CI=true``).
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from bus.catalog import documents
from bus.catalog.load import SHIPPED
from bus.errors import EngineError
from bus.local.endpoints import Endpoints
from tests.support import engines as test_engines

# shared suites live outside the test tree; their assertions explain themselves all the same
pytest.register_assert_rewrite("bus.conformance.sink_suite", "bus.conformance.broker_suite")

# how long an example takes says how busy the machine is, and fails no test
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# some two hundred commands are started in a run: from what is compiled once, not each anew
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

HOME = pytest.StashKey[Path]()
OWNER = pytest.StashKey[int]()


def _parsed_once(read: Callable[[str, str], Any]) -> Callable[[str, str], Any]:
    """The contracts are loaded hundreds of times in a run: the same text is parsed once, and
    whoever asks again gets a copy of his own."""

    @cache
    def kept(text: str, shown: str) -> bytes:
        return pickle.dumps(read(text, shown))

    return lambda text, shown: pickle.loads(kept(text, shown))


catalog_files = importlib.import_module("bus.catalog.load")  # the package's load is a function
documents._read_yaml = _parsed_once(documents._read_yaml)
documents._read_json = _parsed_once(documents._read_json)


def _read_once(read: Callable[[Any], None]) -> Callable[[Any], None]:
    """The shipped contracts stay as they are: whoever loads them again gets the same streams, which
    nothing can change, in collections of his own."""
    kept: dict[str, Any] = {}

    def found(reader: Any) -> None:
        if reader.folder != SHIPPED:
            read(reader)
            return
        if not kept:
            read(reader)
            kept.update({name: copy(value) for name, value in vars(reader).items()})
        vars(reader).update({name: copy(value) for name, value in kept.items()})

    return found


catalog_files._FolderReader.all = _read_once(catalog_files._FolderReader.all)


def pytest_configure(config: pytest.Config) -> None:
    """One data folder for the run; a worker is told which. Those of dead runs are deleted.

    A shell that runs something in the background has it ignore Ctrl-C, and children inherit that:
    the commands under test would not hear it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        temporary = Path(tempfile.gettempdir())
        test_engines.clear(temporary)
        folder = temporary / test_engines.unique(test_engines.RUNS)
        config.stash[HOME], config.stash[OWNER] = folder, os.getpid()
    else:
        config.stash[HOME] = Path(given["engines_home"])
        config.stash[OWNER] = given["engines_owner"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: tell a worker where the run's engines are."""
    node.workerinput["engines_home"] = str(node.config.stash[HOME])
    node.workerinput["engines_owner"] = node.config.stash[OWNER]


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that began the run ends the engines, whoever started them."""
    if config.stash.get(OWNER, None) == os.getpid():
        test_engines.stop(config.stash[HOME])


@pytest.fixture(autouse=True)
def _logs_are_put_back() -> Iterator[None]:
    """A command run within a test configures the logs of its process: the next test finds them as
    they were, whichever test ran before it."""
    before = structlog.get_config() if structlog.is_configured() else None
    hook, root = sys.excepthook, logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults() if before is None else structlog.configure(**before)
    sys.excepthook = hook
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="session")
def engines(request: pytest.FixtureRequest) -> Endpoints:
    """The real Kafka, registry and PostgreSQL, one set for the whole run."""
    given = test_engines.given()
    if given is not None:
        return given
    try:
        return test_engines.shared(request.config.stash[HOME], request.config.stash[OWNER])
    except EngineError as error:
        if os.environ.get("CI"):
            pytest.fail(f"the engines cannot be had: {error}")
        pytest.skip(f"the engines cannot be had: {error}")


@pytest.fixture
def database(engines: Endpoints) -> Iterator[str]:
    """URI of an empty PostgreSQL database of this test's own."""
    with test_engines.fresh_database(engines.database) as uri:
        yield uri


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes names nobody else has: ``unique("topic")``."""
    return test_engines.unique
