"""What of a refused change must not lie about, wherever in it a number stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bus.errors import SealBroken, SealKeyUnknown
from bus.sealing import Seals
from connectors.outbox.concealing import Concealer, Content, ContentState
from tests.support.changes import body, change, record
from tests.support.keys import Pocket

NUMBER = "123456789018"  # a 個人番号 with its check digit
IDENT = "019d3f00-0000-7000-8000-000000001001"
CONCEALER = Concealer(Seals(Pocket("k1")), {"individual_number"}, {"individual_number", "resident"})


def resident(**fields: Any) -> dict[str, Any]:
    """A change of one resident."""
    return change(record(body=body("resident", **fields)), change_id=IDENT)


@pytest.mark.parametrize(
    "value",
    [
        change(record("individual_number")),
        change(record("individual_number", body={"number": "12345678901"})),  # one digit lacking
        change(record("individual_number") | {"stream": "individual_numbers"}),
        change(record("individual_number") | {"stream": None}),
        change() | {"records": [7]},
        resident(name__full=NUMBER),
        resident(name__full="１２３４５６７８９０１８"),
        resident(name__full="1234-5678-9018"),
        resident(name__full=f"番号は{NUMBER}です"),
        resident(name__full=int(NUMBER)),
        resident(name__full=[[{"x": NUMBER}]]),
        resident(name__full={NUMBER: 1}),
        change(record(subject_id=NUMBER)),
        change() | {NUMBER: 1},
        change() | {"reason": NUMBER},
        "[" * 100_000,
        "no json",
    ],
)
async def test_whatever_may_hold_a_number_is_sealed_whole(value: Any) -> None:
    """By the stream, by what it reads as, or because nobody can tell; it opens again."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    content = await CONCEALER.content(text, IDENT)

    assert content.kept is ContentState.SEALED
    assert content.sealed is not None
    assert NUMBER not in content.sealed
    assert await CONCEALER.opened(content.sealed, IDENT) == text
    with pytest.raises(SealBroken):
        await CONCEALER.opened(content.sealed, IDENT[:-1] + "2")
    with pytest.raises(SealKeyUnknown):
        await Concealer(Seals(Pocket("k2"))).opened(content.sealed, IDENT)
    assert await Concealer(None, {"individual_number"}, {"resident"}).content(text, IDENT) == (
        Content(ContentState.LACKING)
    )


@pytest.mark.parametrize(
    "value",
    [
        resident(),
        resident(name__full="123456789012"),  # no check digit
        resident(name__full="0312345678"),
        resident(name__full="000000012345674"),
        resident(name__full=1e300),
        {},
        [],
    ],
)
async def test_what_holds_none_stays_as_it_is(value: Any) -> None:
    """Names and 宛名番号 are no more restricted here than in the core system's own tables."""
    assert await CONCEALER.content(json.dumps(value), IDENT) == Content(ContentState.PLAIN)
