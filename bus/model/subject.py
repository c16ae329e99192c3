"""How whom something is about is shown, and how that is told without saying who.

A subject is named by a key, ``<municipality_code>/<subject_id>``, in Kafka and in every index. What
stands in a key's place and is none (anybody may write to a topic or an outbox) may be anything:
only a digest of it is shown, by which it is found again. Numbers are too few for a bare digest;
where the number itself is not to be told, it is digested under a key.
"""

from __future__ import annotations

import hashlib
import hmac
import re

KEY = re.compile(r"[0-9]{6}/\S{1,64}")
"""A subject's key, whatever a site's numbers look like."""
NARROW_KEY = re.compile(r"[0-9]{6}/[!-~]{1,15}")
"""A key among what nobody has checked: no text that could be a name or an address."""
DIGEST = re.compile(r"sha256:[0-9a-f]{32}")


def shown(said: bytes, form: re.Pattern[str] = KEY) -> str:
    """*said* as it is if it is a key of that *form*, and otherwise a digest of it."""
    text = said.decode("utf-8", "replace")
    if form.fullmatch(text):
        return text
    return "sha256:" + hashlib.sha256(said).hexdigest()[:32]


def is_digest(subject: str) -> bool:
    """Whether *subject* is shown in the place of something that is no key."""
    return DIGEST.fullmatch(subject) is not None


def subject_digest(key: bytes, municipality_code: str, subject_id: str) -> str:
    """HMAC-SHA-256 in hex of a person: whoever has the key can ask about a number in hand."""
    said = f"renkei/erasure/{municipality_code}/{subject_id}".encode()
    return hmac.new(key, said, hashlib.sha256).hexdigest()
