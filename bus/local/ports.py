"""Choose the engines' ports once for a data folder, and keep them."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace

from bus.errors import EngineError
from bus.local.engine import is_free
from bus.local.folder import Folder, read_json

LOWEST, HIGHEST = 15_000, 29_999
"""Below the range that systems hand out to outgoing connections, so a port stays ours."""
TRIES = 1_000


@dataclass(frozen=True, slots=True)
class Ports:
    """The port of each listener."""

    kafka: int
    controller: int
    postgres: int
    registry: int


NONE = Ports(0, 0, 0, 0)
"""For looking at engines that are not going to be started."""


def kept(folder: Folder) -> Ports | None:
    """The ports of this data folder; None if none were chosen yet."""
    note = read_json(folder.run / "ports.json")
    if note is None or set(note) != {item.name for item in fields(Ports)}:
        return None
    return Ports(**note)


def choose(folder: Folder, chosen: Mapping[str, int]) -> Ports:
    """The ports to use: *chosen*, else those kept, else free ones; keeps them.

    Raises:
        EngineError: No free port can be found.
    """
    ports = kept(folder)
    if ports is None:
        taken = set(chosen.values())
        drawn = {}
        for item in fields(Ports):
            drawn[item.name] = free_port(taken)
            taken.add(drawn[item.name])
        ports = Ports(**drawn)
    ports = replace(ports, **chosen)
    if len(set(asdict(ports).values())) < len(fields(Ports)):
        raise EngineError("two engines cannot have the same port", **asdict(ports))
    (folder.run / "ports.json").write_text(json.dumps(asdict(ports)) + "\n", encoding="utf-8")
    return ports


def free_port(taken: Collection[int] = ()) -> int:
    """A free port outside the range of outgoing connections, none of *taken*."""
    for _ in range(TRIES):
        port = random.randint(LOWEST, HIGHEST)
        if port not in taken and is_free(port):
            return port
    raise EngineError("no free port was found", lowest=LOWEST, highest=HIGHEST)
