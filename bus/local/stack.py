"""The one-machine stack."""

from bus.local.endpoints import Endpoints

__all__ = ["Endpoints"]
