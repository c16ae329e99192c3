"""The business systems of a municipality, as ``systems.yaml`` lists them (業務システム)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SystemKind(StrEnum):
    """What kind of system it is: one of the seventeen, a neighbour, or the bus's own."""

    STANDARD = "standard"  # one of the 17 standardised business systems (標準化対象業務)
    NEIGHBOUR = "neighbour"  # beside the 17, of the same family
    COMMON_FUNCTION = "common_function"  # 共通機能: serves all of them
    BUS = "bus"  # a part of Renkei that publishes


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system: its names and the office it belongs to.

    Its subscription says what it receives.
    """

    name: str
    ja: str
    en: str
    kind: SystemKind
    ministry: str | None = None
    separate_organ: str | None = None  # the organ that runs it where it is not the mayor's
