"""Editions for tests: texts of subscriptions, systems that follow them, and what must be there.

What a store must hold is worked out here from the words of the texts alone, column by column: no
view, mask or projection of the product has a part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import yaml

from bus.errors import BusError
from bus.hosting.feeds import Feed
from bus.hosting.system_delivery import SystemDelivery
from bus.model import Edition, View, digest_of
from bus.policy import compile_view, effective_subscription, last_day, read_subscriptions
from tests.support.lanes import CATALOG, TODAY, Hosted, Town

FILES = read_subscriptions(CATALOG)
Grants = dict[str, Any]


def text_of(system: str, change: Callable[[Grants], None] = lambda _: None) -> str:
    """The text of a system's file, with its streams changed in place."""
    file = CATALOG.folder / "subscriptions" / f"{system}.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(content["streams"])
    return yaml.dump(content, Dumper=_Plain, allow_unicode=True, sort_keys=False)


class _Plain(yaml.SafeDumper):
    """Says a value that comes twice twice: what the bus reads has no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def fields_are(stream: str, *fields: str) -> Callable[[Grants], None]:
    """A change of :func:`text_of`: the stream's items."""

    def change(streams: Grants) -> None:
        streams[stream]["fields"] = list(fields)

    return change


@dataclass
class Policies:
    """Systems of a hosted town that follow their editions, as a delivering process does."""

    town: Town
    bus: Hosted
    sinks: Mapping[str, Callable[[View], Any]]
    streams: Sequence[str] = ("resident", "household", "protection")
    refused: list[tuple[str, str | None, str]] = field(default_factory=list)
    """What was refused: system, stream, code."""

    def __post_init__(self) -> None:
        for delivery in self.bus.deliveries:
            self.bus.process.control.editions.listen(
                delivery.system, partial(self._switch, delivery)
            )

    async def apply(self, system: str, text: str, by: str = "officer1") -> Edition:
        """Put a text in force, and have the process hear of it."""
        editions = self.bus.process.control.editions
        edition = Edition(
            system=system,
            sequence=editions.sequence(system) + 1,
            text=text,
            digest=digest_of(text),
            applied_by=by,
            applied_at=self.bus.process.runtime.clock.now(),
        )
        await editions.apply(edition)
        return edition

    def feeds(self, system: str) -> list[Feed]:
        """What the system is fed now."""
        return self._found(system)[0]

    def _switch(self, delivery: SystemDelivery) -> None:
        feeds, granted, edition = self._found(delivery.system)
        make = self.sinks[delivery.system]
        withdraw = None if granted is None else partial(make(None).withdraw, granted, edition)  # type: ignore[arg-type]
        delivery.switch(feeds, withdraw)

    def _found(self, system: str) -> tuple[list[Feed], frozenset[str] | None, int]:
        said = self.bus.process.control.editions.newest.get(system)
        found = effective_subscription(system, FILES, said, CATALOG)
        self.refused += [(system, stream, error.code) for stream, error in found.refused]
        feeds = []
        granted = found.subscription
        for name in granted.streams if granted is not None else ():
            if name not in self.streams or granted is None:
                continue
            try:
                view = compile_view(granted, CATALOG.stream(name), TODAY)
            except BusError as error:
                self.refused.append((system, name, error.code))
                continue
            view = replace(view, edition=found.edition)
            make = partial(self.sinks[system], view)
            topic, last = CATALOG.stream(name).topic, last_day(granted, CATALOG.stream(name))
            feeds.append(Feed(view, topic, self.town.reader(name), make, last))
        return feeds, found.granted, found.edition


def tiled(receipts: Sequence[Mapping[str, Any]], end: int) -> list[str]:
    """The views of one lane's receipts in order, once they are found to tile its log.

    Each begins where the one before ended, from 0 to *end*, and names its chain; a receipt that
    came twice counts once; retries are left out.
    """
    chain = list({r["chain"]: r for r in receipts}.values())
    at, previous, views = 0, "0" * 64, []
    for receipt in chain:
        assert receipt["previous"] == previous
        assert receipt["start"] == at
        at, previous = receipt["end"], receipt["chain"]
        views.append(receipt["view"])
    assert at == end
    return views
