"""Report what happens to a source's changes, to the log and to the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic

import structlog

from bus.connect.source import Refusal
from bus.errors import BusError
from bus.observe.metrics import Metrics

WAITS_MOST = timedelta(seconds=10)
"""For how long it may wait for what does not answer until readiness says so."""
log = structlog.get_logger()


class Report:
    """What a runner tells while it runs; this one says nothing."""

    def leads(self, holder: str | None) -> None:
        """This process now has the right to publish from the source, under that name."""

    def leads_no_more(self) -> None:
        """This process no longer has the right."""

    def waits(self, error: BusError) -> None:
        """Something does not answer; it is asked again, and the right is kept."""

    def goes_on(self) -> None:
        """Nothing is waited for any more; called often."""

    def interrupted(self, error: BusError) -> None:
        """The source does not answer, or the right was lost; a new term will begin."""

    def abandoned(self) -> None:
        """A batch did not end in time while stopping."""

    def holds(self, changes: int, error: BusError | None) -> None:
        """*changes* are held for what *error* says; 0 and None if none is."""

    def settled(self, published: int, refused: Sequence[Refusal], seconds: float) -> None:
        """*published* changes are in the log and settled, and these were refused."""


class RelayReport(Report):
    """The report of a relay, about a publishing system's source.

    Args:
        clock: Seconds that only run forward.
    """

    def __init__(
        self, system: str, metrics: Metrics, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._system = system
        self._metrics = metrics
        self._log = log.bind(system=system)
        self._clock = clock
        self._held: BusError | None = None
        self._waiting: BusError | None = None
        self._waits_since = 0.0

    def leads(self, holder: str | None) -> None:
        self._metrics.relay_leads(self._system, True)
        self._log.info("relay-leads", holder=holder)

    def leads_no_more(self) -> None:
        self._metrics.relay_leads(self._system, False)
        self._metrics.relay_holds(self._system, 0)
        self._held = self._waiting = None  # whoever leads says it

    def waits(self, error: BusError) -> None:
        if self._waiting is None:
            self._waits_since = self._clock()
        self._waiting = error
        self._log.warning("relay-waits", code=error.code, reason=error.message)

    def goes_on(self) -> None:
        self._waiting = None

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
        reasons = [] if self._held is None else [f"changes wait ({self._held.code})"]
        if self._waiting is not None:
            seconds = self._clock() - self._waits_since
            if seconds >= WAITS_MOST.total_seconds():
                reasons.append(f"nothing is sent for {seconds:.0f} s ({self._waiting.code})")
        return reasons

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
