"""Make what seals 個人番号 and what proves receipts, from the settings."""

from __future__ import annotations

from bus.credentials import receipt_keys, seal_keys
from bus.sealing import Proofs, Seals
from bus.settings import Settings


def seals(settings: Settings) -> Seals:
    """The seals by the keys of these settings; nothing is read yet.

    Raises:
        SettingsRefused: They name a file and a command.
    """
    return Seals(seal_keys(settings))


def proofs(settings: Settings) -> Proofs:
    """The proofs by the keys of these settings; nothing is read yet.

    Raises:
        SettingsRefused: They name a file and a command.
    """
    return Proofs(receipt_keys(settings))
