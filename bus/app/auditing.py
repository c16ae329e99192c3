"""The ledger verified, anchored and pruned."""

from __future__ import annotations

from datetime import UTC, datetime

from bus.access import erasure_key
from bus.app.configured import catalog
from bus.app.keys import proofs
from bus.app.outside import broker, registry
from bus.catalog.wire import Reader
from bus.ledger.anchor import Anchor
from bus.ledger.audit import Audit, Choice, LogSide, Step, Verdict, anchor_of
from bus.ledger.prune import Pruned, prune
from bus.ledger.store import prepare
from bus.settings import Settings


async def verify(
    settings: Settings,
    choice: Choice,
    step: Step,
    *,
    anchor: Anchor | None = None,
    with_log: bool = True,
) -> Verdict:
    """What is wrong with the ledger of these settings.

    Args:
        choice: What of it.
        step: Told how far it is.
        anchor: Heads that must be there.
        with_log: Whether it is held against the log as well.

    Raises:
        KeysUnusable: There are no keys that prove receipts.
        Unavailable: Database, broker or registry does not answer.
    """
    ring = await proofs(settings).ring()
    audit = Audit(settings.need("database"), choice, step, ring)
    if not with_log:
        return await audit.run(None, anchor)
    streams = catalog(settings)
    async with registry(settings) as known, broker(settings) as cluster:
        readers = {n: Reader(stream, streams, known) for n, stream in streams.streams.items()}
        return await audit.run(LogSide(cluster, streams.streams, readers), anchor)


async def anchor(settings: Settings) -> Anchor:
    """Where every chain of the ledger ends now."""
    return await anchor_of(settings.need("database"), datetime.now(UTC))


async def prune_ledger(settings: Settings, *, is_dry: bool) -> Pruned:
    """Take from the ledger what is older than it is to be kept."""
    uri = settings.need("database")
    streams = [s.name for s in catalog(settings).streams.values() if not s.is_internal]
    before = datetime.now(UTC) - settings.provision_retention
    key = None if settings.erasure_key_file is None else erasure_key(settings)
    await prepare(uri, streams)
    return await prune(uri, before, streams, is_dry=is_dry, erasure_key=key)
