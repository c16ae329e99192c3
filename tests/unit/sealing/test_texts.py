"""Sealed texts: opened where they belong, and nowhere else."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import BusError, Reaction, SealBroken, SealKeyUnknown
from bus.sealing.ring import Key, KeyRing, new_key
from bus.sealing.texts import belongings, key_id_of, seal, unseal, unseal_to_the_stop

AT = datetime(2026, 11, 24, tzinfo=UTC)
KEY, OTHER = new_key("2026-11", AT), new_key("2027-01", AT)
NUMBER = "123456789018"
HERE = belongings("individual_number", "number", ["131016/1"], ["event-1"])


def ring(*keys: Key) -> KeyRing:
    """A ring of these."""
    return KeyRing(MappingProxyType({key.id: key for key in keys}))


def sealed(value: str = NUMBER, key: Key = KEY) -> str:
    """One text."""
    (text,) = seal([value], HERE, key)
    assert text is not None
    return text


def stop_of(texts: list[str | None], belong: list[bytes], keys: KeyRing) -> int | None:
    """Which of *texts* does not open."""
    _, stop = unseal_to_the_stop(texts, belong, keys)
    return None if stop is None else stop[0]


@settings(max_examples=50)
@given(st.lists(st.none() | st.text(), max_size=20))
def test_what_is_sealed_opens(values: list[str | None]) -> None:
    """Any text, and nothing where there is nothing; no value can be seen in its text."""
    belong = belongings("s", "p", [f"131016/{n}" for n in range(len(values))], ["e"] * len(values))

    texts = seal(values, belong, KEY)

    assert unseal(texts, belong, ring(OTHER, KEY)) == values
    assert [text is None for text in texts] == [value is None for value in values]
    assert len({text for text in texts if text}) == sum(value is not None for value in values)


def test_the_form_is_what_another_program_expects() -> None:
    """Opened by the cipher itself: key id, nonce, ciphertext and tag, bound to where it belongs."""
    key_id, nonce, rest = sealed().split(".")
    content = base64.urlsafe_b64decode(rest + "=" * (-len(rest) % 4))
    cipher = Cipher(
        algorithms.AES(KEY.secret),
        modes.GCM(base64.urlsafe_b64decode(nonce), content[-16:]),
    ).decryptor()
    cipher.authenticate_additional_data(
        b"renkei-sealed-1\0individual_number\0number\x00131016/1\0event-1"
    )

    assert key_id == "2026-11"
    assert cipher.update(content[:-16]) + cipher.finalize() == NUMBER.encode()


def test_the_same_value_never_looks_the_same() -> None:
    """Nonces are drawn anew, so that equal numbers cannot be seen to be equal."""
    texts = seal([NUMBER] * 1000, HERE * 1000, KEY)

    assert len(set(texts)) == 1000
    assert len({text.split(".")[1] for text in texts if text}) == 1000


@pytest.mark.parametrize(
    "elsewhere",
    [
        ("other", "number", "131016/1", "event-1"),
        ("individual_number", "former", "131016/1", "event-1"),
        ("individual_number", "number", "131016/2", "event-1"),
        ("individual_number", "number", "131024/1", "event-1"),
        ("individual_number", "number", "131016/1", "event-2"),
    ],
)
def test_a_text_that_was_moved_does_not_open(elsewhere: tuple[str, str, str, str]) -> None:
    """To another stream, item, subject, municipality or event."""
    stream, path, key, event = elsewhere

    with pytest.raises(SealBroken):
        unseal([sealed()], belongings(stream, path, [key], [event]), ring(KEY))


@pytest.mark.parametrize("place", range(len(sealed())))
def test_a_text_that_was_altered_does_not_open(place: int) -> None:
    """Whatever character it is; if that makes it another key's, that key is not there."""
    text = sealed()
    other = "A" if text[place] != "A" else "B"
    spoilt = text[:place] + other + text[place + 1 :]
    tail = -len(text.split(".")[2]) % 4  # bits that base64 does not use
    if tail and place == len(text) - 1:
        spoilt = text[:place] + "." + text[place + 1 :]

    with pytest.raises((SealBroken, SealKeyUnknown)):
        unseal([spoilt], HERE, ring(KEY))


@pytest.mark.parametrize(
    "text",
    [
        "",
        NUMBER,
        "2026-11",
        "2026-11..",
        sealed()[:-1],
        sealed()[:30],
        sealed() + "\n",
        " " + sealed(),
        sealed().replace(".", ":"),
        sealed() + "=",
        "2026-11." + "é" * 16 + "." + "A" * 38,
    ],
    ids=range(11),  # a sealed text is another in each process that collects
)
def test_what_is_no_sealed_text_does_not_open(text: str) -> None:
    """Cut off, plain, or with something beside it."""
    with pytest.raises(SealBroken):
        unseal([text], HERE, ring(KEY))


def test_another_key_of_that_name_does_not_open() -> None:
    """And it says which key it was, and which of the texts."""
    imposter = Key(KEY.id, OTHER.secret, AT)

    with pytest.raises(SealBroken) as raised:
        unseal([None, sealed()], HERE * 2, ring(imposter))

    assert raised.value.where == {"key": "2026-11"}
    assert stop_of([None, sealed()], HERE * 2, ring(imposter)) == 1
    assert raised.value.reaction is Reaction.STOP


def test_a_key_that_is_not_there_is_said() -> None:
    """By its id: whoever has it can bring it."""
    with pytest.raises(SealKeyUnknown) as raised:
        unseal([sealed()], HERE, ring(OTHER))

    assert raised.value.where == {"key": "2026-11"}
    assert stop_of([sealed()], HERE, ring(OTHER)) == 0
    assert raised.value.reaction is Reaction.STOP


@pytest.mark.parametrize(
    "text",
    [NUMBER, sealed()[:-3], "2031." + "A" * 16 + "." + "B" * 38],
    ids=["plain", "cut", "of another key"],
)
def test_an_error_holds_nothing_of_the_text(text: str) -> None:
    """Somebody may have published the number itself."""
    with pytest.raises(BusError) as raised:
        unseal([text], HERE, ring(KEY))

    said = f"{raised.value!r} {raised.value} {raised.value.__cause__}"
    assert NUMBER not in said
    assert "BBBB" not in said
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_the_key_of_a_text() -> None:
    """As it names it; what is no sealed text names none."""
    assert key_id_of(sealed(key=OTHER)) == "2027-01"
    assert key_id_of(NUMBER) is None
