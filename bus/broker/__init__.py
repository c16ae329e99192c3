"""The log, behind a port."""

from bus.broker.port import (
    Broker,
    Consumer,
    Fetched,
    Message,
    PartitionBatch,
    Producer,
    TopicPartition,
    TopicSpec,
    group_of,
)

__all__ = [
    "Broker",
    "Consumer",
    "Fetched",
    "Message",
    "PartitionBatch",
    "Producer",
    "TopicPartition",
    "TopicSpec",
    "group_of",
]
