"""Compare the same subject's row in the databases of two systems with different rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus.catalog import Catalog
from bus.demo.result import Compared, SideBySide
from bus.demo.stores import Stores
from bus.model import Change, ChangeRecord

LEFT = "child_allowance"  # withholds
RIGHT = "public_assistance"  # capable: has the address and the flag

NOTHING = "—"
NOT_GRANTED = "— not in its subscription"

_ROWS = {
    "氏名": ("name_full",),
    "生年月日": ("birth_date", "birth_date_text"),
    "住所": ("address_town", "address_lot", "address_building"),
    "郵便番号": ("address_postal_code",),
    "支援措置": ("protected",),
    "異動事由": ("reason",),
}


async def compare(
    stores: Stores, record: ChangeRecord, change: Change, catalog: Catalog
) -> SideBySide:
    """The rows of *record*'s subject in the two systems; None in place of a withheld location."""
    left = await stores[LEFT].row(record, change.municipality_code)
    right = await stores[RIGHT].row(record, change.municipality_code)
    reasons = {code: entry.ja for code, entry in catalog.codes["reasons"].entries.items()}
    return SideBySide(
        LEFT,
        RIGHT,
        [
            Compared(
                columns[0], ja, _shown(left, columns, reasons), _shown(right, columns, reasons)
            )
            for ja, columns in _ROWS.items()
        ],
    )


def _shown(
    row: Mapping[str, Any], columns: tuple[str, ...], reasons: Mapping[str, str]
) -> str | None:
    if not any(column in row for column in columns):
        return NOT_GRANTED
    values = [row.get(column) for column in columns]
    if columns == ("protected",):
        return "yes" if values[0] else "no"
    texts = [str(value) for value in values if value is not None]
    if not texts:
        return None if row.get("protected") and columns[0].startswith("address") else NOTHING
    text = " ".join(texts)
    return reasons.get(text, text)
