"""Make a code list's page: its values, their source, and the items that use them."""

from __future__ import annotations

from bus.catalog import CodeList
from bus.reference import markdown as md
from bus.reference import places
from bus.reference.sources import Sources


def code_page(codes: CodeList, sources: Sources) -> str:
    """The page of *codes*."""
    here = places.of_codes(codes.name)
    users = [
        (
            md.link(md.text(stream.ja), places.between(here, places.of_stream(stream.name))),
            md.code(item.path),
            md.text(item.ja),
        )
        for stream, item in sources.users(codes.name)
    ]
    has_kinds = any(each.kind for each in codes.entries.values())
    head = ("コード Code", "名称", "English", *(("区分 Class",) if has_kinds else ()))
    rows = [
        (
            md.code(each.code),
            md.text(each.ja),
            md.text(each.en),
            *((md.text(each.kind),) if has_kinds else ()),
        )
        for each in codes.entries.values()
    ]
    lines = [
        *md.facts(
            [
                ("コード一覧 Code list", md.code(codes.name)),
                ("出典 Source", md.text(codes.source)),
                ("確度 Certainty", md.text(codes.certainty)),
            ]
        ),
        *(md.link("一覧 All streams and systems", places.between(here, places.FRONT)), ""),
        f"## 値 Values ({len(rows)})",
        "",
        *md.table(head, rows),
        "## 使用する項目 Used by",
        "",
        *md.table(("ストリーム Stream", "項目 Item", "項目名"), users),
    ]
    return md.page(f"{md.text(codes.ja)} — {md.code(codes.name)}", lines)
