"""The pages, as a reader finds them: all that is in the files, and nothing else."""

from __future__ import annotations

import json
import posixpath
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from html.parser import HTMLParser

import pytest

from bus.publish.rules import HEADER_RULES, RULES
from bus.reference import Sources, pages
from tests.unit.reference import reader

Pages = Mapping[str, str]
STREAMS = reader.streams()
SUBSCRIPTIONS = reader.subscriptions()


@pytest.mark.parametrize("stream", sorted(STREAMS))
def test_a_stream_page_has_exactly_its_items(stream: str, made: Pages) -> None:
    """Every value of the newest schema, each once, with its own Japanese name in it."""
    page = made[f"streams/{stream}.md"]
    fields = reader.leaves(STREAMS[stream])

    rows = reader.rows(reader.section(page, "## 項目 Items") + reader.section(page, "## ヘッダー"))
    rows = [row for row in rows if len(row) == 10]

    assert [reader.plain(row[0]) for row in rows] == sorted(
        fields, key=lambda path: (path.startswith("header."), list(fields).index(path))
    )
    for row in rows:
        field = fields[reader.plain(row[0])]
        name = reader.plain(row[1])
        own = field["x-ja"] in name or field.get("x-naming") == "group"
        assert own or row[0] == "`header.subject_id`", row
        assert all(row[1:5]), row
        assert (field.get("x-codes") is None) == (row[7] == "–")
        if "x-sensitivity" in field:
            assert row[6].endswith(field["x-sensitivity"])
        if "x-max-length" in field and row[0] != "`header.subject_id`":
            assert f"at most {field['x-max-length']} characters" in row[8]
        if "x-item-id" in field:
            assert row[9] == field["x-item-id"]


@pytest.mark.parametrize("stream", sorted(STREAMS))
def test_a_stream_page_has_who_publishes_and_who_receives(stream: str, made: Pages) -> None:
    """The schema names the one, the subscriptions the others; each item's receivers are marked."""
    page, schema = made[f"streams/{stream}.md"], STREAMS[stream]
    granted = {s: v["streams"][stream] for s, v in SUBSCRIPTIONS.items() if stream in v["streams"]}

    providers = re.findall(r"\.\./systems/(\w+)\.md", reader.section(page, "# ").split("##")[0])
    receivers = [reader.links(row[0])[0] for row in reader.rows(reader.section(page, "## 提供先"))]

    assert providers == schema.get("x-providers", [])
    assert sorted(receivers) == sorted(f"../systems/{system}.md" for system in granted)
    assert [
        line[3:-1] for line in reader.section(page, "## イベント種別").splitlines() if line
    ] == (schema.get("x-event-types", []))


@pytest.mark.parametrize("stream", sorted(STREAMS))
def test_the_table_of_items_and_receivers_is_what_the_grants_say(stream: str, made: Pages) -> None:
    """A mark where the item, or a record around it, is granted; none elsewhere."""
    text = reader.section(made[f"streams/{stream}.md"], "## 項目別の提供先")
    if not text:
        assert not any(stream in each["streams"] for each in SUBSCRIPTIONS.values())
        return
    heading = next(line for line in text.splitlines() if line.startswith("| 項目"))
    columns = re.findall(r"systems/(\w+)\.md", heading)

    found = {
        (system, reader.plain(row[0]))
        for row in reader.rows(text)
        for system, cell in zip(columns, row[2:], strict=True)
        if cell
    }

    assert found == {
        (system, path)
        for system, subscription in SUBSCRIPTIONS.items()
        if stream in subscription["streams"]
        for path in granted_leaves(stream, subscription["streams"][stream])
    }


@pytest.mark.parametrize("system", sorted(reader.systems()))
def test_a_system_page_has_every_grant_with_its_ground(system: str, made: Pages) -> None:
    """Ground, purpose, approver, days, and exactly the items that the file grants."""
    page = made[f"systems/{system}.md"]
    grants = SUBSCRIPTIONS.get(system, {"streams": {}})["streams"]

    assert page.count("\n### ") == len(grants)
    for stream, grant in grants.items():
        part = next(
            text
            for text in page.split("\n### ")[1:]
            if f"| ストリーム Stream | [`{stream}`]" in text
        )
        said = reader.plain(part)
        for key in ("purpose", "approver", "approved_on", "expires_on"):
            assert str(grant[key]) in said, (stream, key)
        for text in texts_of([grant["legal_basis"], grant.get("number_use")]):
            assert text in said
        assert (grant.get("suppression_reason") or "–") in said
        rows = [row for row in reader.rows(part) if len(row) == 6]
        items = [reader.plain(row[0]) for row in rows]
        assert set(items) == granted_leaves(stream, grant)
        assert len(items) == len(set(items))
        body = {p for p in reader.leaves(STREAMS[stream]) if not p.startswith("header.")}
        rest = part.partition("提供しない項目")[2]
        assert set(re.findall(r"`([\w.]+)`", rest)) == body - set(items)


@pytest.mark.parametrize("system", sorted(reader.systems()))
def test_a_system_page_has_what_it_provides(system: str, made: Pages) -> None:
    """The streams whose schema names it."""
    text = reader.section(made[f"systems/{system}.md"], "## 提供 Provides")

    assert sorted(reader.plain(row[1]) for row in reader.rows(text)) == sorted(
        name for name, schema in STREAMS.items() if system in schema.get("x-providers", [])
    )


@pytest.mark.parametrize("name", sorted(reader.codes()))
def test_a_code_page_has_every_value_and_every_user(name: str, made: Pages) -> None:
    """The list as its file has it; and the items that take their values from it."""
    page, codes = made[f"codes/{name}.md"], reader.codes()[name]

    values = reader.rows(reader.section(page, "## 値"))
    users = reader.rows(reader.section(page, "## 使用する項目"))

    assert [[reader.plain(cell) for cell in row[:3]] for row in values] == [
        [entry["code"], entry["ja"], entry["en"]] for entry in codes["entries"]
    ]
    assert codes["source"] in reader.plain(page)
    assert codes["certainty"] in reader.plain(page)
    assert sorted((reader.links(row[0])[0], reader.plain(row[1])) for row in users) == sorted(
        (f"../streams/{stream}.md", path)
        for stream, schema in STREAMS.items()
        for path, field in reader.leaves(schema).items()
        if field.get("x-codes") == name
    )


def test_the_matrix_has_a_mark_for_every_relation(made: Pages) -> None:
    """▲ where the schema names a provider, another sign where a subscription has the stream."""
    text = reader.section(made["README.md"], "## 一覧 Matrix")
    heading = next(line for line in text.splitlines() if line.startswith("| ストリーム"))
    columns = re.findall(r"systems/(\w+)\.md", heading)
    provides, receives = set(), set()
    for row in reader.rows(text):
        (target,) = reader.links(row[0])
        stream = target.removeprefix("streams/").removesuffix(".md")
        for system, cell in zip(columns, row[1:], strict=True):
            if "▲" in cell:
                provides.add((system, stream))
            if cell.replace("▲", ""):
                receives.add((system, stream))

    assert provides == {
        (system, name) for name, s in STREAMS.items() for system in s.get("x-providers", [])
    }
    assert receives == {(n, name) for n, s in SUBSCRIPTIONS.items() for name in s["streams"]}
    standard = [name for name, each in reader.systems().items() if each["kind"] == "standard"]
    assert columns[:17] == standard


def test_who_may_have_a_location_is_marked_as_the_subscription_says(made: Pages) -> None:
    """◉ is for systems that have a protected person's location, and for no other."""
    page = made["streams/resident.md"]

    for row in reader.rows(reader.section(page, "## 提供先")):
        system = re.findall(r"systems/(\w+)\.md", row[0])[0]
        grant = SUBSCRIPTIONS[system]["streams"]["resident"]
        assert ("◉" in row[2]) == (grant.get("suppression") == "capable"), system


def test_every_link_leads_to_a_page(made: Pages) -> None:
    """And every page can be reached from the first one."""
    reached, open_ = {"README.md"}, ["README.md"]
    while open_:
        page = open_.pop()
        for target in reader.links(made[page]) if page.endswith(".md") else ():
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
            assert path in made, (page, target)
            if path not in reached:
                reached.add(path)
                open_.append(path)

    assert reached == set(made)


@pytest.mark.parametrize("stream", sorted(RULES))
def test_every_rule_of_a_stream_is_said(stream: str, made: Pages) -> None:
    """A line for each, and one for each of the header's; no line says what kind of thing it is."""
    text = reader.section(made[f"streams/{stream}.md"], "## 整合性規則")
    lines = [reader.plain(line[2:]) for line in text.splitlines() if line]

    assert len(lines) == len(RULES[stream]) + len(HEADER_RULES)
    assert len(set(lines)) == len(lines)
    for rule, line in zip(RULES[stream], lines, strict=False):
        said = getattr(rule, "ja", None) or str(rule.__doc__).partition("\n")[0]
        assert line.startswith(said), line


@pytest.mark.parametrize("stream", sorted(STREAMS))
def test_the_example_is_one_of_the_files(stream: str, made: Pages) -> None:
    """As it stands in examples/valid; a stream without examples has none on its page."""
    shown = re.findall(r"^```json\n(.*?)^```", made[f"streams/{stream}.md"], re.M | re.S)
    files = sorted((reader.SCHEMAS / "streams" / stream / "examples" / "valid").glob("*.json"))

    assert [json.loads(text) for text in shown] == [
        json.loads(file.read_text(encoding="utf-8")) for file in files[:1]
    ]


def test_a_version_says_what_it_added(made: Pages) -> None:
    """The second version of residents brought the former family names."""
    (first, second) = reader.rows(reader.section(made["streams/resident.md"], "## 版"))

    assert "最初" in first[1]
    assert re.findall(r"`(\w+)`", second[1]) == ["former_family_name", "former_family_name_kana"]


def test_the_same_contracts_give_the_same_pages(sources: Sources, made: Pages) -> None:
    """Nothing depends on the day, the machine or the order of a dictionary."""
    assert pages(sources) == made
    for path, text in made.items():
        assert str(reader.SCHEMAS.parent) not in text, path
        assert "http" not in text.replace("http://www.w3.org/2000/svg", ""), path


class _Html(HTMLParser):
    """What a browser would look up: ids, links, and anything that it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.loaded: list[str] = []
        self.texts: dict[str, str] = {}  # by section
        self._section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "details":
            self._section = named["id"]
        if tag == "a":
            self.targets.add(named["href"])
        if tag in ("link", "img", "iframe", "object") or "src" in named:
            self.loaded.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts[self._section] = self.texts.get(self._section, "") + data


def test_the_book_has_every_page_and_loads_nothing(made: Pages) -> None:
    """One file: all sections, links between them, no image, script or style from elsewhere."""
    html = _Html()
    html.feed(made["index.html"])
    html.close()

    assert len(html.ids) == len(set(html.ids))
    assert html.loaded == []
    assert "url(" not in made["index.html"]
    assert "@import" not in made["index.html"]
    assert html.targets <= {f"#{i}" for i in html.ids}
    for path in (path for path in made if path.endswith(".md")):
        text = html.texts[path.removesuffix(".md").replace("/", "-")].replace("[", "")
        for row in reader.rows(made[path]):
            for cell in row:
                for piece in re.split(r"<br>|\[|\]\([^)]*\)", re.sub(r"\\([\[\]])", "", cell)):
                    assert reader.plain(piece).replace("[", "") in text, piece


def test_the_picture_is_svg_with_a_sign_for_every_relation(made: Pages) -> None:
    """Well-formed, and as many signs as the files have relations (and the key's four)."""
    root = ET.fromstring(made["matrix.svg"])
    signs = [
        each.text
        for each in root.iter("{http://www.w3.org/2000/svg}text")
        if each.get("class") == "sign"
    ]

    providing = sum(len(schema.get("x-providers", [])) for schema in STREAMS.values())
    receiving = sum(len(each["streams"]) for each in SUBSCRIPTIONS.values())
    assert signs.count("▲") == providing
    assert len(signs) == providing + receiving


def granted_leaves(stream: str, grant: Mapping[str, object]) -> set[str]:
    """The items of the body that a grant's file names, and the flag of protection."""
    fields = grant.get("fields") or []
    assert isinstance(fields, list)
    return {
        path
        for path in reader.leaves(STREAMS[stream])
        if path == "protected" or any(f"{path}.".startswith(f"{field}.") for field in fields)
    }


def texts_of(value: object) -> list[str]:
    """Every text in a value of a file."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts_of(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts_of(each)]
    if value is None:
        return []
    return [str(value)]
