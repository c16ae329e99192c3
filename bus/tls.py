"""Which servers TLS connections of this process trust, by one rule for every Python and OpenSSL.

Without a file of authorities those of the machine count, as its administrator has them.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import truststore

FLOOR = ssl.TLSVersion.TLSv1_2
"""The oldest version that is spoken (RFC 8996 ends what is older)."""


def trusting(ca: Path | None) -> ssl.SSLContext:
    """A TLS context that trusts the authorities in the file *ca* only; None: the machine's.

    A host's name is checked.

    Raises:
        OSError, ValueError: The file cannot be used.
    """
    context: ssl.SSLContext
    if ca is None:
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = ssl.create_default_context(cafile=ca)
    if context.minimum_version < FLOOR:  # also where it is "whatever there is", as on Debian
        context.minimum_version = FLOOR
    return context
