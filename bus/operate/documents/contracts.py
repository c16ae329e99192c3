"""The contracts as they are: streams, systems, subscriptions, and the pages made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from bus.catalog.registry import PushLine
from bus.model import Item, Stream, System
from bus.operate.contracts import ContractsChecked, StoreShown
from bus.operate.documents.shape import Document, named
from bus.operate.granted import SubscriptionFiles, SystemGrants
from bus.reference import FolderDifference, Sources
from bus.reference.summaries import stream_summary, system_summary


@named("schemas-checked")
def schemas_checked(value: ContractsChecked) -> Document:
    """How many schemas and examples were checked, and their faults."""
    return {
        "streams": value.streams,
        "versions": value.versions,
        "codes": value.codes,
        "examples": value.examples,
        "readers": list(value.readers),
        "faults": [asdict(fault) for fault in value.faults],
    }


@named("schemas-pushed")
def schemas_pushed(lines: Sequence[PushLine]) -> list[Document]:
    """Each version, its id in the registry, and whether it was there."""
    return [asdict(line) for line in lines]


@named("schemas")
def schemas(
    streams: Sequence[Stream], ids: Mapping[tuple[str, int], int | None] | None = None
) -> list[Document]:
    """Streams with their versions, the registry's *ids* of them where it was asked, and topics."""
    return [_schema(stream, ids) for stream in streams]


@named("schema")
def schema(stream: Stream) -> Document:
    """One stream, with each item and its checks."""
    return {**_schema(stream), "items": [_item(item) for item in stream.items]}


def _schema(stream: Stream, ids: Mapping[tuple[str, int], int | None] | None = None) -> Document:
    return {
        "stream": stream.name,
        "ja": stream.ja,
        "topic": stream.topic,
        "subject": stream.schema_subject,
        "internal": stream.is_internal,
        "versions": [
            {
                "version": version.version,
                "fingerprint": version.fingerprint,
                **({} if ids is None else {"id": ids[stream.name, version.version]}),
            }
            for version in stream.versions
        ],
        "event_types": list(stream.event_types),
    }


def _item(item: Item) -> Document:
    return {
        "path": item.path,
        "ja": item.ja,
        "romaji": item.romaji,
        "item_id": item.item_id,
        "sensitivity": item.sensitivity.value,
        **{name.removeprefix("x-"): content for name, content in item.properties.items()},
    }


@named("streams")
def streams(sources: Sources) -> list[Document]:
    """What is published, without its items."""
    summaries = [stream_summary(stream, sources) for stream in sources.catalog.streams.values()]
    left_out = ("items", "event_types")
    return [{key: v for key, v in each.items() if key not in left_out} for each in summaries]


@named("stream")
def stream(value: Stream, sources: Sources) -> Document:
    """One of them: versions, event types, items, who provides it and who receives it."""
    return stream_summary(value, sources)


@named("systems")
def systems(sources: Sources) -> list[Document]:
    """The systems, what each receives and what it provides."""
    return [system_summary(system, sources) for system in sources.systems.values()]


@named("system")
def system(value: System, sources: Sources, store: StoreShown | None) -> Document:
    """One of them, and what its store can do."""
    can = None if store is None else {"connector": store.connector, "can": store.can}
    return {**system_summary(value, sources), "store": can}


@named("subscriptions-checked")
def subscriptions_checked(value: SubscriptionFiles) -> Document:
    """How many subscriptions there are, and what is wrong with them."""
    return {
        "subscriptions": value.count,
        "faults": [str(fault) for fault in value.errors],
        "warnings": [str(fault) for fault in value.warnings],
    }


@named("subscriptions")
def subscriptions(value: SubscriptionFiles) -> list[Document]:
    """The systems, the streams that each receives, and those that its file names in vain."""
    return [
        {
            "system": each.system,
            "ja": each.ja,
            "streams": sorted(each.streams),
            "refused": sorted(value.refused.get(each.system, ())),
        }
        for each in value.report.subscriptions.values()
    ]


@named("subscription")
def subscription(value: SystemGrants) -> Document:
    """What a system may receive, item by item, on which ground, and what is withheld."""
    return dict(value.grants or {})


@named("reference")
def reference(folder: object, pages: int, found: FolderDifference, *, is_check: bool) -> Document:
    """Which pages were written, or would be written."""
    return {"folder": folder, "pages": pages, "check": is_check, **asdict(found)}
