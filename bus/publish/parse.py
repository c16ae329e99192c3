"""Read one change from a JSON text, or find every reason why it is none.

Stricter than JSON parsers are by themselves: a key that comes twice, NaN and Infinity, half a
character and a number in quotes are faults, because each would be read differently by somebody
else. A fault names fields and what was expected, never what was there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bus.model import Change, Fault

_NAME = re.compile(r"(?!.*[0-9]{4})[a-z][a-z0-9_]{0,62}\Z")  # no digits enough for a number
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_ITEMS: Mapping[str, str] = {
    "change_id": "異動ID",
    "change_size": "異動内件数",
    "municipality_code": "市区町村コード",
    "source": "発生元システム",
    "reason": "異動事由",
    "notified_on": "届出日",
    "processed_at": "処理日時",
    "records": "記録",
    "stream": "ストリーム",
    "event_type": "イベント種別",
    "nature": "異動区分",
    "subject_id": "対象番号",
    "version": "履歴番号",
    "effective_date": "異動日",
    "cancels": "取消対象イベントID",
    "body": "内容",
}


class _Refused(ValueError):
    """Something that the JSON parser would accept and a change may not have; holds the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


def parse(data: bytes, *, is_whole: bool = True) -> Change | list[Fault]:
    """The change in *data*, or its faults.

    Args:
        data: One JSON value in UTF-8.
        is_whole: Whether the text ended where it should: one that was cut off is called that.
    """
    if data.startswith(_BOMS):
        return [Fault(code="byte-order-mark", expected="UTF-8 without a byte-order mark")]
    if b"\x00" in data:
        return [Fault(code="nul", expected="text without NUL")]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return [Fault(code="encoding", expected="UTF-8")]
    try:
        _read(text)
    except _Refused as error:
        return [error.fault]
    except RecursionError:
        return [Fault(code="nesting", expected="JSON that is not nested that deeply")]
    except ValueError:  # no JSON, or a number with thousands of digits
        if not is_whole:
            return [Fault(code="half-line", expected="a whole line; the file may be cut off")]
        return [Fault(code="not-json", expected="one JSON object")]
    try:
        return Change.model_validate_json(text, strict=True)
    except ValidationError as error:
        return shape_faults(error)


def shape_faults(error: ValidationError) -> list[Fault]:
    """The model's faults of a change, in this package's words and without any value."""
    found = error.errors(include_input=False, include_url=False)
    # where no record could be read, the model adds that there are too few of them
    is_echo = len({place["loc"][:2] for place in found if place["loc"][:1] == ("records",)}) > 1
    return [_fault(place) for place in found if not (is_echo and place["type"] == "too_short")]


def _read(text: str) -> Any:
    """The JSON value, or faults that the model would not find."""
    value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    if not isinstance(value, dict):
        raise _Refused(Fault(code="not-json", expected="one JSON object"))
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            field = shown(name)
            item = _ITEMS.get(field)
            raise _Refused(
                Fault(code="repeated-key", expected="each key once", field=field, item=item)
            )
        found[name] = value
    return found


def _no_constant(_name: str) -> Any:
    raise _Refused(Fault(code="not-json", expected="no NaN and no Infinity: JSON has neither"))


def _fault(found: Any) -> Fault:
    """One fault of the model, in this package's words."""
    kind, place = found["type"], list(found["loc"])
    if kind == "json_invalid" and "recursion limit" in found["msg"]:
        return Fault(code="nesting", expected="JSON that is not nested that deeply")
    if kind == "json_invalid":  # it parsed before: half a character is what is left
        return Fault(code="encoding", expected="whole characters; a surrogate stands alone")
    record = None
    if len(place) >= 2 and place[0] == "records" and isinstance(place[1], int):
        record = place[1]
        place = place[2:]
    names = [shown(part) if isinstance(part, str) else str(part) for part in place]
    code, expected = "type", found["msg"].removeprefix("Input should be ")
    if kind == "missing" or (kind == "too_short" and place == ["records"]):
        code, expected = "missing", "a value"
    elif kind == "extra_forbidden":
        code, expected = "unknown-field", "only the fields of a change"
    return Fault(
        code=code,
        expected=expected[:1].lower() + expected[1:],
        record=record,
        field=".".join(names) or None,
        item=_ITEMS.get(names[0]) if names else None,
    )


def shown(name: str) -> str:
    """A field's name if it looks like one; any other text may be data and is not shown."""
    return name if _NAME.match(name) else "…"
