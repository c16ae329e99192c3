"""Read YAML as people write it: no aliases, no tags, not deep, not large, each key once.

What a file may cost its reader is bounded before it is built: an alias can unfold a few hundred
bytes into seconds of work and gigabytes, and nobody needs one in a settings file.
"""

from __future__ import annotations

from typing import Any

import yaml

MOST_BYTES = 1024 * 1024
DEEPEST = 64
_LONGEST = 64
_OURS = "renkei expects "  # how a sentence of ours begins: PyYAML's quote the file


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses costly documents with a :class:`yaml.YAMLError`."""

    def __init__(self, text: str) -> None:
        if len(text) > MOST_BYTES:
            raise yaml.YAMLError(f"{_OURS}{MOST_BYTES:,} bytes at most")
        super().__init__(text)
        self._depth = 0

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        """Bound the open brackets, which the scanner looks at for each token."""
        self._refuse(self.flow_level >= DEEPEST, f"at most {DEEPEST} levels")
        super().fetch_flow_collection_start(TokenClass)

    def add_indent(self, column: int) -> bool:
        self._refuse(len(self.indents) >= DEEPEST, f"at most {DEEPEST} levels")
        return bool(super().add_indent(column))

    def fetch_alias(self) -> None:
        self._refuse(True, "no aliases (*name)")

    def fetch_anchor(self) -> None:
        self._refuse(True, "no anchors (&name)")

    def fetch_tag(self) -> None:
        self._refuse(True, "no tags (!name)")

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Bound the depth of nesting, with or without brackets."""
        self._depth += 1
        self._refuse(self._depth > 2 * DEEPEST, f"at most {DEEPEST} levels")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        """Read long scalars as text, without testing for numbers (1:1:1:… is one in YAML)."""
        if kind is yaml.ScalarNode and len(value) > _LONGEST and implicit[0]:
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def construct_document(self, node: yaml.Node) -> Any:
        try:
            return super().construct_document(node)
        except (ValueError, AttributeError, OverflowError):  # 2026-02-30
            raise yaml.YAMLError(f"{_OURS}values that there are") from None

    def _refuse(self, is_so: bool, expected: str) -> None:
        if is_so:
            raise yaml.MarkedYAMLError(problem=_OURS + expected, problem_mark=self.get_mark())


class _Once(PlainLoader):
    """The loader that also refuses repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        said = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(said)) < len(said):
            raise yaml.MarkedYAMLError(
                problem=_OURS + "each key once", problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """The values in *text*.

    Raises:
        yaml.YAMLError: It is no YAML, or has an alias, an anchor, a tag, a repeated key, more than
            ``DEEPEST`` levels or ``MOST_BYTES``. Its text may quote the file: see
            :func:`what_is_wrong`.
    """
    loader = _Once(text)
    try:
        return loader.get_single_data()
    except RecursionError:  # another way to nest than those that are counted
        raise yaml.YAMLError(f"{_OURS}at most {DEEPEST} levels") from None
    finally:
        loader.dispose()


def expectation(error: yaml.YAMLError) -> str:
    """What was expected, if the sentence is ours; never what was there."""
    said = str(getattr(error, "problem", None) or (error.args[0] if error.args else ""))
    return said.removeprefix(_OURS) if said.startswith(_OURS) else "YAML"


def what_is_wrong(error: yaml.YAMLError) -> str:
    """The line of *error*, and what was expected; never what was there."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return f"{place}expected {expectation(error)}"
