"""Words of the reference: one for everything that a schema can say."""

from __future__ import annotations

from bus.catalog.rules import CHECKS, FIELD_PROPERTIES, LOGICAL, PRIMITIVES
from bus.model import MaskKind, Mode, Sensitivity, SystemKind
from bus.policy.grants import Zone
from bus.reference.words import (
    KINDS,
    MASKS,
    MODES,
    PROPERTIES,
    SENSITIVITIES,
    TYPES,
    ZONES,
    check_words,
)

NAMES = {"x-ja", "x-romaji", "x-en", "x-naming", "x-item-id", "x-sensitivity"}


def test_every_property_that_checks_an_item_has_words() -> None:
    """A new one cannot be left out of the pages unseen."""
    assert set(PROPERTIES) == set(FIELD_PROPERTIES) - NAMES


def test_every_check_type_kind_and_sensitivity_has_words() -> None:
    """In both languages."""
    found = [
        *(check_words(check) for check in (*CHECKS, "digits:7")),
        *(TYPES[name] for name in (*PRIMITIVES, *LOGICAL, "enum")),
        *(KINDS[kind] for kind in SystemKind),
        *(MASKS[kind] for kind in MaskKind),
        *(MODES[mode] for mode in Mode),
        *(ZONES[zone] for zone in Zone),
        *(SENSITIVITIES[each] for each in Sensitivity),
    ]

    assert all(words.ja and words.en for words in found)
    assert check_words("digits:7").en == "7 digits"
