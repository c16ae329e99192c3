"""The port of the log (Kafka), and its adapters."""

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
