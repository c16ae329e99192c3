"""Editions: texts of subscriptions that somebody has put in force, one after the other (版)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

OF_THE_FILES = 0
"""What holds where nobody has applied anything: the files of the installation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One system's subscription as it was put in force.

    ``sequence`` counts a system's editions from 1. The newest is in force, whatever the files of
    an installation say.
    """

    system: str
    sequence: int
    text: str  # of the file
    digest: str
    applied_by: str
    applied_at: datetime


def digest_of(text: str) -> str:
    """SHA-256 in hex of a subscription's text."""
    return hashlib.sha256(text.encode()).hexdigest()
