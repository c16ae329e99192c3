"""Topics as they should be: derived from the streams, compared with the cluster, and applied.

Making them is safe to repeat and safe to do twice at once. The number of partitions is never
changed: a subject's order hangs on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from bus.broker.port import Broker, Consumer, TopicSpec
from bus.errors import ConfigurationError
from bus.model import Stream

ERASURES_STAY = timedelta(days=35)  # longer than the compaction lag, so that no lane misses one
RECEIPTS_STAY = timedelta(days=3650)  # 提供記録: what was given to whom stays provable
LAG = "min.compaction.lag.ms"
"""Kafka's word for how long what is compacted stays whole."""
KEPT = frozenset({"receipt", "deed"})  # no states: what was given, and what operators did
CUSTODY = "custody"  # nor are deeds upon the ledger, and they are kept for ever
DEEDS = frozenset({"operation", "subscription", "erasure", "view"})
"""States of which every word is kept as long as receipts are: who said it must stay provable."""


@dataclass(frozen=True, slots=True)
class TopicShape:
    """The settings that all topics of an installation have in common."""

    partitions: int
    replication: int
    compaction_lag: timedelta
    max_message_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """A topic beside what it should be. ``events`` counts offsets, holes included."""

    spec: TopicSpec
    partitions: int | None  # None: it does not exist
    events: int = 0
    drift: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)  # has, should

    @property
    def is_refused(self) -> bool:
        """Whether it exists with another number of partitions, which is never changed."""
        return self.partitions is not None and self.partitions != self.spec.partitions


def specs(streams: Iterable[Stream], shape: TopicShape) -> list[TopicSpec]:
    """The topic of each stream, by name."""
    return sorted((_spec(stream, shape) for stream in streams), key=lambda spec: spec.name)


async def states(broker: Broker, wanted: Sequence[TopicSpec]) -> list[TopicState]:
    """The state of each topic in the cluster."""
    counts = await broker.partitions([spec.name for spec in wanted])
    reader = broker.consumer()
    await reader.start()
    try:
        return [await _state(broker, reader, spec, counts.get(spec.name)) for spec in wanted]
    finally:
        await reader.close()


async def apply(broker: Broker, found: Sequence[TopicState]) -> None:
    """Make what is missing, change what differs.

    Raises:
        ConfigurationError: A topic has another number of partitions; nothing was changed.
    """
    refused = [state for state in found if state.is_refused]
    if refused:
        raise ConfigurationError(
            "a topic has another number of partitions than the settings say",
            topics=",".join(state.spec.name for state in refused),
            has=",".join(str(state.partitions) for state in refused),
            wanted=refused[0].spec.partitions,
        )
    await broker.create_topics([state.spec for state in found if state.partitions is None])
    for state in found:
        if state.drift:
            wanted = {name: should for name, (_, should) in state.drift.items()}
            await broker.alter_topic_config(state.spec.name, wanted)


def _spec(stream: Stream, shape: TopicShape) -> TopicSpec:
    config = {
        "max.message.bytes": str(shape.max_message_bytes),
        "message.timestamp.type": "LogAppendTime",  # one clock says when: not each producer's
        "min.insync.replicas": "2" if shape.replication >= 3 else "1",
    }
    if stream.name in KEPT:
        config |= {"cleanup.policy": "delete", "retention.ms": _ms(RECEIPTS_STAY)}
    elif stream.name == CUSTODY:
        config |= {"cleanup.policy": "delete", "retention.ms": "-1"}
    else:
        lag = RECEIPTS_STAY if stream.name in DEEDS else shape.compaction_lag
        config |= {
            "cleanup.policy": "compact",
            LAG: _ms(lag),
            "delete.retention.ms": _ms(ERASURES_STAY),
        }
    return TopicSpec(stream.topic, shape.partitions, shape.replication, config)


async def _state(
    broker: Broker, reader: Consumer, spec: TopicSpec, partitions: int | None
) -> TopicState:
    if partitions is None:
        return TopicState(spec=spec, partitions=None)
    places = [(spec.name, partition) for partition in range(partitions)]
    begin, end = await reader.beginning_offsets(places), await reader.end_offsets(places)
    config = await broker.topic_config(spec.name)
    return TopicState(
        spec=spec,
        partitions=partitions,
        events=sum(end[place] - begin[place] for place in places),
        drift={
            name: (config.get(name), should)
            for name, should in spec.config.items()
            if config.get(name) != should
        },
    )


def _ms(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))
