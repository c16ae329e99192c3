"""The glossary has each word once, every stream, and the words that are not to come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from bus.catalog import load
from tests.architecture.source import tree_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "glossary.md"
RECORDS = (PAGE, *(ROOT / "docs" / "decisions").glob("0*.md"))
"""Pages that may say what something was called."""


def test_every_stream_is_in_the_glossary() -> None:
    """One word per idea, in both languages; no stream that is none."""
    _, _, streams = _text().partition("## Streams")
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\S+) \|", streams, re.M)

    assert sorted(rows) == sorted(
        (stream.name, stream.ja) for stream in load().streams.values() if not stream.is_internal
    )


def test_each_word_is_defined_once() -> None:
    """What a word means stands in one place."""
    words, _, _ = _text().partition("## ")
    found = re.findall(r"^\| ([^|`]+) \|", words, re.M)

    assert len(found) > 80
    assert sorted({word for word in found if found.count(word) > 1}) == []


def test_no_two_words_are_one_in_japanese() -> None:
    words, _, _ = _text().partition("## ")
    found = re.findall(r"^\| [^|`]+ \| ([^|]+) \|", words, re.M)[2:]

    assert len(found) > 80
    assert sorted({word for word in found if found.count(word) > 1}) == []


def test_no_name_that_went_is_given_again() -> None:
    """To a class, a function, a constant or a module."""
    names, modules, _ = _gone()

    again = [f"{file}: {name}" for file, name in _defined() if name in names]

    assert len(names) > 20
    assert again == []
    assert [m for m in modules if (ROOT / f"{m.replace('.', '/')}.py").exists()] == []


def test_no_text_has_a_word_that_went() -> None:
    """Neither the code nor a page of the documents, but those that say what took its place."""
    _, modules, phrases = _gone()
    gone = re.compile(rf"\b({'|'.join(map(re.escape, [*modules, *phrases]))})s?\b", re.I)
    files = [*ROOT.glob("bus/**/*.py"), *ROOT.glob("connectors/**/*.py"), *ROOT.glob("*.md")]
    files += [*ROOT.glob("bus/**/*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "pyproject.toml"]

    found = [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in files
        if file not in RECORDS and file.name != "CHANGELOG.md"
        for match in gone.finditer(file.read_text(encoding="utf-8"))
    ]

    assert modules
    assert phrases
    assert found == []


def test_no_page_names_code_that_went() -> None:
    """In code's letters; a record may say what something was called."""
    names, _, _ = _gone()
    said = re.compile(rf"`(?:\w+\.)*(?:{'|'.join(map(re.escape, names))})(?:\.\w+)*(?:\(\))?`")
    pages = [*ROOT.glob("*.md"), *ROOT.glob("bus/**/*.md"), *ROOT.glob("connectors/**/*.md")]
    pages += [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/howto/*.md")]

    found = [
        f"{page.relative_to(ROOT)}: {match[0]}"
        for page in pages
        if page not in RECORDS and page.name != "CHANGELOG.md"
        for match in said.finditer(page.read_text(encoding="utf-8"))
    ]

    assert len(pages) > 25
    assert found == []


def _text() -> str:
    return PAGE.read_text(encoding="utf-8")


def _gone() -> tuple[set[str], set[str], set[str]]:
    """Names, modules and words that went."""
    _, _, behind = _text().partition("## Words that went")
    cells = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", behind.partition("\n## ")[0], re.M)[2:]
    said = [word.strip() for cell in cells for word in cell.split(",")]
    marked = {word.strip("`") for word in said if word.startswith("`")}
    modules = {word for word in marked if "." in word}
    return marked - modules, modules, {word for word in said if not word.startswith("`")}


def _defined() -> Iterator[tuple[str, str]]:
    """Each file with each name that it gives."""
    for folder in ("bus", "connectors"):
        for file in (ROOT / folder).rglob("*.py"):
            shown = str(file.relative_to(ROOT))
            tree = tree_of(file)
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield shown, node.name
            for node in tree.body:
                if isinstance(node, ast.Assign):
                    yield from ((shown, t.id) for t in node.targets if isinstance(t, ast.Name))
