"""Keys of the site's own: items that leave a process only sealed (封緘), and proofs (証明値).

:mod:`bus.sealing.ring` is what a key is, :mod:`bus.sealing.source` where keys come from and
:mod:`bus.sealing.keys` those that a process has. 個人番号 is encrypted field by field:
:mod:`bus.sealing.texts` is the sealed text and the one home of the library that makes it,
:mod:`bus.sealing.seals` joins them for columns and rows of a stream. What the bus says of its own
work is proved by :mod:`bus.sealing.proofs`.
"""

from bus.sealing.keys import Keys
from bus.sealing.proofs import ProofKind, Proofs
from bus.sealing.ring import Key, KeyRing
from bus.sealing.seals import Seals
from bus.sealing.source import CommandSource, FileSource, KeySource

__all__ = [
    "CommandSource",
    "FileSource",
    "Key",
    "KeyRing",
    "KeySource",
    "Keys",
    "ProofKind",
    "Proofs",
    "Seals",
]
