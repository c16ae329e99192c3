"""Make the front page: the matrix of systems and streams, and a list of all pages."""

from __future__ import annotations

from collections.abc import Iterator

from bus.model import System
from bus.reference import markdown as md
from bus.reference import places
from bus.reference.matrix import signs, taking_part
from bus.reference.sources import Sources
from bus.reference.visibility import MARKS
from bus.reference.words import KINDS


def front_page(sources: Sources) -> str:
    """The front page's text."""
    return md.page(
        "連携リファレンス — Reference",
        [
            *_opening(),
            *_matrix(sources),
            *_streams(sources),
            *_systems(sources),
            *_codes(sources),
        ],
    )


def _opening() -> Iterator[str]:
    yield "どの業務が何を提供し、どの業務がそのうち何を受け取るか。スキーマと連携定義から作られる。"
    yield ""
    yield "What is published, who receives which part of it, and on which ground: made from the"
    yield "schemas and the subscriptions in `schemas/` by `renkei docs build`."
    yield ""
    book = md.link(md.code(places.BOOK), places.BOOK)
    yield f"The same in one file, to search and to print: {book}."
    yield from ("", f"![提供と受取の一覧 Who provides and who receives]({places.PICTURE})", "")


def _matrix(sources: Sources) -> Iterator[str]:
    yield from ("## 一覧 Matrix", "")
    yield from (f"- {mark}: {mark.meaning}" for mark in MARKS)
    yield ""
    systems = taking_part(sources)
    heads = [md.link(md.text(each.ja), places.of_system(each.name)) for each in systems]
    rows = []
    for stream in sources.streams:
        found = signs(stream, sources)
        name = f"{md.text(stream.ja)}<br>{md.code(stream.name)}"
        cells = ["".join(mark.sign for mark in found.get(each.name, ())) for each in systems]
        rows.append((md.link(name, places.of_stream(stream.name)), *cells))
    yield from md.table(("ストリーム Stream", *heads), rows)


def _streams(sources: Sources) -> Iterator[str]:
    yield from (f"## ストリーム Streams ({len(sources.streams)})", "")
    rows = (
        (
            md.link(md.text(each.ja), places.of_stream(each.name)),
            md.text(each.en),
            md.code(each.name),
            f"v{each.latest.version}",
            str(len(each.items)),
            "、".join(_system(sources.systems[name]) for name in each.providers) or "–",
            str(len(sources.receivers(each.name))),
        )
        for each in sources.streams
    )
    head = (
        "名称", "English", "ストリーム Stream", "版 Version", "項目数 Items", "提供 Provided by",
        "提供先数 Receivers",
    )  # fmt: skip
    yield from md.table(head, rows)
    yield from ("連携基盤自身の記録 What the bus says of itself:", "")
    yield from (
        f"- {md.link(md.text(each.ja), places.of_stream(each.name))} {md.code(each.name)}"
        for each in sources.internal
    )
    yield ""


def _systems(sources: Sources) -> Iterator[str]:
    yield from (f"## 業務 Systems ({len(sources.systems)})", "")
    rows = (
        (
            _system(each),
            md.text(each.en),
            md.code(each.name),
            str(KINDS[each.kind]),
            md.text(each.ministry),
            md.text(each.separate_organ),
            str(len(sources.granted(each.name))),
            str(len(sources.provided(each.name))),
        )
        for each in sources.systems.values()
    )
    head = (
        "名称", "English", "業務 System", "種別 Kind", "所管 Ministry", "別機関 Separate organ",
        "受取 Receives", "提供 Provides",
    )  # fmt: skip
    yield from md.table(head, rows)


def _codes(sources: Sources) -> Iterator[str]:
    lists = sources.catalog.codes
    yield from (f"## コード一覧 Code lists ({len(lists)})", "")
    rows = (
        (
            md.link(md.text(each.ja), places.of_codes(name)),
            md.code(name),
            str(len(each.entries)),
            md.text(each.certainty),
        )
        for name, each in lists.items()
    )
    yield from md.table(("名称", "コード一覧 Code list", "値 Values", "確度 Certainty"), rows)


def _system(system: System) -> str:
    return md.link(md.text(system.ja), places.of_system(system.name))
