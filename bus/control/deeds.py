"""What operators did, and whom they looked up (操作記録): recorded before it takes effect.

The stream *deed* is not compacted and is kept as long as receipts are. All of it lies in one
partition, in order. A record is proved by the bus's key; a process without it records nothing, and
so does nothing that is recorded.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from bus.log.internal import InternalTopic
from bus.model.deed import Deed
from bus.sealing import ProofKind, Proofs

KEY = "deed"
"""Of every record: all lie in one partition, in order."""


class Journal:
    """Appends deeds to the stream *deed*."""

    def __init__(self, topic: InternalTopic, proofs: Proofs) -> None:
        self._topic = topic
        self._proofs = proofs

    async def record(self, deed: Deed) -> tuple[int, int]:
        """Append a deed; its partition and offset, once all replicas have it.

        Raises:
            ConfigurationError: The topic does not exist.
            KeysUnusable: There are no keys that prove it, or they cannot be used.
            Unavailable: Broker or registry does not answer.
        """
        proof = await self._proofs.prove(ProofKind.DEED, deed.proved)
        (place,) = await self._topic.append([KEY], [asdict(replace(deed, proof=proof))])
        return place
