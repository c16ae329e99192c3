"""Documents of the ledger, rebuilds, deeds, keys and topics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bus.connect import LeftoverStaging
from bus.hosting.feeds import Feed
from bus.ledger.anchor import Anchor
from bus.ledger.deeds import RecordedDeed
from bus.ledger.prune import Pruned
from bus.operate.auditing import Verified
from bus.operate.documents.shape import Document, named, of, shaped
from bus.operate.rebuilding import HalfFilled, RebuildDone, ToRebuild
from bus.operate.recorded import DeedPage
from bus.operate.sealing import SealKeyUse
from bus.operate.topics import TopicState, action


@shaped(Verified, "verdict")
def verified(value: Verified) -> Document:
    """The findings of a verification."""
    verdict, anchor = value.verdict, value.anchor
    return {
        "good": verdict.is_good,
        "lanes": verdict.lanes,
        "receipts": verdict.receipts,
        "repeats": verdict.repeats,
        "chains": verdict.chains,
        "forks": verdict.forks,
        "in_log": verdict.in_log,
        "no_longer_in_log": verdict.no_longer_in_log,
        "unreadable_in_log": verdict.unreadable,
        "digests": verdict.digests,
        "compacted": verdict.compacted,
        "events": verdict.events,
        "events_compacted": verdict.events_compacted,
        "views": verdict.views,
        "unrecorded_views": list(verdict.unrecorded_views),
        "false_views": [{"view": v, "what": w} for v, w in verdict.false_views.items()],
        "proved": verdict.proved,
        "unproved": verdict.unproved,
        "ahead": verdict.ahead,
        "deeds": verdict.deeds,
        "deeds_proved": verdict.deeds_proved,
        "deeds_without_end": [of(each) for each in verdict.deeds_without_end],
        "wrong_marks": list(verdict.wrong_marks),
        "pruned_before": verdict.pruned_before and verdict.pruned_before.isoformat(),
        "anchor": None
        if anchor is None
        else {
            "at": anchor.at.isoformat(),
            "heads": len(anchor.heads),
            "pruned": verdict.pruned_heads,
            "lost": [str(head) for head in verdict.lost_heads],
        },
        "findings": [
            {
                "kind": finding.kind.value,
                "system": finding.system or None,
                "stream": finding.stream,
                "partition": finding.partition,
                "start": finding.start,
                "end": finding.end,
                "place": f"{finding.place[0]}/{finding.place[1]}",
                "what": finding.what,
            }
            for finding in verdict.findings
        ],
    }


@shaped(Anchor, "anchor")
def anchored(value: Anchor) -> Document:
    """The end of every chain."""
    return {
        "at": value.at.isoformat(),
        "digest": value.digest,
        "heads": [
            {
                "system": head.system,
                "stream": head.stream,
                "partition": head.partition,
                "end": head.end,
                "chain": head.chain,
                "place": f"{head.log_partition}/{head.log_offset}",
            }
            for head in value.heads
        ],
    }


@shaped(Pruned, "pruning")
def pruned(value: Pruned) -> Document:
    """How many rows were deleted."""
    return {
        "before": value.before.isoformat(),
        "receipts": value.receipts,
        "events": value.events,
        "exceptions": value.exceptions,
        "operations": value.operations,
    }


@shaped(ToRebuild, "to-rebuild")
def to_rebuild(value: ToRebuild) -> Document:
    """A table that would be filled anew."""
    return {**_named(value.feed), "events": value.events}


@shaped(RebuildDone, "rebuilt")
def rebuilt(value: RebuildDone) -> Document:
    """A table that was rebuilt."""
    merged = value.rebuilt.merged
    return {
        **_named(value.feed),
        "events": value.rebuilt.events,
        "changed": None if merged is None else merged.changed,
        "added": None if merged is None else merged.added,
        "removed": None if merged is None else merged.removed,
        "kept": None if merged is None else merged.kept,
    }


@shaped(HalfFilled, "half-filled")
def half_filled(value: HalfFilled) -> Document:
    """A staging table that an earlier rebuild left."""
    return {**_named(value.feed), **_left(value.left), "is_dry": value.is_dry}


def _left(left: LeftoverStaging) -> Document:
    since = None if left.since is None else left.since.isoformat()
    return {"rows": left.rows, "events": left.events, "since": since}


def _named(feed: Feed) -> Document:
    return {
        "system": feed.view.system,
        "stream": feed.view.stream,
        "view": feed.view.fingerprint,
        "edition": feed.view.edition,
    }


@shaped(RecordedDeed, "deed")
def deed(value: RecordedDeed) -> Document:
    """What an operator did, or whom one looked up."""
    said = value.deed
    return {
        "at": said.at.isoformat(),
        "act": said.act,
        "actor": said.actor,
        "account": said.account,
        "system": said.system,
        "stream": said.stream,
        "subject_digest": said.subject_digest,
        "count": said.count,
        "reason": said.reason,
        "proved": value.is_proved,
        "place": f"{value.partition}/{value.offset}",
    }


@shaped(SealKeyUse, "sealed")
def key_use(value: SealKeyUse) -> Document:
    """The sealed values of a stream under one key."""
    return {
        **asdict(value.sealed),
        "is_there": value.is_there,
        "is_current": value.is_current,
        "may_be_retired": value.may_be_retired,
    }


@shaped(TopicState, "topic")
def topic(value: TopicState) -> Document:
    """A topic, and how it differs from what it should be."""
    drift = {name: {"has": has, "should": s} for name, (has, s) in value.drift.items()}
    return {
        "topic": value.spec.name,
        "partitions": value.partitions,
        "events": value.events,
        "drift": drift,
    }


@named("pruned")
def pruning(value: Pruned, *, is_dry: bool) -> Document:
    """How many rows were deleted, or would be."""
    return {**of(value), "dry_run": is_dry}


@named("deeds-page")
def deeds(page: DeedPage) -> Document:
    """A page of deeds, and where the next page begins."""
    return {"deeds": [of(each) for each in page.deeds], "after": page.after}


@named("topic-applied")
def topics_applied(states: Sequence[TopicState]) -> list[Document]:
    """Each topic, and what was changed of it."""
    return [{**of(state), "action": action(state)} for state in states]
