"""What YAML may cost, and that what is wrong with it is said without what stood there."""

from __future__ import annotations

from time import process_time

import pytest
import yaml

from bus.yamltext import DEEPEST, MOST_BYTES, load_yaml, what_is_wrong

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 7)
)
REFUSED = [
    ("[" * 5_000, f"at most {DEEPEST} levels"),
    ("{a: " * 5_000, f"at most {DEEPEST} levels"),
    ("- " * 5_000 + "a", f"at most {DEEPEST} levels"),
    ("? " * 5_000, f"at most {DEEPEST} levels"),
    ("\n".join(" " * n + "a:" for n in range(200)), f"at most {DEEPEST} levels"),
    (LAUGHS, "no anchors (&name)"),
    ("a: *b", "no aliases (*name)"),
    ("a: !!python/object:os.system x", "no tags (!name)"),
    ("a: !!int " + ":".join(["1"] * 100_000), "no tags (!name)"),
    ("a: 1\na: 2", "each key once"),
    ("a: {b: 1, b: 2}", "each key once"),
    ("a: 2026-02-30", "values that there are"),
    ("a: " + "x" * MOST_BYTES, f"{MOST_BYTES:,} bytes at most"),
    ("password: [tr0ub4dor", "YAML"),
    ("password: \x00tr0ub4dor", "YAML"),
    ("a: b: tr0ub4dor", "YAML"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_what_is_costly_or_wrong_is_refused_at_once(text: str, expected: str) -> None:
    """291 bytes once took six seconds, five thousand brackets ended in a traceback."""
    began = process_time()

    with pytest.raises(yaml.YAMLError) as refused:
        load_yaml(text)

    said = what_is_wrong(refused.value)
    assert said.endswith(f"expected {expected}")
    assert "tr0ub4dor" not in said
    assert process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 1\nb: [x, {c: true}]", {"a": 1, "b": ["x", {"c": True}]}),
        ("a: '*b'", {"a": "*b"}),
        ("住所: 東京都", {"住所": "東京都"}),
        (":".join(["1"] * 100), ":".join(["1"] * 100)),
        ("9" * 5_000, "9" * 5_000),
    ],
)
def test_what_people_write_is_read(text: str, value: object) -> None:
    """A number longer than any is the text that it is."""
    assert load_yaml(text) == value


def test_as_deep_as_allowed() -> None:
    """The bound is one that is reached."""
    value = load_yaml("[" * DEEPEST + "]" * DEEPEST)

    for _ in range(DEEPEST):
        value = value[0] if value else None
    assert value is None
