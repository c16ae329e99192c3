"""Make English words of identifiers, so that a name is written once.

Fields, streams and event types have English names already, in snake case. Where such a name reads
badly, the property ``x-en`` says it better.
"""

from __future__ import annotations


def english(name: str) -> str:
    """*name* in words, as a sentence begins: ``building_kana`` is ``Building kana``.

    Dots part what holds from what is held: ``address.town_code`` is ``Address: town code``.
    """
    words = ": ".join(part.replace("_", " ") for part in name.split("."))
    return words[:1].upper() + words[1:]


def english_below(group: str, name: str) -> str:
    """The name of an item inside a group, without repeating the group's; whole if no group."""
    return f"{group}: {name[:1].lower()}{name[1:]}" if group else name
