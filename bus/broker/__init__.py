"""The log, behind a port."""

from bus.broker.port import Broker, Consumer, Fetched, Message, Place, Producer, TopicSpec

__all__ = ["Broker", "Consumer", "Fetched", "Message", "Place", "Producer", "TopicSpec"]
