"""Views of 個人番号, for tests."""

from __future__ import annotations

from datetime import date

from bus.catalog import Catalog
from bus.model import View
from bus.policy import Subscription, compile_view

STREAM = "individual_number"
TODAY = date(2026, 11, 24)


def number_of(person: int) -> str:
    """The 個人番号 of the so-many-th person of a test, with its check digit."""
    digits = f"{10_000_000_000 + person:011d}"
    weighted = sum(
        int(digit) * (n + 1 if n <= 6 else n - 5) for n, digit in enumerate(reversed(digits), 1)
    )
    rest = weighted % 11
    return digits + str(0 if rest <= 1 else 11 - rest)


def grant() -> dict[str, object]:
    """A grant of the number with everything beside it, as a subscription's file has it."""
    return {
        "event_types": [f"{STREAM}.{what}" for what in ("assigned", "changed", "corrected")],
        "fields": ["number", "assigned_on"],
        "number_use": {
            "affair": "児童手当の支給に関する事務",
            "ordinance": "個人番号の利用に関する条例",
            "article": "第3条",
            "under": "第9条第2項",
        },
        "legal_basis": [{"law": "番号利用法", "article": "第9条第2項"}],
        "purpose": "受給者の個人番号の確認",
        "approver": "個人情報保護管理者（総務部長）",
        "approved_on": date(2026, 4, 1),
        "expires_on": date(2029, 3, 31),
    }


def subscription(catalog: Catalog, system: str, **of_grant: object) -> Subscription:
    """A system that has the number; *of_grant* replaces parts of the grant."""
    listed = catalog.systems[system]
    return Subscription.model_validate(
        {
            "system": system,
            "ja": listed.ja,
            "business_id": None,
            "ministry": listed.ministry,
            "separate_organ": listed.separate_organ,
            "zone": "individual_number",
            "streams": {STREAM: grant() | of_grant},
        }
    )


def entitled(catalog: Catalog, system: str, **of_grant: object) -> View:
    """What that system sees."""
    return compile_view(subscription(catalog, system, **of_grant), catalog.stream(STREAM), TODAY)
