"""The connector ports."""

from bus.connect.port import Sink

__all__ = ["Sink"]
