"""A figure that a page says is the one that the code has."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bus import tls, yamltext
from bus.broker import topics
from bus.hosting import store_watch
from bus.hosting.overdue import overdue_after
from bus.model import protection
from bus.observe import tasks
from bus.publish.runner import RunnerLimits
from bus.publish.source_watch import UNLED_MOST, WARN_BEFORE
from bus.sealing import source as key_source
from bus.settings import Settings
from connectors.postgres import table

ROOT = Path(__file__).parents[2]
SHIPPED = Settings()
DAY = timedelta(days=1)
FIGURES = {
    "SECURITY.md": {
        "64 levels and 1 MiB at most": (yamltext.DEEPEST, yamltext.MOST_BYTES) == (64, 1 << 20),
        "by TLS 1.2 or newer": tls.FLOOR.name == "TLSv1_2",
    },
    "docs/architecture.md": {
        "More than fifty rows go by `BulkWriter.apply`": table.SMALL_ROWS == 50,
        "compacted after 30 days": SHIPPED.compaction_lag == 30 * DAY,
        "are kept for ten years": topics.RECEIPTS_STAY == 3650 * DAY,
    },
    "docs/delivery.md": {
        "for thirty days unless `RENKEI_REFUSED_KEEP` says": SHIPPED.refused_keep == 30 * DAY,
        "(said a week before)": WARN_BEFORE == 7 * DAY,
        "a table that was missing for an hour": SHIPPED.unready_most == timedelta(hours=1),
        "at least every thirty seconds": timedelta(seconds=30) == tasks.MOST,
        "It is looked at every two seconds": store_watch.LOOK_EVERY_S == 2,
        "several within fourteen days": protection.STAY == 14 * DAY,
        "(20 of 30 days; `RENKEI_PARKED_ALARM`)": (
            (overdue_after(SHIPPED), SHIPPED.compaction_lag) == (20 * DAY, 30 * DAY)
        ),
    },
    "docs/howto/connect-a-core-system.md": {
        "`RENKEI_CHANGE_BYTES` (4 MiB)": SHIPPED.change_bytes == 4 << 20,
        "`RENKEI_OUTBOX_KEEP` (seven days)": SHIPPED.outbox_keep == 7 * DAY,
        "`RENKEI_REFUSED_KEEP` (thirty days;": SHIPPED.refused_keep == 30 * DAY,
        "finds rows only every five seconds": RunnerLimits().poll == timedelta(seconds=5),
        "(from 10 on `/readyz` fails": timedelta(seconds=10) == UNLED_MOST,
    },
    "docs/howto/connect-a-receiving-system.md": {
        "`RENKEI_COMPACTION_LAG` (30 days)": SHIPPED.compaction_lag == 30 * DAY,
    },
    "docs/howto/keys-for-individual-numbers.md": {
        "it has five seconds and no shell": timedelta(seconds=5) == key_source.PATIENCE,
        "a command within five minutes": timedelta(minutes=5) == key_source.TRUSTED_FOR,
    },
    "docs/howto/pause-and-resume.md": {
        "kept for ten years (`linkage.operation`)": "operation" in topics.DEEDS,
        "`RENKEI_COMPACTION_LAG` (30 days)": SHIPPED.compaction_lag == 30 * DAY,
    },
    "docs/howto/protect-a-person.md": {
        "or by several within fourteen days": protection.STAY == 14 * DAY,
    },
    "docs/howto/run-in-production.md": {
        "`RENKEI_STOP_WITHIN` (ten seconds)": SHIPPED.stop_within == timedelta(seconds=10),
        "(`RENKEI_SESSION_TIMEOUT`, six seconds)": SHIPPED.session_timeout == timedelta(seconds=6),
    },
    "docs/howto/verify-the-ledger.md": {
        "`RENKEI_PROVISION_RETENTION` lets it be": SHIPPED.provision_retention == 2557 * DAY,
        "RENKEI_PROVISION_RETENTION (seven years)": SHIPPED.provision_retention == 2557 * DAY,
    },
    "docs/errors.md": {
        "`RENKEI_UNREADY_MOST` (an hour)": SHIPPED.unready_most == timedelta(hours=1),
    },
}


@pytest.mark.parametrize("page", FIGURES)
def test_each_figure_is_so(page: str) -> None:
    """Whoever changes one of them changes the other."""
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    for sentence, is_so in FIGURES[page].items():
        assert " ".join(sentence.split()) in text, sentence
        assert is_so, sentence
