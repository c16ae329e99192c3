"""All of ``renkei bench``: on a data folder of its own, deleted afterwards."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum

from bus import app
from bus.bench import (
    codec,
    deliver,
    family,
    latency,
    load,
    policy,
    provisions,
    publish,
    store,
)
from bus.bench.environment import prepared
from bus.bench.figures import AIMS, Aim
from bus.errors import DataFolderInUse
from bus.local.progress import StartProgress
from bus.local.stack import LocalStack
from bus.settings import Settings

Step = Callable[[str], None]
"""Told what is measured now."""


class Part(StrEnum):
    """What can be measured."""

    CODEC = "codec"
    POLICY = "policy"
    PUBLISH = "publish"
    DELIVER = "deliver"
    POSTGRES = "postgres"
    LATENCY = "latency"
    LOAD = "load"
    PROVISIONS = "provisions"  # not among all: some minutes and gigabytes
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, and what is aimed at."""

    name: str
    value: float
    aim: Aim | None

    @property
    def is_kept(self) -> bool:
        """Whether it keeps its aim, if it has one."""
        return self.aim is None or self.aim.holds(self.value)


def measure(
    outer: Settings,
    part: Part,
    watching: Callable[[], AbstractContextManager[StartProgress]],
    step: Step,
    *,
    is_family: bool,
) -> list[Figure]:
    """Measure *part*.

    Args:
        outer: The settings of whoever asks: engines' files and schemas are theirs.
        watching: Shows how the engines' files are brought.
        step: Told what is measured now.
        is_family: With the load, also every stream into all systems.

    Raises:
        DataFolderInUse: Another one is running.
    """
    settings = Settings(home=outer.home / "bench", maven=outer.maven, schemas=outer.schemas)
    figures: dict[str, float] = {}
    if part in (Part.CODEC, Part.ALL):
        figures |= codec.measure(app.configured.catalog(settings), step)
    if part in (Part.POLICY, Part.ALL):
        figures |= policy.measure(app.configured.catalog(settings), step)
    if part is not Part.CODEC:
        stack = app.configured.local_stack(settings, engines=outer.home / "engines")
        if stack.endpoints() is not None:
            raise DataFolderInUse("a bench is running", home=settings.home)
        with watching() as progress:
            stack.fetch(progress)
        try:
            figures |= asyncio.run(_on_engines(part, stack, settings, step, is_family=is_family))
        finally:
            shutil.rmtree(settings.home, ignore_errors=True)
    return [Figure(name, value, AIMS.get(name)) for name, value in figures.items()]


async def _on_engines(
    part: Part, stack: LocalStack, settings: Settings, step: Step, *, is_family: bool
) -> Mapping[str, float]:
    figures: dict[str, float] = {}
    every = part is Part.ALL
    if every or part in (Part.PUBLISH, Part.DELIVER, Part.POSTGRES, Part.POLICY):
        async with prepared(stack, settings, [store.SYSTEM]) as made:
            if every or part in (Part.PUBLISH, Part.DELIVER):
                figures |= await publish.measure(made.settings, step)
            if every or part is Part.DELIVER:
                figures |= await deliver.measure(made.settings, step)
            if every or part is Part.POLICY:
                figures |= await policy.measure_fence(made.settings, step)
            if every or part is Part.POSTGRES:
                catalog = app.configured.catalog(made.settings)
                figures |= await store.measure(catalog, made.town, step)
    if every or part is Part.LOAD:
        async with prepared(stack, settings, load.SYSTEMS) as made:
            figures |= await load.measure(made, step)
        if is_family:
            async with prepared(stack, settings) as made:
                figures |= await family.measure(made, step)
            ratio = figures["family_rows_per_s"] / figures["load_deliveries_per_s"]
            figures["family_over_load"] = ratio
    if part is Part.PROVISIONS:
        async with prepared(stack, settings, [store.SYSTEM]) as made:
            catalog, home = app.configured.catalog(made.settings), made.settings.home
            figures |= await provisions.measure(catalog, made.town.ledger, home, step)
    if every or part is Part.LATENCY:
        systems = latency.receiving(app.configured.catalog(settings))
        async with prepared(stack, settings, systems) as made:
            figures |= await latency.measure(made, step)
    return figures
