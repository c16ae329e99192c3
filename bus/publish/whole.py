"""Check what can only be said of all records of a change together.

Single items and single records are judged over columns (:mod:`bus.publish.check`,
:mod:`bus.publish.rules`); here are the few rules that span the records of one change. That all
records are of one municipality needs no rule: a change says it once.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from bus.model import ENDED, PROTECTION, Change, ChangeRecord, Fault, Nature
from bus.publish.identity import is_uuid7

_PROTECTING = ("protection.started", "protection.extended")
_PERSONS = ("resident", "nonresident")


def check_whole(change: Change, streams: Container[str]) -> list[Fault]:
    """The faults of a change as a whole, and between its records.

    Args:
        streams: The names of the streams that may be published.
    """
    return [
        *_identity(change),
        *_size(change),
        *_streams(change, streams),
        *_versions(change),
        *_protection(change),
    ]


def _identity(change: Change) -> Iterator[Fault]:
    if change.change_id is not None and not is_uuid7(change.change_id):
        yield Fault(
            code="uuid", expected="a UUIDv7 in lower case", field="change_id", item="異動ID"
        )


def _size(change: Change) -> Iterator[Fault]:
    if change.change_size is not None and change.change_size != len(change.records):
        yield Fault(
            code="change-size",
            expected="as many records as the change says it has",
            field="change_size",
            item="異動内件数",
        )


def _streams(change: Change, streams: Container[str]) -> Iterator[Fault]:
    for index, record in enumerate(change.records):
        if record.stream not in streams:
            yield Fault(
                code="unknown-stream",
                expected="a stream of the catalogue",
                record=index,
                field="stream",
                item="ストリーム",
            )


def _versions(change: Change) -> Iterator[Fault]:
    """Faults of a subject that comes more than once in a stream without ascending versions."""
    newest: dict[tuple[str, str], int] = {}
    for index, record in enumerate(change.records):
        subject = (record.stream, record.subject_id)
        if record.version <= newest.get(subject, record.version - 1):
            yield Fault(
                code="version-order",
                expected="ascending versions where a subject comes more than once",
                record=index,
                field="version",
                item="履歴番号",
            )
        newest[subject] = record.version


def _protection(change: Change) -> Iterator[Fault]:
    """Faults between a change's protection records and its snapshots of the same persons."""
    words = [record for record in change.records if record.stream == PROTECTION]
    yield from _flags(change, words)
    yield from _snapshots(change)


def _flags(change: Change, words: Sequence[ChangeRecord]) -> Iterator[Fault]:
    """Faults of snapshots whose flag contradicts a protection in the same change.

    Also where one of a person's cases ends and another goes on.
    """
    protected: set[str] = set()
    for word in words:
        goes_on = word.body.get("cases") and word.body.get("status") != ENDED
        if word.event_type in _PROTECTING or goes_on:
            shared = word.body.get("shared_with")
            named = shared if isinstance(shared, list) else ()  # what is no text is a fault there
            protected |= {word.subject_id, *(name for name in named if isinstance(name, str))}
    for index, record in enumerate(change.records):
        if _has_flag(record) and record.subject_id in protected and not record.body["protected"]:
            yield Fault(
                code="protection-flag",
                expected="the flag of a person who is under protection as this change says",
                record=index,
                field="protected",
                item="支援措置対象者フラグ",
            )


def _snapshots(change: Change) -> Iterator[Fault]:
    """A protection comes with the person's snapshot, flagged or no longer.

    Somebody from another municipality's notice has none here. A start that is a change by itself
    is a first load, which publishes each subject alone; the fence and the stores withhold from it
    on all the same.
    """
    persons = {record.subject_id for record in change.records if record.stream in _PERSONS}
    for index, record in enumerate(change.records):
        is_alone = len(change.records) == 1 and record.event_type == "protection.started"
        is_exempt = (
            record.stream != PROTECTION
            or record.nature is Nature.CANCELLATION
            or record.body.get("from_other_municipality") is True
        )
        if not (is_exempt or is_alone or record.subject_id in persons):
            yield Fault(
                code="protection-alone",
                expected="the person's snapshot in the same change, flagged as the protection says",
                record=index,
                field="subject_id",
                item="宛名番号",
            )


def _has_flag(record: ChangeRecord) -> bool:
    return record.nature is not Nature.CANCELLATION and isinstance(
        record.body.get("protected"), bool
    )
