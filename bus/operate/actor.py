"""Who acts, by a name that they give and by the account that the kernel knows.

The machine's kernel says whose account gave a command: that is the proof there is, and no variable
of the environment changes it. Who wants it may be said beside it (``--by``): a clerk whose ticket
is being worked on, say. Both are recorded.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import Self

from bus.errors import ConfigurationError

LONGEST_REASON, LONGEST_NAME = 300, 100  # characters, as the schemas say


@dataclass(frozen=True, slots=True)
class Actor:
    """The person who does something or looks somebody up."""

    name: str  # who wants it
    account: str  # whose account of the machine gave the command

    @classmethod
    def of(cls, by: str | None) -> Self:
        """The actor of a command given for *by*; None: for the account itself.

        Raises:
            ConfigurationError: The name is blank, too long, or no single line of text.
        """
        mine = account()
        return cls(mine if by is None else _line("--by", by, LONGEST_NAME), mine)


def account() -> str:
    """The name of the account that this process runs as, by the kernel and the user database."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name[:LONGEST_NAME]
    except KeyError:  # an account without a name
        return f"uid {uid}"


def checked_reason(reason: str) -> str:
    """The reason that an operator gave, if it can be kept.

    Raises:
        ConfigurationError: It is blank, too long, or no single line of text.
    """
    return _line("--reason", reason, LONGEST_REASON)


def _line(option: str, text: str, longest: int) -> str:
    said = text.strip()
    if not said or len(said) > longest or not said.isprintable():
        raise ConfigurationError(f"{option} is one line of 1 to {longest} characters")
    return said
