"""Turn changes into the columns of each stream, and collect what does not fit.

A change's records are spread over its streams' batches; each row remembers where it came from,
so that what the columns' checks find can be said of the change's record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from bus.model import Change, ChangeRecord, Fault, event_key
from bus.publish.body import Fitter, has_surrogate
from bus.publish.identity import event_id_of

_MOST = 2**31 - 1
_HEADER_TEXTS = {
    "municipality_code": "市区町村コード",
    "source": "発生元システム",
    "reason": "異動事由",
}
_RECORD_TEXTS = {
    "subject_id": "宛名番号等",
    "event_type": "イベント種別",
    "cancels": "取消対象イベントID",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """The change and record that a row came from, and its event's id."""

    change: int  # place of the change among those handed in
    record: int  # index of the record in its change
    key: bytes
    version: int
    event_id: str


@dataclass(slots=True)
class StreamRows:
    """The rows of one stream, in the order of the changes."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)

    def batch(self, schema: pa.Schema) -> pa.RecordBatch:
        """The rows as columns; null where a value did not fit.

        Copied once, for the checks are over columns. The rows are kept beside them: a few events
        are encoded from rows, which is quicker than from columns.
        """
        return pa.RecordBatch.from_pylist(self.rows, schema=schema)


def add_rows(
    found: Mapping[str, StreamRows],
    fitters: Mapping[str, Fitter],
    place: int,
    change: Change,
    change_id: str,
) -> list[Fault]:
    """Add a change's records to *found*; the faults of values that fit no schema.

    Args:
        found: By stream; records of other streams are passed over.
        place: The place of the change among those handed in.
        change_id: A UUIDv7.
    """
    texts = ((name, ja, getattr(change, name)) for name, ja in _HEADER_TEXTS.items())
    broken = [name for name, _, text in texts if text is not None and has_surrogate(text)]
    faults = [_broken(name, _HEADER_TEXTS[name], None) for name in broken]
    for index, record in enumerate(change.records):
        if record.stream not in found:
            continue
        body, unfit = fitters[record.stream].fit(record.body, index)
        header, unfit_header = _header(change, change_id, index, record)
        faults += unfit_header + unfit
        for name in broken:
            header[name] = None
        key = event_key(header["municipality_code"] or "", header["subject_id"] or "").encode()
        event_id = header["event_id"]
        rows = found[record.stream]
        rows.rows.append({"header": header, **body})
        rows.origins.append(Origin(place, index, key, record.version, event_id))
    return faults


def _header(
    change: Change, change_id: str, index: int, record: ChangeRecord
) -> tuple[dict[str, Any], list[Fault]]:
    faults: list[Fault] = []
    header: dict[str, Any] = {
        "event_id": event_id_of(change_id, index),
        "event_type": record.event_type,
        "nature": str(record.nature),
        "change_id": change_id,
        "change_size": len(change.records),
        "change_index": index,
        "municipality_code": change.municipality_code,
        "subject_id": record.subject_id,
        "version": record.version,
        "reason": change.reason,
        "effective_date": {
            "date": record.effective_date.date,
            "unknown": record.effective_date.unknown,
            "text": record.effective_date.text,
        },
        "notified_on": change.notified_on,
        "processed_at": change.processed_at,
        "source": change.source,
        "cancels": record.cancels,
    }
    for name, ja in _RECORD_TEXTS.items():
        if header[name] is not None and has_surrogate(header[name]):
            faults.append(_broken(name, ja, index))
            header[name] = None
    text = record.effective_date.text
    if text is not None and has_surrogate(text):
        faults.append(_broken("effective_date.text", "異動日_不詳表記", index))
        header["effective_date"]["text"] = None
    if abs(record.version) > _MOST:
        expected = "a whole number of 32 bits"
        faults.append(
            Fault(code="range", expected=expected, record=index, field="header.version",
                  item="履歴番号")
        )  # fmt: skip
        header["version"] = None
    return header, faults


def _broken(name: str, ja: str, record: int | None) -> Fault:
    return Fault(
        code="encoding", expected="whole characters", record=record, field=f"header.{name}", item=ja
    )


def without_repeats(faults: Sequence[Fault]) -> list[Fault]:
    """Each fault once, by record; a value that did not fit is not reported as missing too."""
    unfit = {(fault.record, fault.field) for fault in faults if fault.code != "missing"}
    kept: dict[tuple[object, ...], Fault] = {}
    for fault in faults:
        if fault.code == "missing" and not unfit.isdisjoint(
            ((fault.record, fault.field), (None, fault.field))
        ):
            continue
        kept.setdefault((fault.code, fault.record, fault.field), fault)
    return sorted(kept.values(), key=lambda fault: -1 if fault.record is None else fault.record)
