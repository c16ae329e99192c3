"""What the log holds that is sealed, under which key."""

from __future__ import annotations

from bus.app.configured import catalog
from bus.app.keys import seals
from bus.app.outside import broker, registry
from bus.catalog.wire import Reader
from bus.operate.key_usage import Sealed, sealed_in
from bus.settings import Settings


async def sealed(settings: Settings) -> list[Sealed]:
    """What every topic holds that is sealed, by stream and key.

    Raises:
        KeysUnusable, Unavailable: There are no keys, or something does not answer.
    """
    streams, keys, found = catalog(settings), seals(settings), list[Sealed]()
    async with registry(settings) as known, broker(settings) as cluster:
        for stream in streams.streams.values():
            if stream.sealed:
                reader = Reader(stream, streams, known)
                found += await sealed_in(cluster, stream, reader, keys)
    return found
