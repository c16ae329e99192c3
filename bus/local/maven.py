"""Choose the Maven repository that files come from: the company's, if one is configured.

The order is the setting ``maven``, then a mirror of ``central`` in the user's Maven settings with
the credentials of the server of the same name, then Maven Central as jgo knows it.

Source: Apache Maven, "Settings Reference" and "Using Mirrors for Repositories".
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from bus.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository, and the file or setting that names it."""

    url: str
    named_by: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)


def repository(setting: str | None, maven: Path, environment: Mapping[str, str]) -> Repository:
    """The repository to use.

    Args:
        setting: Value of the setting ``maven``; wins if present.
        maven: The user's Maven folder, ``~/.m2``.
        environment: For ``${env.NAME}`` in the user's Maven settings.

    Raises:
        ConfigurationError: The user's Maven settings cannot be read or used.
    """
    if setting is not None:
        return Repository(setting.rstrip("/"), "the setting maven (RENKEI_MAVEN)")
    settings = maven / "settings.xml"
    if settings.is_file():
        mirror = _mirror(settings, environment)
        if mirror is not None:
            return mirror
    return Repository(_central(), "the default")


def _central() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it warns where XDG_RUNTIME_DIR is unset
        from jgo.constants import MAVEN_CENTRAL_URL  # costs 130 ms, seldom needed
    return str(MAVEN_CENTRAL_URL).rstrip("/")


def _mirror(settings: Path, environment: Mapping[str, str]) -> Repository | None:
    try:
        root = ElementTree.parse(settings).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ConfigurationError("cannot read the Maven settings", file=str(settings)) from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]

    def text(parent: ElementTree.Element, name: str) -> str:
        value = (parent.findtext(name) or "").strip()
        return re.sub(r"\$\{env\.(\w+)\}", lambda m: environment.get(m[1], ""), value)

    for mirror in root.iterfind("mirrors/mirror"):
        if text(mirror, "blocked") == "true" or not covers_central(text(mirror, "mirrorOf")):
            continue
        name = text(mirror, "id")
        credentials = None
        for server in root.iterfind("servers/server"):
            if text(server, "id") == name and text(server, "username"):
                credentials = (text(server, "username"), text(server, "password"))
        if credentials and re.fullmatch(r".*\{.+\}", credentials[1]):
            raise ConfigurationError(
                "this server's password is encrypted by Maven; set RENKEI_MAVEN instead",
                file=str(settings),
                server=name,
            )
        named_by = f"mirror {name} in {settings}"
        return Repository(text(mirror, "url").rstrip("/"), named_by, credentials)
    return None


def covers_central(mirror_of: str) -> bool:
    """Whether a ``mirrorOf`` expression includes Maven Central."""
    names = [name.strip() for name in mirror_of.split(",")]
    return "!central" not in names and any(n in names for n in ("central", "*", "external:*"))
