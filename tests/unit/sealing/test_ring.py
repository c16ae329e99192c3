"""Keys as text: taken whole, or not at all, and never printed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from bus.errors import KeysUnusable
from bus.sealing.ring import Key, KeyRing, is_key_id, new_key

AT = datetime(2026, 11, 24, 5, 6, tzinfo=UTC)
OLD, NEW = Key("old", bytes(range(32)), AT), Key("new", bytes(range(32, 64)), AT)


def test_what_was_written_is_read() -> None:
    """In its order, comments and empty lines passed over; the last is what is sealed with."""
    ring = KeyRing.parse(f"# two keys\n\n{OLD.line}\n{NEW.line}\n")

    assert list(ring.keys.values()) == [OLD, NEW]
    assert ring.current is ring.keys["new"]


def test_the_last_line_may_have_no_end() -> None:
    """An editor may have left it out; a line that is all there is a key."""
    assert KeyRing.parse(f"{OLD.line}\n{NEW.line}").current == NEW


@pytest.mark.parametrize("left", range(1, len(NEW.line.rpartition(" ")[0])))
def test_half_of_a_file_is_refused(left: int) -> None:
    """Wherever the last key breaks off."""
    with pytest.raises(KeysUnusable) as raised:
        KeyRing.parse(f"{OLD.line}\n{NEW.line[:left]}")

    assert raised.value.where["line"] == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        '{"keys": []}',
        f"{OLD.line}\n{OLD.line}",  # twice
        f"{OLD.line}\nother {OLD.line.split()[1]} {AT.isoformat()}",  # one key by two names
        OLD.line.replace("old", "Old"),
        OLD.line.replace("old", "a.b"),
        OLD.line.replace("old", "x" * 33),
        f"short {base64.b64encode(b'x' * 31).decode()} {AT.isoformat()}",
        f"long {base64.b64encode(b'x' * 33).decode()} {AT.isoformat()}",
        f"old {OLD.line.split()[1]} 2026-11-24T05:06:00",  # whose time?
        f"old {OLD.line.split()[1]} yesterday",
        f"{OLD.line} and more",
    ],
)
def test_what_is_no_ring_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(KeysUnusable):
        KeyRing.parse(text)


def test_an_error_holds_nothing_of_a_key() -> None:
    """Not even of a line that is wrong."""
    secret = OLD.line.split()[1]
    for text in (f"old {secret[:-1]} {AT.isoformat()}", f"o.ld {secret} now", f"{secret}"):
        with pytest.raises(KeysUnusable) as raised:
            KeyRing.parse(text)
        error: BaseException | None = raised.value
        while error is not None:
            assert secret[:12] not in f"{error} {error.args}"
            error = error.__cause__ if error.__suppress_context__ else error.__context__


def test_a_key_does_not_print() -> None:
    """Neither does its ring."""
    ring = KeyRing.parse(OLD.line)

    assert repr(OLD.secret) not in repr(ring)
    assert OLD.line.split()[1] not in repr(ring)


def test_new_keys_differ() -> None:
    """In themselves and by name."""
    keys = [new_key(None, AT) for _ in range(50)]

    assert len({key.secret for key in keys}) == 50
    assert all(is_key_id(key.id) and key.id.startswith("2026-11-24-") for key in keys)
    assert all(len(key.secret) == 32 for key in keys)
