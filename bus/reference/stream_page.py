"""Make a stream's page: the items of a record, who publishes it, who receives which of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from bus.model import Item, Sensitivity, Stream
from bus.reference import markdown as md
from bus.reference import places
from bus.reference.leaves import Leaf, leaves_of
from bus.reference.sources import Sources
from bus.reference.versions import added_and_taken
from bus.reference.visibility import CAPABLE, WITHHOLD, ItemVisibility, Sign, body, mark, seen
from bus.reference.words import MASKS, MODES, PROPERTIES, SENSITIVITIES, condition_words

_ITEM_HEAD = (
    "項目 Item", "項目名", "ローマ字 Romaji", "English", "型 Type", "様式 Form", "区分 Sensitivity",
    "コード Codes", "検査 Checks", "データ項目ID",
)  # fmt: skip
_OWN_COLUMN = frozenset({"x-form", "x-codes"})


def stream_page(stream: Stream, sources: Sources) -> str:
    """The page of *stream*."""
    return md.page(
        f"{md.text(stream.ja)} — {md.text(stream.en)}",
        [
            *_facts(stream, sources),
            *_receivers(stream, sources),
            *_items(stream),
            *_who_sees_what(stream, sources),
            *_event_types(stream),
            *_rules(stream, sources),
            *_versions(stream),
            *_example(stream, sources),
        ],
    )


def _facts(stream: Stream, sources: Sources) -> Iterator[str]:
    here = places.of_stream(stream.name)
    schema = stream.latest.schema
    if schema.get("doc"):
        yield from (md.text(schema["doc"]), "")
    rows = [
        ("ストリーム Stream", md.code(stream.name)),
        ("トピック Topic", md.code(stream.topic)),
        ("レコード Record", md.code(f"{schema['namespace']}.{schema['name']}")),
    ]
    if stream.is_internal:
        rows.append(("内部 Internal", "連携基盤自身の記録 the bus about itself"))
    else:
        subject = next(item for item in stream.items if item.path == "header.subject_id")
        providers = [_system_link(here, name, sources) for name in stream.providers]
        rows += [
            ("対象 Subject", f"{md.text(subject.ja)} {md.text(subject.en)}"),
            ("提供 Provided by", "、".join(providers) or "–"),
            ("関係する個人 Persons", ", ".join(map(md.code, stream.persons)) or "–"),
        ]
    yield from md.facts(rows)
    yield from (md.link("一覧 All streams and systems", places.between(here, places.FRONT)), "")


def _receivers(stream: Stream, sources: Sources) -> Iterator[str]:
    if stream.is_internal:
        return
    here = places.of_stream(stream.name)
    grants = sources.receivers(stream.name)
    yield from (f"## 提供先 Received by ({len(grants)})", "")
    if not grants:
        yield from ("なし Nobody.", "")
        return
    every = len(body(stream))
    rows = []
    for name, grant in grants.items():
        given = mark(stream, grant)
        types = "すべて all"
        if set(grant.event_types) != set(stream.event_types):
            types = ", ".join(md.code(each) for each in grant.event_types)
        rows.append(
            (
                _system_link(here, name, sources),
                f"{len(seen(stream, grant))} / {every}",
                str(given),
                types,
                "<br>".join(md.text(condition_words(each)) for each in grant.conditions)
                or "すべて all",
                str(MODES[grant.mode]),
                md.text(grant.purpose),
            )
        )
    head = (
        "業務 System", "項目数 Items", "支援措置 Protection", "イベント Events", "条件 Rows",
        "方式 Mode", "目的 Purpose",
    )  # fmt: skip
    yield from md.table(head, rows)


def _items(stream: Stream) -> Iterator[str]:
    leaves = leaves_of(stream.latest.schema)
    if stream.is_internal:
        yield from ("## 項目 Items", "")
        yield from md.table(_ITEM_HEAD, _item_rows(stream.items, leaves))
        return
    yield from (f"## 項目 Items ({len(body(stream))})", "")
    yield from md.table(_ITEM_HEAD, _item_rows(body(stream), leaves))
    yield from _docs(body(stream), leaves)
    yield from ("## ヘッダー Header", "", "全提供先に提供する。 Every receiver gets it whole.", "")
    header = [item for item in stream.items if item.is_header]
    yield from md.table(_ITEM_HEAD, _item_rows(header, leaves))


def _item_rows(items: Iterable[Item], leaves: dict[str, Leaf]) -> Iterator[tuple[str, ...]]:
    for item in items:
        codes = item.properties.get("x-codes")
        checks = [
            str(PROPERTIES[name](content))
            for name, content in item.properties.items()
            if name not in _OWN_COLUMN
        ]
        yield (
            md.code(item.path),
            md.text(item.ja),
            md.text(item.romaji),
            md.text(item.en),
            _type(leaves[item.path]),
            md.text(item.properties.get("x-form")),
            str(SENSITIVITIES[item.sensitivity]),
            md.link(md.code(codes), f"../{places.of_codes(codes)}") if codes else "–",
            "<br>".join(map(md.text, checks)) or "–",
            md.text(item.item_id),
        )


def _type(leaf: Leaf) -> str:
    said = str(leaf.type)
    if leaf.symbols:
        said += " " + ", ".join(map(md.code, leaf.symbols))
    if leaf.is_list:
        said += "（一覧 list）"
    return said + ("、空可 or null" if leaf.is_nullable else "")


def _docs(items: Iterable[Item], leaves: dict[str, Leaf]) -> Iterator[str]:
    """The remarks of the schema on single items."""
    said = [(item, leaves[item.path].doc) for item in items if leaves[item.path].doc]
    if said:
        yield from ("### 注記 Notes", "")
        yield from (f"- {md.code(item.path)}: {md.text(doc)}" for item, doc in said)
        yield ""


def _who_sees_what(stream: Stream, sources: Sources) -> Iterator[str]:
    grants = sources.receivers(stream.name)
    if stream.is_internal or not grants:
        return
    here = places.of_stream(stream.name)
    yield from ("## 項目別の提供先 Who receives which items", "")
    yield f"● 提供 given　{WITHHOLD}　{CAPABLE}　◇ 秘匿処理後 masked"
    yield ""
    views = {
        name: {each.item.path: each for each in seen(stream, grant)}
        for name, grant in grants.items()
    }
    marks = {name: mark(stream, grant) for name, grant in grants.items()}
    rows = []
    for item in body(stream):
        cells = []
        for name, view in views.items():
            each = view.get(item.path)
            cells.append("" if each is None else _sign(each, marks[name]))
        rows.append((md.code(item.path), md.text(item.ja), *cells))
    heads = [
        md.link(md.text(sources.systems[n].ja), places.between(here, places.of_system(n)))
        for n in views
    ]
    yield from md.table(("項目 Item", "項目名", *heads), rows)


def _sign(each: ItemVisibility, mark: Sign) -> str:
    sign = mark.sign if each.item.sensitivity is Sensitivity.LOCATION else "●"
    return sign if each.mask is None else f"{sign} ◇{MASKS[each.mask].ja}"


def _event_types(stream: Stream) -> Iterator[str]:
    if stream.event_types:
        yield from ("## イベント種別 Event types", "")
        yield from (f"- {md.code(each)}" for each in stream.event_types)
        yield ""


def _rules(stream: Stream, sources: Sources) -> Iterator[str]:
    if stream.is_internal:
        return
    yield from ("## 整合性規則 Rules", "")
    own = sources.rules.get(stream.name, ())
    yield from (f"- {md.text(sentence)}" for sentence in own)
    yield from (f"- ヘッダー Header: {md.text(sentence)}" for sentence in sources.header_rules)
    yield ""


def _versions(stream: Stream) -> Iterator[str]:
    yield from ("## 版 Versions", "")
    rows = []
    for version, added, taken in added_and_taken(stream):
        said = "最初の版 first" if version.version == 1 else _changed(added, taken)
        rows.append((f"v{version.version}", said, md.code(version.fingerprint)))
    yield from md.table(("版 Version", "変更 Change", "指紋 Fingerprint"), rows)


def _changed(added: Iterable[str], taken: Iterable[str]) -> str:
    said = [f"追加 added {md.code(path)}" for path in added]
    said += [f"削除 taken away {md.code(path)}" for path in taken]
    return "<br>".join(said) or "型の変更のみ no item"


def _example(stream: Stream, sources: Sources) -> Iterator[str]:
    if stream.name in sources.examples:
        shown = json.dumps(sources.examples[stream.name], ensure_ascii=False, indent=2)
        yield from ("## 例 Example", "", "```json", *shown.splitlines(), "```", "")


def _system_link(here: str, name: str, sources: Sources) -> str:
    system = sources.systems[name]
    shown = f"{md.text(system.ja)} {md.text(system.en)}"
    return md.link(shown, places.between(here, places.of_system(name)))
