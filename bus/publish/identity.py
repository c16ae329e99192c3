"""Ids of changes, and the ids of events that follow from them.

A change id is a UUIDv7 (RFC 9562, 5.7). An event id is not drawn but derived from the change id
and the record's place in the change, so that a change that is sent again, after a crash or by a
second relay, carries the same event ids and can be recognised. It is shaped like a UUIDv7 too:

1. take SHA-256 of the ASCII text ``<change_id>/<index>`` (the id in lower case, the index in
   decimal), and of it the first 16 bytes;
2. put the change id's first 48 bits (its Unix time in milliseconds) over the first 6 bytes;
3. set the version (4 bits) to 7 and the variant (2 bits) to binary 10.

Anybody can therefore name, in ``cancels``, an event whose change id and index they know.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

# The canonical text form, lower case only: ids are compared as text everywhere downstream.
UUID7_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_UUID7 = re.compile(UUID7_PATTERN[:-1] + r"\Z")


def new_change_id(
    at: datetime | None = None, entropy: Callable[[int], bytes] = secrets.token_bytes
) -> str:
    """A fresh change id whose time is *at* (aware; now by default).

    Args:
        entropy: Gives that many random bytes; tests pass a seeded source.
    """
    at = datetime.now(UTC) if at is None else at
    milliseconds = int(at.timestamp() * 1000)
    return _shaped(milliseconds.to_bytes(6, "big") + entropy(10))


def change_id_from(content: bytes, at: datetime, key: bytes) -> str:
    """The id of a change that came without one: the same content always gives the same id.

    Ids are in the ledger: without the key, who has that cannot try out what a change may have said.

    Args:
        content: What was handed in, as it was; another spelling is another change.
        at: The change's processing time (aware), which becomes the id's.
    """
    milliseconds = min(max(int(at.timestamp() * 1000), 0), 2**48 - 1)
    digest = hmac.digest(key, content, "sha256")
    return _shaped(milliseconds.to_bytes(6, "big") + digest[6:16])


def event_id_of(change_id: str, index: int) -> str:
    """The id of the event of record *index* (from 0) of a change; always the same one.

    Raises:
        ValueError: *change_id* is no UUIDv7 in canonical form.
    """
    if not is_uuid7(change_id):
        raise ValueError("a change id must be a UUIDv7 in lower case")
    digest = hashlib.sha256(f"{change_id}/{index}".encode("ascii")).digest()
    return _shaped(bytes.fromhex(change_id[:8] + change_id[9:13]) + digest[6:16])


def is_uuid7(text: str) -> bool:
    """Whether *text* is a UUIDv7 in canonical form: hyphens, lower case, version and variant."""
    return _UUID7.match(text) is not None


def _shaped(sixteen: bytes) -> str:
    """A UUIDv7's text over *sixteen* bytes, with its version and variant bits set."""
    bits = bytearray(sixteen)
    bits[6] = (bits[6] & 0x0F) | 0x70
    bits[8] = (bits[8] & 0x3F) | 0x80
    digits = bits.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
