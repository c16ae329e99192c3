"""Proofs (証明値): keyed digests by which the bus recognises its own records.

A proof is an HMAC-SHA-256 over a statement, by a key that only the bus's own processes have. It is
written ``<key id>:<64 hex digits>``. Each kind of statement has a key of its own, derived from the
site's, so that what proves one thing proves no other. Old keys go on proving what they proved.

A digest of events is keyed in the same way: whoever has the ledger and no key cannot try out
what an event may have said.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import structlog

from bus.errors import BusError
from bus.sealing.keys import Keys
from bus.sealing.ring import ID, Key, KeyRing

_log = structlog.get_logger("renkei.sealing")
_PROOF = re.compile(rf"({ID}):([0-9a-f]{{64}})")
_DIGEST = re.compile(rf"hmac-sha256:({ID}):([0-9a-f]{{64}})")


class ProofKind(StrEnum):
    """The kinds of statement that are proved; each has a key of its own."""

    POSITION = "position"  # where a lane stands, in its system's own store
    RECEIPT = "receipt"  # a receipt, in its log
    CUSTODY = "custody"  # what was taken from the ledger, or where it ended
    DEED = "deed"  # what an operator did or looked up
    DIGEST = "digest"  # the events that were delivered
    CHANGE = "change"  # the id of a change that came without one


class Proofs(Keys):
    """Makes and checks proofs; one per process."""

    settings = ("receipt_keys_file", "receipt_keys_command")

    def _say_unread(self, error: BusError) -> None:
        _log.error("receipt-keys-not-reread", code=error.code, reason=error.message)

    async def prove(self, kind: ProofKind, said: Sequence[str | int | None]) -> str:
        """The proof of *said*, by the newest key.

        Raises:
            KeysUnusable, KeysUnavailable: There are no keys yet.
        """
        return prove((await self.ring()).current, kind, said)

    async def key_of_ids(self) -> bytes:
        """The key of ids for changes that came without one: of the oldest key, so that new keys
        change no id.

        Raises:
            KeysUnusable, KeysUnavailable: There are no keys yet.
        """
        ring = await self.ring()
        return key_for(next(iter(ring.keys.values())), ProofKind.CHANGE)

    async def are_of(self, proof: str | None, kind: ProofKind, said: Sequence[Any]) -> bool | None:
        """Whether *proof* is one of *said*; None if its key is not known here.

        Raises:
            KeysUnusable, KeysUnavailable: There are no keys yet.
        """
        name = key_of(proof)
        if name is None:
            return None if proof is None else False
        return proves(await self._with(name), proof, kind, said)

    async def _with(self, name: str) -> KeyRing:
        """The keys, read again if *name* is not among them; without it if no source has it."""
        try:
            return await self.ring((name,))
        except BusError:
            return await self.ring()


def prove(key: Key, kind: ProofKind, said: Sequence[str | int | None]) -> str:
    """The proof of *said*, a list of texts and numbers, by *key*."""
    text = json.dumps(list(said), ensure_ascii=False, separators=(",", ":"))
    return f"{key.id}:{hmac.digest(key_for(key, kind), text.encode(), 'sha256').hex()}"


def proves(ring: KeyRing, proof: str | None, kind: ProofKind, said: Sequence[Any]) -> bool | None:
    """As :meth:`Proofs.are_of`, by the keys of *ring*."""
    name = key_of(proof)
    if proof is None or name is None:
        return None if proof is None else False
    key = ring.keys.get(name)
    return None if key is None else hmac.compare_digest(prove(key, kind, said), proof)


def key_of(proof: str | None) -> str | None:
    """The id of the key in a proof; None if the text is no proof."""
    found = None if proof is None else _PROOF.fullmatch(proof)
    return None if found is None else found[1]


def digest(key: Key, values: Sequence[bytes]) -> str:
    """The keyed digest over the bytes of events, one after the other."""
    return written(key.id, hmac.digest(key_for(key, ProofKind.DIGEST), b"".join(values), "sha256"))


def written(key_id: str, made: bytes) -> str:
    """A keyed digest in the form of a receipt."""
    return f"hmac-sha256:{key_id}:{made.hex()}"


def digest_key_of(said: str) -> str | None:
    """The id of the key in a receipt's digest; None if it was made without one."""
    found = _DIGEST.fullmatch(said)
    return None if found is None else found[1]


class Hashing:
    """Makes a receipt's digest again, piece by piece, by the same key.

    Args:
        said: The digest as the receipt has it; without a key in it, it is plain SHA-256, as
            receipts had it at first.
        ring: The keys that are known.
    """

    def __init__(self, said: str, ring: KeyRing | None) -> None:
        self._said = said
        name = digest_key_of(said)
        key = None if name is None or ring is None else ring.keys.get(name)
        self.is_known = name is None or key is not None
        """Whether it can be made: its key is there."""
        self._made: Any = (
            hashlib.sha256()
            if key is None
            else hmac.new(key_for(key, ProofKind.DIGEST), digestmod="sha256")
        )
        self._name = name

    def update(self, piece: bytes) -> None:
        """Add these bytes."""
        self._made.update(piece)

    @property
    def agrees(self) -> bool:
        """Whether the bytes so far have the receipt's digest."""
        made: bytes = self._made.digest()
        return self._said == (made.hex() if self._name is None else written(self._name, made))


def key_for(key: Key, kind: ProofKind) -> bytes:
    """The key for one kind of statement, derived from *key*."""
    return hmac.digest(key.secret, f"renkei {kind.value}".encode(), "sha256")
