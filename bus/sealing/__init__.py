"""Items that leave a process only sealed (封緘): 個人番号, encrypted field by field.

:mod:`bus.sealing.ring` is what a key is, :mod:`bus.sealing.source` where keys come from,
:mod:`bus.sealing.texts` the sealed text and the one home of the library that makes it, and
:mod:`bus.sealing.seals` joins the three for columns and rows of a stream.
"""

from bus.sealing.ring import Key, KeyRing
from bus.sealing.seals import Seals
from bus.sealing.source import CommandSource, FileSource, KeySource

__all__ = ["CommandSource", "FileSource", "Key", "KeyRing", "KeySource", "Seals"]
