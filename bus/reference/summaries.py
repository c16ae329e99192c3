"""Summaries of streams and systems as plain values, for commands that print them."""

from __future__ import annotations

from typing import Any

from bus.model import Stream, System
from bus.policy import Grant
from bus.reference.sources import Sources
from bus.reference.versions import added_and_taken
from bus.reference.visibility import body, seen


def stream_summary(stream: Stream, sources: Sources) -> dict[str, Any]:
    """A stream: its versions, ascending, and its items, in the newest version's order."""
    return {
        "stream": stream.name,
        "ja": stream.ja,
        "en": stream.en,
        "topic": stream.topic,
        "internal": stream.is_internal,
        "versions": [
            {
                "version": version.version,
                "fingerprint": version.fingerprint,
                "added": added if version.version > 1 else [],
                "taken_away": taken,
            }
            for version, added, taken in added_and_taken(stream)
        ],
        "event_types": list(stream.event_types),
        "providers": list(stream.providers),
        "receivers": [
            {"system": name, "items": len(seen(stream, grant)), "suppression": grant.suppression}
            for name, grant in sources.receivers(stream.name).items()
        ],
        "items": [
            {
                "item": item.path,
                "ja": item.ja,
                "romaji": item.romaji,
                "en": item.en,
                "item_id": item.item_id,
                "sensitivity": item.sensitivity.value,
                "codes": item.properties.get("x-codes"),
            }
            for item in stream.items
        ],
    }


def system_summary(system: System, sources: Sources) -> dict[str, Any]:
    """A system: the streams that it receives, with the number of items, and those it provides."""
    return {
        "system": system.name,
        "ja": system.ja,
        "en": system.en,
        "kind": system.kind.value,
        "ministry": system.ministry,
        "separate_organ": system.separate_organ,
        "receives": [
            _grant_summary(sources.catalog.stream(name), grant)
            for name, grant in sources.granted(system.name).items()
        ],
        "provides": [stream.name for stream in sources.provided(system.name)],
    }


def _grant_summary(stream: Stream, grant: Grant) -> dict[str, Any]:
    return {
        "stream": stream.name,
        "items": len(seen(stream, grant)),
        "of": len(body(stream)),
        "suppression": grant.suppression.value,
        "masked": sum(each.mask is not None for each in seen(stream, grant)),
        "conditions": [str(condition) for condition in grant.conditions],
        "mode": grant.mode.value,
        "purpose": grant.purpose,
        "expires_on": grant.expires_on,
    }
