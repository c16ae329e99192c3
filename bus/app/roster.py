"""Import what the rosters of connectors name, when it is first used, and check its options."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bus.errors import ConfigurationError, SettingsRefused
from bus.model import Fault

NEAR = 3  # names that are told, at most


def connector(roster: Mapping[str, str], name: str) -> Any:
    """The class that a roster names.

    Raises:
        ConfigurationError: There is none of this name, or a driver is missing.
    """
    if name not in roster:
        near = get_close_matches(name, roster, NEAR, 0.5)
        said = f"; near it: {', '.join(near)}" if near else f"; there are: {', '.join(roster)}"
        raise ConfigurationError(f"there is no such connector{said}", connector=name)
    module, _, kind = roster[name].partition(":")
    try:
        return getattr(importlib.import_module(module), kind)
    except ImportError as error:
        raise ConfigurationError("the connector's driver is not installed", connector=name) from (
            error
        )


def options(made: Any, name: str, said: Mapping[str, Any]) -> BaseModel:
    """The options of one connector, as an instance of its own model.

    Raises:
        SettingsRefused: Its model does not take it; no value is said again.
    """
    model: type[BaseModel] = made.Options
    try:
        return model.model_validate(dict(said))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise SettingsRefused(
            "these options of a system cannot be used",
            [Fault(code=e["type"], field=_path(e["loc"]), expected=_expected(e)) for e in found],
            connector=name,
            names=", ".join(_path(each["loc"]) for each in found),
        ) from None


def _path(place: tuple[int | str, ...]) -> str:
    return ".".join(("options", *(str(part) for part in place)))


def _expected(found: ErrorDetails) -> str:
    if found["type"] == "extra_forbidden":
        return "an option that this connector has"
    return found["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
