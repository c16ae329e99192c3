"""The log, behind a port."""

from bus.broker.port import (
    Broker,
    Consumer,
    Fetched,
    Message,
    Place,
    Portion,
    Producer,
    TopicSpec,
    group_of,
)

__all__ = [
    "Broker",
    "Consumer",
    "Fetched",
    "Message",
    "Place",
    "Portion",
    "Producer",
    "TopicSpec",
    "group_of",
]
