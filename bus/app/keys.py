"""The keys that seal 個人番号, and those that prove receipts."""

from __future__ import annotations

from bus.app.configured import catalog
from bus.credentials import receipt_keys, seal_keys
from bus.sealing import Proofs, Seals
from bus.settings import Settings


def seals(settings: Settings) -> Seals:
    """What seals and opens with the keys of these settings; nothing is read yet.

    Raises:
        SettingsRefused: They name a file and a command.
    """
    return Seals(seal_keys(settings))


def proofs(settings: Settings) -> Proofs:
    """What proves receipts by the keys of these settings; nothing is read yet.

    Raises:
        SettingsRefused: They name a file and a command.
    """
    return Proofs(receipt_keys(settings))


def sealed_streams(settings: Settings) -> list[str]:
    """The streams that have an item which is sealed."""
    return [name for name, stream in catalog(settings).streams.items() if stream.sealed]
