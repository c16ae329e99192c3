"""Make a system's page: what it receives, how much of it, on which ground; what it provides."""

from __future__ import annotations

from collections.abc import Iterator

from bus.model import Stream, System
from bus.policy import Grant
from bus.reference import markdown as md
from bus.reference import places
from bus.reference.sources import Sources
from bus.reference.visibility import body, mark, seen
from bus.reference.words import (
    KINDS,
    MASKS,
    MODES,
    SENSITIVITIES,
    ZONES,
    condition_words,
)


def system_page(system: System, sources: Sources) -> str:
    """The page of *system*."""
    return md.page(
        f"{md.text(system.ja)} — {md.text(system.en)}",
        [*_facts(system, sources), *_provides(system, sources), *_receives(system, sources)],
    )


def _facts(system: System, sources: Sources) -> Iterator[str]:
    here = places.of_system(system.name)
    subscription = sources.subscriptions.get(system.name)
    business_id = subscription.business_id if subscription else None
    yield from md.facts(
        [
            ("業務 System", md.code(system.name)),
            ("種別 Kind", str(KINDS[system.kind])),
            ("所管 Ministry", md.text(system.ministry)),
            ("別機関 Separate organ", md.text(system.separate_organ)),
            ("業務ID", md.text(business_id)),
            ("ネットワーク Zone", str(ZONES[subscription.zone]) if subscription else "–"),
        ]
    )
    yield from (md.link("一覧 All streams and systems", places.between(here, places.FRONT)), "")


def _provides(system: System, sources: Sources) -> Iterator[str]:
    provided = sources.provided(system.name)
    yield from (f"## 提供 Provides ({len(provided)})", "")
    if not provided:
        yield from ("なし Nothing.", "")
        return
    rows = (
        (_stream_link(system, each), md.code(each.name), str(len(sources.receivers(each.name))))
        for each in provided
    )
    yield from md.table(("名称 Name", "ストリーム Stream", "提供先数 Receivers"), rows)


def _receives(system: System, sources: Sources) -> Iterator[str]:
    granted = sources.granted(system.name)
    yield from (f"## 受取 Receives ({len(granted)})", "")
    if not granted:
        yield from ("なし Nothing.", "")
        return
    rows = []
    for name, grant in granted.items():
        stream = sources.catalog.stream(name)
        sign = mark(stream, grant)
        rows.append(
            (
                _stream_link(system, stream),
                f"{len(seen(stream, grant))} / {len(body(stream))}",
                str(sign),
                md.text(grant.purpose),
                md.text(grant.expires_on),
            )
        )
    head = (
        "ストリーム Stream",
        "項目数 Items",
        "支援措置 Protection",
        "目的 Purpose",
        "期限 Expires",
    )
    yield from md.table(head, rows)
    for name, grant in granted.items():
        yield from _grant(system, sources.catalog.stream(name), grant)


def _grant(system: System, stream: Stream, grant: Grant) -> Iterator[str]:
    sign = mark(stream, grant)
    yield from (f"### {md.text(stream.ja)} {md.text(stream.en)}", "")
    rows = [md.text(condition_words(each)) for each in grant.conditions]
    types = ", ".join(map(md.code, grant.event_types))
    if set(grant.event_types) == set(stream.event_types):
        types = f"すべて all: {types}"
    yield from md.facts(
        [
            ("ストリーム Stream", md.link(md.code(stream.name), _stream_target(system, stream))),
            ("法的根拠 Ground", md.text(grant.legal_basis)),
            ("目的 Purpose", md.text(grant.purpose)),
            ("承認者 Approver", md.text(grant.approver)),
            ("承認日 Approved on", md.text(grant.approved_on)),
            ("期限 Expires on", md.text(grant.expires_on)),
            (
                "支援措置 Suppression",
                f"{md.code(grant.suppression.value)} {sign}: {sign.meaning}",
            ),
            ("その理由 Reason", md.text(grant.suppression_reason)),
            ("番号利用事務 Number use", md.text(grant.number_use)),
            ("イベント Events", types),
            ("条件 Rows", "<br>".join(rows) or "すべて all"),
            ("方式 Mode", str(MODES[grant.mode])),
        ]
    )
    given = seen(stream, grant)
    items = (
        (
            md.code(each.item.path),
            md.text(each.item.ja),
            md.text(each.item.en),
            str(SENSITIVITIES[each.item.sensitivity]),
            str(MASKS[each.mask]) if each.mask else "",
            "秘匿 withheld" if each.is_withheld else "",
        )
        for each in given
    )
    head = (
        "項目 Item", "項目名", "English", "区分 Sensitivity", "秘匿処理 Mask",
        "支援措置対象者 If protected",
    )  # fmt: skip
    yield from md.table(head, items)
    left_out = {item.path for item in body(stream)} - {each.item.path for each in given}
    yield from (
        "提供しない項目 Not given: "
        + (
            "、".join(
                f"{md.text(item.ja)} {md.code(item.path)}"
                for item in body(stream)
                if item.path in left_out
            )
            or "なし none"
        ),
        "",
    )


def _stream_target(system: System, stream: Stream) -> str:
    return places.between(places.of_system(system.name), places.of_stream(stream.name))


def _stream_link(system: System, stream: Stream) -> str:
    return md.link(f"{md.text(stream.ja)} {md.text(stream.en)}", _stream_target(system, stream))
