"""Make and open sealed texts: AES-256-GCM. The only importer of ``cryptography``.

``<key id>.<nonce>.<ciphertext and tag>``, the last two in base64url without padding. What a text
belongs to is authenticated with it (:func:`belongings`): stream, item, subject and event. Moved to
another record, another item or another stream, it does not open.

Nonces are drawn, 96 bits each. That is safe for 2^32 texts of one key (NIST SP 800-38D, 8.3): the
numbers of a million people could be sealed four thousand times over. Rotation is for when a key
may have been seen, or for a rule that says how old one may be.
"""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bus.errors import LaneError, SealBroken, SealKeyUnknown
from bus.sealing.ring import ID, Key, KeyRing

NONCE_BYTES = 12
_TEXT = re.compile(rf"({ID})\.([A-Za-z0-9_-]{{16}})\.([A-Za-z0-9_-]{{22,}})")
_FORM = "renkei-sealed-1"


def belongings(
    stream: str, path: str, keys: Sequence[str], event_ids: Sequence[str]
) -> list[bytes]:
    """The additional data that bind the sealed texts of an item to their records.

    Args:
        keys: As in Kafka, ``<municipality_code>/<subject_id>``.

    None of the parts holds a NUL (the checks of publishing see to it), so that no two lists of
    parts make the same bytes.
    """
    prefix = f"{_FORM}\0{stream}\0{path}\0"
    return [f"{prefix}{key}\0{event}".encode() for key, event in zip(keys, event_ids, strict=True)]


def seal(values: Sequence[str | None], belong: Sequence[bytes], key: Key) -> list[str | None]:
    """Each value sealed with *key* and bound to its record; null stays null."""
    encrypt, random = AESGCM(key.secret).encrypt, os.urandom
    return [
        None
        if value is None
        else _written(key.id, nonce := random(NONCE_BYTES), encrypt(nonce, value.encode(), whose))
        for value, whose in zip(values, belong, strict=True)
    ]


def unseal(texts: Sequence[str | None], belong: Sequence[bytes], ring: KeyRing) -> list[str | None]:
    """The values that :func:`seal` was given.

    Raises:
        SealKeyUnknown: A text names a key that the ring has not. Which text it is
            :func:`unseal_to_the_stop` says.
        SealBroken: A text is none, was altered or moved, or the key is another one of that name.
    """
    values, stop = unseal_to_the_stop(texts, belong, ring)
    if stop is not None:
        raise stop[1]
    return values


def unseal_to_the_stop(
    texts: Sequence[str | None], belong: Sequence[bytes], ring: KeyRing
) -> tuple[list[str | None], tuple[int, LaneError] | None]:
    """As :func:`unseal`, up to the first text that cannot be opened; its index, and why."""
    known = {key_id: AESGCM(key.secret).decrypt for key_id, key in ring.keys.items()}
    values: list[str | None] = []
    for index, (text, whose) in enumerate(zip(texts, belong, strict=True)):
        if text is None:
            values.append(None)
            continue
        match = _TEXT.fullmatch(text)
        if match is None:
            return values, (index, SealBroken("this is no sealed text"))
        decrypt = known.get(match[1])
        if decrypt is None:
            missing = SealKeyUnknown("the key of a sealed text is not there", key=match[1])
            return values, (index, missing)
        try:
            values.append(decrypt(_bytes(match[2]), _bytes(match[3]), whose).decode())
        except (InvalidTag, ValueError):  # the latter: no base64, or no UTF-8
            broken = SealBroken(
                "a sealed text does not open: altered, moved, or another key of that name",
                key=match[1],
            )
            return values, (index, broken)
    return values, None


def key_id_of(text: str) -> str | None:
    """The id of the key in a sealed text; None if it is no sealed text."""
    match = _TEXT.fullmatch(text)
    return match[1] if match is not None else None


def _written(key_id: str, nonce: bytes, sealed: bytes) -> str:
    return f"{key_id}.{_text(nonce)}.{_text(sealed)}"


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
