"""Reading reviewed files: lines are right, and every way to be no such file is a fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.catalog.documents import Document, read
from bus.model import Fault


def write(tmp_path: Path, content: bytes, name: str = "v1.avsc") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def only(faults: list[Fault]) -> tuple[str, int | None]:
    assert len(faults) == 1, [str(fault) for fault in faults]
    return faults[0].code, faults[0].line


def test_knows_the_line_of_each_place(tmp_path: Path) -> None:
    """A fault can point at the very line."""
    text = '{\n "a": 1,\n "b": [\n  true,\n  {"c":\n   null}]\n}\n'

    document, faults = read(write(tmp_path, text.encode()), "x")

    assert faults == []
    assert document is not None
    assert document.value == {"a": 1, "b": [True, {"c": None}]}
    assert [document.line(p) for p in ((), ("a",), ("b",), ("b", 0), ("b", 1), ("b", 1, "c"))] == [
        1, 2, 3, 4, 5, 5,
    ]  # fmt: skip
    assert document.line(("b", 1, "nowhere", 7)) == 5


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "syntax", 1),
        (b"\n\n{", "syntax", 3),
        (b'{"a": 1', "syntax", 1),
        (b'{"a" 1}', "syntax", 1),
        (b'{"a": 1,\n\n}', "syntax", 3),
        (b"{'a': 1}", "syntax", 1),
        (b'{"a": tru}', "syntax", 1),
        (b'{"a": NaN}', "syntax", 1),
        (b"1" * 5_000, "syntax", 1),
        (b'{"a": 1}\n{"b": 2}', "syntax", 2),
        (b'{"a": "x', "syntax", 1),
        (b'{\n"a": "\x01"}', "syntax", 2),
        (b"[1 2]", "syntax", 1),
        (b"[" * 100_000, "syntax", 1),
        (b'{"a": 1,\n "a": 2}', "repeated-key", 2),
        (b'\xef\xbb\xbf{"a": 1}', "encoding", 1),
        ('{"a": 1}'.encode("utf-16"), "encoding", 1),
        ('{\n"a": "住民"}'.encode("cp932"), "encoding", 2),
        (b'{"a": \x00}', "syntax", 1),
    ],
)
def test_a_broken_file_is_one_fault_with_its_line(
    tmp_path: Path, content: bytes, code: str, line: int
) -> None:
    """Half a file, another encoding, a byte-order mark, a key twice: each is named."""
    _, faults = read(write(tmp_path, content), "x")

    assert only(faults) == (code, line)


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "syntax", 1),
        (b"a: [1\nb: 2\n", "syntax", 2),
        (b"a: 1\na: 2\n", "repeated-key", 2),
        (b"\xef\xbb\xbfa: 1\n", "encoding", 1),
        (b"a: !!python/object:os.system {}\n", "syntax", 1),
        ("a: 住民\n".encode("cp932"), "encoding", 1),
    ],
)
def test_a_broken_yaml_file_is_one_fault_with_its_line(
    tmp_path: Path, content: bytes, code: str, line: int
) -> None:
    """The same for code lists."""
    _, faults = read(write(tmp_path, content, "sexes.yaml"), "x")

    assert only(faults) == (code, line)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is a fault and no exception."""
    assert read(tmp_path / "none.avsc", "none.avsc")[1][0].code == "unreadable"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=json_values, indent=st.none() | st.integers(0, 3), ascii_only=st.booleans())
def test_reads_json_as_the_standard_reader_does(
    tmp_path_factory: pytest.TempPathFactory, value: object, indent: int | None, ascii_only: bool
) -> None:
    """The scanner that keeps lines reads the same values."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    if not ascii_only and any("\ud800" <= sign <= "\udfff" for sign in text):
        return
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_text(text, encoding="utf-8", newline="")

    document, faults = read(path, "x")

    assert faults == []
    assert isinstance(document, Document)
    assert document.value == value
