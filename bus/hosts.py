"""Hosts by name: which are this machine, and how a server is written."""

from __future__ import annotations

import ipaddress
import re

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\]")
MOST_PORTS = 65_535


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def stays_here(bootstrap: str) -> bool:
    """Whether all of ``host:port,…`` are this machine."""
    return all(is_loopback(server.strip().rpartition(":")[0]) for server in bootstrap.split(","))


def is_server(text: str) -> bool:
    """Whether this is a ``host:port`` and nothing more."""
    host, colon, port = text.rpartition(":")
    if not colon or not _HOST.fullmatch(host):
        return False
    return port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= MOST_PORTS
