"""``docs/architecture.md`` speaks of the code that is there, and links every decision it names."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from bus.failpoints import Point
from bus.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BESIDE = [file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("bus/*/README.md"))]
"""What is longer, beside the code that it explains."""
WHOLE = "\n".join([PAGE, *BESIDE])
MOST_WORDS = 2_250  # ten minutes


def test_every_module_named_is_there() -> None:
    """``bus.publish.tail`` and the like can be found; a last part may be a name inside."""
    named = set(re.findall(r"`((?:bus|connectors)(?:\.[a-zA-Z_]+)+)`", WHOLE))
    assert len(named) > 30

    missing = [
        name
        for name in named
        if importlib.util.find_spec(name.partition(".")[0]) is None or not _is_there(name)
    ]

    assert missing == []


def test_every_file_named_is_there() -> None:
    """Paths within the repository lead somewhere."""
    named = set(re.findall(r"`((?:bus|connectors|schemas|tests|docs)/[\w/.-]*)`", WHOLE))

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_function_of_the_walk_is_there() -> None:
    """``Lane._step`` and the like name a class and a function in one and the same file."""
    texts = [file.read_text(encoding="utf-8") for file in _sources()]
    walk = PAGE.partition("## 7.")[2].partition("## 8.")[0]
    named = set(re.findall(r"`([A-Z][A-Za-z]+)\.([a-z_]+)`", walk))
    assert len(named) > 20

    missing = [
        f"{kind}.{function}"
        for kind, function in named
        if not any(
            re.search(rf"^class {kind}\b", text, re.MULTILINE) and f"def {function}(" in text
            for text in texts
        )
    ]

    assert missing == []


def test_every_value_on_the_way_is_there() -> None:
    """The walk's table names classes, and a function or who else makes each."""
    texts = "\n".join(file.read_text(encoding="utf-8") for file in _sources())
    table = PAGE.partition("because |\n")[2].partition("## 8.")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    values = re.findall(r"`(\w+)`", " ".join(row[1] for row in rows))
    makers = re.findall(r"`(?:\w+\.)?(\w+)`", " ".join(row[2] for row in rows))
    assert len(rows) > 8

    assert [v for v in values if v != "RecordBatch" and f"class {v}" not in texts] == []
    assert [maker for maker in makers if f"def {maker}(" not in texts] == []


def test_it_has_every_crash_point() -> None:
    """The table of section 8 is the code's list."""
    table = PAGE.partition("## 8.")[2].partition("## 9.")[0]

    assert set(re.findall(r"`((?:relay|lane|sink|rebuild)-[a-z]+)`", table)) == {
        p.value for p in Point
    }


def test_it_has_every_setting() -> None:
    """The table of ``docs/settings.md`` is the settings' tree."""
    table = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| ")]

    assert set(re.findall(r"`([a-z_]+)`", "".join(rows))) == set(Settings.model_fields)


def test_it_reads_in_ten_minutes() -> None:
    """What makes it longer goes beside the code."""
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    assert len([word for word in text.split() if re.search(r"\w", word)]) <= MOST_WORDS


@pytest.mark.parametrize("number", sorted({int(n) for n in re.findall(r"\bD(\d+)\b", WHOLE)}))
def test_every_decision_named_is_recorded(number: int) -> None:
    """D9 is a file."""
    assert len(list((ROOT / "docs" / "decisions").glob(f"{number:04d}-*.md"))) == 1


def _is_there(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    above, _, last = name.rpartition(".")
    module = ROOT.joinpath(*above.split(".")).with_suffix(".py")
    return module.is_file() and bool(
        re.search(rf"^(def |class )?{last}\b", module.read_text(encoding="utf-8"), re.MULTILINE)
    )


def _sources() -> list[Path]:
    return [*(ROOT / "bus").rglob("*.py"), *(ROOT / "connectors").rglob("*.py")]
