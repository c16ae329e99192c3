"""What a record of the stream *protection* says: whom it covers.

Pure, and the one place that knows how such a record is read: the fence and whoever else derives
from it take :func:`coverages`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from bus.model import HOUSEHOLD, NumberForm, Protected, event_key

ENDED = "ENDED"
NOBODY = Protected()


def coverages(records: pa.RecordBatch, form: NumberForm) -> Iterator[tuple[str, Protected]]:
    """Of each record its subject, as ``<municipality_code>/<number>``, and whom it covers.

    A number stands in it as the record has it and, where that is another, in the site's *form*:
    stores find by equality, and may hold either.

    Args:
        records: Columns of the newest schema.
        form: How the site writes its numbers.
    """
    header = records.column("header")
    rows = zip(
        pc.struct_field(header, "municipality_code").to_pylist(),
        pc.struct_field(header, "subject_id").to_pylist(),
        records.column("status").to_pylist(),
        records.column("shared_with").to_pylist(),
        records.column(HOUSEHOLD).to_pylist(),
        strict=True,
    )
    for municipality, subject, status, shared, household in rows:
        covered = NOBODY
        if status != ENDED:
            covered = Protected(
                _keys(municipality, [subject, *(shared or ())], form),
                _keys(municipality, [household] if household else [], form),
            )
        yield event_key(municipality, subject), covered


def _keys(municipality: str, numbers: list[str], form: NumberForm) -> frozenset[str]:
    written = {spelled for number in numbers for spelled in (number, form.of(number))}
    return frozenset(event_key(municipality, number) for number in written)
