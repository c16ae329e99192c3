"""Host names: which are this machine, and how a server is written."""

from __future__ import annotations

import ipaddress
import re

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\]")
MOST_PORTS = 65_535


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, judged by its name alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def stays_here(bootstrap: str) -> bool:
    """Whether all servers in ``host:port,…`` are this machine."""
    return all(is_loopback(server.strip().rpartition(":")[0]) for server in bootstrap.split(","))


def is_server(text: str) -> bool:
    """Whether the text is ``host:port``."""
    host, colon, port = text.rpartition(":")
    if not colon or not _HOST.fullmatch(host):
        return False
    return port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= MOST_PORTS
