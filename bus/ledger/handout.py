"""Write the page and the table that are handed out: what was given of one subject.

For a person who asks (開示請求). Numbers and names of items only: no value of any item is in the
ledger. What the record cannot say is said.

A sheet takes one page of the answer after the other, so that it holds no more than one: the rows
lie in a file without a name until all are there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape
from tempfile import TemporaryFile

from bus.ledger.provisions import GivenItem, Provision, Provisions, RecordedView
from bus.observe.moments import TO_THE_SECOND, local_time

_HEAD = (
    ("番号", "No."),
    ("提供日時", "Given at"),
    ("提供先", "Given to"),
    ("記録", "Record"),
    ("識別番号", "Kept under"),
    ("履歴番号", "Version"),
    ("異動", "Event"),
    ("根拠", "Ground"),
)
_PIECE = 1 << 16  # characters that are written at once
_STYLE = """
body{font:10.5pt/1.6 "Noto Sans CJK JP","Hiragino Sans","Yu Gothic",sans-serif;margin:2em}
table{border-collapse:collapse;width:100%}th,td{border:1px solid #888;padding:.25em .5em;
text-align:left;vertical-align:top}th{background:#eee}small{color:#555}dt{font-weight:bold}
section{break-inside:avoid}tr{break-inside:avoid}thead{display:table-header-group}
@page{size:A4;margin:15mm}"""


def notes(answer: Provisions, zone: tzinfo) -> list[tuple[str, str]]:
    """What a reader must know about the answer, in Japanese and in English."""
    has_bare = any(provision.view not in answer.views for provision in answer.provisions)
    return _notes(answer, answer.views, zone, has_bare=has_bare)


def _notes(
    answer: Provisions, views: Mapping[str, RecordedView], zone: tzinfo, *, has_bare: bool
) -> list[tuple[str, str]]:
    said = [
        (
            "この記録は、連携基盤が各業務システムの保管庫へ引き渡したことを示すものです。引渡し後に各システムが"
            "作成したファイルや帳票は含みません。",
            "The record says what the bus handed to each system's own store. Files and printouts"
            " made from that store afterwards are not in it.",
        )
    ]
    if any(view.may_withhold for view in views.values()):
        said.append(
            (
                "「抑止」とある提供先には、支援措置の対象である間、所在に関する項目（※）は引き渡されません。"
                "どの提供で抑止されたかは、この記録には残りません。",
                "Where it says withheld, items of location (※) are not handed over while measures"
                " of protection are in force. Of which provisions that was, the record does not"
                " say.",
            )
        )
    if has_bare:
        said.append(
            (
                "根拠が「記録なし」の提供は、根拠の記録を始める前のものです。",
                "Where the ground is not recorded, it was given before grounds were.",
            )
        )
    if answer.naming:
        names = "、".join(answer.naming)
        said.append(
            (
                f"他の番号（世帯番号、車両管理番号など）で管理される記録に氏名等が含まれる場合は、その番号で"
                f"照会してください：{names}",
                "Records kept under another number (a household's, a vehicle's) may name the"
                f" person: ask for those numbers too: {', '.join(answer.naming)}",
            )
        )
    if answer.erasure is not None:
        day = local_time(answer.erasure.at, zone, TO_THE_SECOND)
        what = ("消去済み", "erased") if answer.erasure.is_done else ("消去未完了", "erasure begun")
        said.append((f"{day} {what[0]}", f"{what[1]} on {day}"))
    return said


def grounds(answer: Provisions) -> dict[str, str]:
    """A short mark for each recorded view, in the order of first use."""
    marks: dict[str, str] = {}
    _mark(marks, answer)
    return marks


def _mark(marks: dict[str, str], answer: Provisions) -> None:
    """Give a mark to each recorded view that has none."""
    for provision in answer.provisions:
        if provision.view in answer.views and provision.view not in marks:
            marks[provision.view] = f"[{len(marks) + 1}]"


class Sheet:
    """The answer about one subject, page by page; at its end the text of a file."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._spool = TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115 - close()
        self._marks: dict[str, str] = {}
        self._views: dict[str, RecordedView] = {}
        self._has_bare = False
        self.count = 0

    def close(self) -> None:
        """Give the rows up."""
        self._spool.close()

    def _rows(self, page: Provisions) -> list[tuple[str, ...]]:
        """The table's rows of the next page, one for each provision, oldest first."""
        _mark(self._marks, page)
        self._views |= page.views
        self._has_bare |= any(provision.view not in page.views for provision in page.provisions)
        first, self.count = self.count + 1, self.count + len(page.provisions)
        return [
            (
                str(number),
                local_time(provision.given_at, self._zone, TO_THE_SECOND),
                _system(provision, page),
                _stream(provision, page),
                provision.subject_id,
                str(provision.version),
                provision.event_type.rpartition(".")[2],
                self._marks.get(provision.view, "記録なし / not recorded"),
            )
            for number, provision in enumerate(page.provisions, start=first)
        ]

    def _spooled(self) -> Iterator[str]:
        self._spool.seek(0)
        while piece := self._spool.read(_PIECE):
            yield piece


class CsvSheet(Sheet):
    """The table as CSV, with the ground in each row; for UTF-8 with a byte order mark."""

    def __init__(self, zone: tzinfo) -> None:
        super().__init__(zone)
        self._writer = csv.writer(self._spool, lineterminator="\r\n")
        more = ("根拠法令 Legal basis", "利用目的 Purpose", "承認者 Approver", "提供項目 Items")
        self._writer.writerow([*(f"{ja} {en}" for ja, en in _HEAD), *more])

    def take(self, page: Provisions) -> None:
        """Add the next page."""
        for provision, row in zip(page.provisions, self._rows(page), strict=True):
            view = page.views.get(provision.view)
            ground = ("", "", "", "")
            if view is not None:
                items = "、".join(_items(view))
                ground = (view.legal_basis, view.purpose, view.approver, items)
            self._writer.writerow([*row, *ground])

    def text(self) -> Iterator[str]:
        """The file's text, in pieces."""
        yield "\ufeff"  # by which a spreadsheet knows UTF-8
        yield from self._spooled()


class HtmlSheet(Sheet):
    """The page as HTML, which prints on A4."""

    def __init__(self, zone: tzinfo, *, made_at: datetime, period: str) -> None:
        super().__init__(zone)
        self._made_at = made_at
        self._period = period
        self._about: Provisions | None = None  # the newest page

    def take(self, page: Provisions) -> None:
        """Add the next page."""
        self._about = page
        for row in self._rows(page):
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
            self._spool.write(f"<tr>{cells}</tr>\n")

    def text(self) -> Iterator[str]:
        """The file's text, in pieces; a page was taken."""
        about = self._about
        assert about is not None
        head = "".join(f"<th>{ja}<br><small>{en}</small></th>" for ja, en in _HEAD)
        facts = (
            ("市区町村コード Municipality", about.municipality_code),
            ("識別番号 Number", about.subject_id),
            ("対象期間 Period", self._period),
            ("作成日時 Made at", local_time(self._made_at, self._zone, TO_THE_SECOND)),
            ("提供件数 Provisions", f"{self.count:,}"),
        )
        said = _notes(about, self._views, self._zone, has_bare=self._has_bare)
        yield "\n".join(
            (
                '<!doctype html>\n<html lang="ja"><head><meta charset="utf-8">',
                f"<title>提供記録 Record of provisions</title><style>{_STYLE}</style></head><body>",
                "<h1>提供記録 <small>Record of provisions</small></h1>",
                _facts(facts),
                "<h2>提供の一覧 <small>Provisions</small></h2>",
                f"<table><thead><tr>{head}</tr></thead><tbody>\n",
            )
        )
        yield from self._spooled()
        yield "\n".join(
            (
                "</tbody></table>",
                "<h2>根拠と提供項目 <small>Grounds and items</small></h2>",
                *(_section(mark, self._views[view]) for view, mark in self._marks.items()),
                "<h2>注記 <small>Notes</small></h2><ul>",
                *(f"<li>{escape(ja)}<br><small>{escape(en)}</small></li>" for ja, en in said),
                "</ul></body></html>\n",
            )
        )


def _section(mark: str, view: RecordedView) -> str:
    facts = (
        ("提供先 Given to", f"{view.system_ja} ({view.system})"),
        ("記録 Record", f"{view.stream_ja} ({view.stream} v{view.schema_version})"),
        ("根拠法令 Legal basis", view.legal_basis),
        *((("番号利用事務 Use of 個人番号", view.number_use),) if view.number_use else ()),
        ("利用目的 Purpose", view.purpose),
        ("承認者 Approver", f"{view.approver} {view.approved_on} – {view.expires_on}"),
        ("抑止 Under protection", suppression_of(view)),
        ("提供項目 Items", "、".join(_items(view))),
    )
    return f"<section><h3>{mark}</h3>{_facts(facts)}</section>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    listed = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<dl>{listed}</dl>"


def suppression_of(view: RecordedView) -> str:
    """How a protected person's location is treated, in both languages."""
    if not any(item.is_location for item in view.items):
        return "所在に関する項目なし / no location"
    if view.may_withhold:
        return "抑止（※を除く） / withheld (without ※)"
    return "抑止せず提供 / given, to be suppressed by the system"


def _items(view: RecordedView) -> Sequence[str]:
    """The items of the record, without the header's, which are the same everywhere."""
    return [_item(item) for item in view.items if not item.is_header]


def _item(item: GivenItem) -> str:
    mark = "※" if item.is_location else ""
    return f"{item.ja or item.path}{mark}" + (f"（{item.mask}）" if item.mask else "")


def _system(provision: Provision, answer: Provisions) -> str:
    view = answer.views.get(provision.view)
    return provision.system if view is None else f"{view.system_ja} {provision.system}"


def _stream(provision: Provision, answer: Provisions) -> str:
    view = answer.views.get(provision.view)
    return provision.stream if view is None else f"{view.stream_ja} {provision.stream}"
