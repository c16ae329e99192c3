"""The topics, as they are and as the streams and the settings want them."""

from __future__ import annotations

from bus.app.configured import topic_specs
from bus.broker.topics import TopicState, apply, states
from bus.operate.session import Session

__all__ = ["TopicState", "action", "applied", "topics"]


async def topics(session: Session) -> list[TopicState]:
    """Each topic that should exist, and how it is.

    Raises:
        BrokerUnavailable: The log does not answer.
    """
    return await states(await session.broker(), topic_specs(session.settings))


async def applied(session: Session) -> list[TopicState]:
    """Make what is missing and change what differs; each topic as it was before.

    Raises:
        ConfigurationError: A topic has another number of partitions.
        BrokerUnavailable: The log does not answer.
    """
    found = await topics(session)
    await apply(await session.broker(), found)
    return found


def action(state: TopicState) -> str:
    """What is to be done with a topic, as one word."""
    if state.is_refused:
        return f"refuse: has {state.partitions} partitions"
    if state.partitions is None:
        return "make"
    return f"change {', '.join(state.drift)}" if state.drift else "none"
