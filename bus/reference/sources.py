"""Read everything that the reference is made from.

A provider is named by the stream (``x-providers``), a receiver by its subscription; the list of
systems gives both their names. A system that has a subscription and is not listed is a neighbour
under the name that its subscription gives it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bus.catalog import Catalog
from bus.catalog.examples import read_examples
from bus.model import Item, Stream, System, SystemKind
from bus.policy import Grant, Subscription
from bus.publish.rules import HEADER_RULES, RULES
from bus.publish.rules.statement import Statement


@dataclass(frozen=True)
class Sources:
    """The contracts. ``examples`` are valid events and ``rules`` sentences, by stream."""

    catalog: Catalog
    subscriptions: Mapping[str, Subscription]
    examples: Mapping[str, Any]  # one event per stream
    rules: Mapping[str, tuple[str, ...]]
    header_rules: tuple[str, ...]

    @cached_property
    def systems(self) -> Mapping[str, System]:
        """Every system, those of the list first and in its order."""
        beside = {
            name: System(
                name=name,
                ja=each.ja,
                en=name.replace("_", " "),
                kind=SystemKind.NEIGHBOUR,
                ministry=each.ministry,
                separate_organ=each.separate_organ,
            )
            for name, each in sorted(self.subscriptions.items())
            if name not in self.catalog.systems
        }
        return {**self.catalog.systems, **beside}

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """The streams of the business systems, in the order of the systems that provide them."""
        order = list(self.catalog.systems)
        published = [each for each in self.catalog.streams.values() if not each.is_internal]
        return tuple(
            sorted(published, key=lambda s: (min(map(order.index, s.providers), default=0), s.name))
        )

    @cached_property
    def internal(self) -> tuple[Stream, ...]:
        """The bus's own streams."""
        return tuple(each for each in self.catalog.streams.values() if each.is_internal)

    def granted(self, system: str) -> Mapping[str, Grant]:
        """Stream -> grant, of all that *system* receives, in the order of :attr:`streams`."""
        held = self.subscriptions[system].streams if system in self.subscriptions else {}
        return {each.name: held[each.name] for each in self.streams if each.name in held}

    def provided(self, system: str) -> tuple[Stream, ...]:
        """The streams that *system* publishes."""
        return tuple(each for each in self.streams if system in each.providers)

    def receivers(self, stream: str) -> Mapping[str, Grant]:
        """System -> grant, of everybody who receives *stream*, in the order of :attr:`systems`."""
        return {
            name: self.subscriptions[name].streams[stream]
            for name in self.systems
            if name in self.subscriptions and stream in self.subscriptions[name].streams
        }

    def users(self, codes: str) -> list[tuple[Stream, Item]]:
        """The items that take their values from a code list."""
        return [
            (stream, item)
            for stream in (*self.streams, *self.internal)
            for item in stream.items
            if item.properties.get("x-codes") == codes
        ]


def gather(catalog: Catalog, subscriptions: Mapping[str, Subscription]) -> Sources:
    """The sources, with an example and the rules of each stream.

    The example is the first of a stream's valid ones in alphabetical order.
    """
    examples: dict[str, Any] = {}
    for example in read_examples(catalog)[0]:
        if not example.expected:
            examples.setdefault(example.stream.name, example.value)
    return Sources(
        catalog,
        subscriptions,
        examples,
        {stream: _sentences(rules) for stream, rules in RULES.items()},
        _sentences(HEADER_RULES),
    )


def _sentences(rules: Iterable[Callable[..., object]]) -> tuple[str, ...]:
    return tuple(_said(rule) for rule in rules)


def _said(rule: Callable[..., object]) -> str:
    """The sentence of a rule; for a function, the first paragraph of its docstring."""
    if isinstance(rule, Statement):
        return f"{rule.ja} — {rule.path}: {rule.expected}"
    assert rule.__doc__, f"{rule} says nothing of itself"
    return " ".join(inspect.cleandoc(rule.__doc__).split("\n\n")[0].split())
