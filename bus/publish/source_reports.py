"""Report what happens to a source's changes, to the log and to the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import structlog

from bus.connect.source import Refusal
from bus.errors import BusError
from bus.observe.metrics import Metrics

log = structlog.get_logger()


class Report:
    """What a runner tells while it runs; this one says nothing."""

    def leads(self, holder: str | None) -> None:
        """This process now has the right to publish from the source, under that name."""

    def leads_no_more(self) -> None:
        """This process no longer has the right."""

    def waits(self, error: BusError) -> None:
        """Something does not answer; it is asked again, and the right is kept."""

    def interrupted(self, error: BusError) -> None:
        """The source does not answer, or the right was lost; a new term will begin."""

    def abandoned(self) -> None:
        """A batch did not end in time while stopping."""

    def holds(self, changes: int, error: BusError | None) -> None:
        """*changes* are held for what *error* says; 0 and None if none is."""

    def settled(self, published: int, refused: Sequence[Refusal], seconds: float) -> None:
        """*published* changes are in the log and settled, and these were refused."""


class RelayReport(Report):
    """The report of a relay, about a publishing system's source."""

    def __init__(self, system: str, metrics: Metrics) -> None:
        self._system = system
        self._metrics = metrics
        self._log = log.bind(system=system)
        self._held: BusError | None = None

    def leads(self, holder: str | None) -> None:
        self._metrics.relay_leads(self._system, True)
        self._log.info("relay-leads", holder=holder)

    def leads_no_more(self) -> None:
        self._metrics.relay_leads(self._system, False)
        self._metrics.relay_holds(self._system, 0)
        self._held = None  # whoever leads says it

    def waits(self, error: BusError) -> None:
        self._log.warning("relay-waits", code=error.code, reason=error.message)

    def interrupted(self, error: BusError) -> None:
        self._log.warning("relay-interrupted", code=error.code, reason=error.message)

    def abandoned(self) -> None:
        self._log.warning("relay-batch-abandoned")

    def holds(self, changes: int, error: BusError | None) -> None:
        self._metrics.relay_holds(self._system, changes)
        before, self._held = self._held, error if changes else None
        if self._held is not None and before is None:
            self._log.error(
                "changes-held", changes=changes, code=self._held.code, reason=self._held.message
            )
        elif self._held is None and before is not None:
            self._log.info("changes-go-on", code=before.code)

    def ill(self) -> list[str]:
        """Reasons why not all changes are published, for readiness; empty if there are none."""
        return [] if self._held is None else [f"changes wait ({self._held.code})"]

    def settled(self, published: int, refused: Sequence[Refusal], seconds: float) -> None:
        self._metrics.publish_took(seconds)
        self._metrics.relayed(self._system, "sent", published)
        if not refused:
            return
        codes = Counter(code for refusal in refused for code in refusal.codes)
        for code, changes in codes.items():
            self._metrics.refused(code, changes)
        self._metrics.relayed(self._system, "refused", len(refused))
        self._log.warning("changes-refused", changes=len(refused), codes=sorted(codes))
