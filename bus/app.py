"""The composition root: the one place that builds adapters and joins parts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bus import settings as settings_tree
from bus.catalog import Catalog
from bus.catalog import load as load_catalog
from bus.settings import Settings

if TYPE_CHECKING:
    from bus.local.stack import LocalStack

# --- settings ---------------------------------------------------------------------------------


def settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process; the environment is read here and nowhere else.

    Raises:
        ConfigurationError: A setting that cannot be used.
    """
    return settings_tree.load(os.environ, overrides)


def settings_and_origins() -> tuple[Settings, Mapping[str, str]]:
    """The settings of this process, and where each value came from."""
    return settings_tree.resolve(os.environ)


# --- the one-machine stack --------------------------------------------------------------------


def local_stack(settings: Settings, chosen: Mapping[str, int] | None = None) -> LocalStack:
    """The stack on this home; *chosen* are ports by engine."""
    from bus.local.stack import LocalStack  # an option: only who runs engines needs its packages

    return LocalStack(settings.home, chosen=chosen, maven=settings.maven, environment=os.environ)


# --- contracts --------------------------------------------------------------------------------


def catalog(settings: Settings) -> Catalog:
    """The streams, as the schemas folder of these settings has them.

    Raises:
        FilesRefused: The schema files have faults.
    """
    return load_catalog(settings.schemas)
