"""Keys, and views of 個人番号, for tests: keys that are in nobody's file."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime

from bus.catalog import Catalog
from bus.model import View
from bus.policy import Subscription, compile_view
from bus.sealing import Key

STREAM = "individual_number"
TODAY = date(2026, 11, 24)
_AT = datetime(2026, 4, 1, tzinfo=UTC)


def key(key_id: str) -> Key:
    """The key of that name: always the same one."""
    return Key(key_id, hashlib.sha256(f"test {key_id}".encode()).digest(), _AT)


def number_of(person: int) -> str:
    """The 個人番号 of the so-many-th person of a test, with its check digit."""
    digits = f"{10_000_000_000 + person:011d}"
    weighted = sum(
        int(digit) * (n + 1 if n <= 6 else n - 5) for n, digit in enumerate(reversed(digits), 1)
    )
    rest = weighted % 11
    return digits + str(0 if rest <= 1 else 11 - rest)


class Pocket:
    """A source of keys that a test changes in place."""

    def __init__(self, *ids: str) -> None:
        self.text = ""
        self.reads = 0
        self._has_changed = True
        self.hold(*ids)

    def hold(self, *ids: str) -> None:
        """Have these keys and no others; the last is what is sealed with."""
        self.text = "".join(f"{key(each).line}\n" for each in ids)
        self._has_changed = True

    def has_changed(self) -> bool:
        return self._has_changed

    async def read(self) -> str:
        self.reads += 1
        self._has_changed = False
        return self.text


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
