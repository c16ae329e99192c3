"""``renkei doctor``, beyond this machine: settings that differ, logs that forget, what is owed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from bus.app.configured import topic_specs
from bus.broker import TopicSpec
from bus.broker.memory import MemoryBroker
from bus.connect import Retraction
from bus.errors import BrokerUnavailable
from bus.ledger.keeper import Owed
from bus.local.checkup import Verdict
from bus.model import PROTECTION
from bus.observe.tasks import Tasks
from bus.operate import examining
from bus.operate.session import Session
from bus.publish.agreement import Agreement, Member
from bus.settings import Settings

AT = datetime(2026, 11, 30, tzinfo=UTC)


class Opened:
    """The part of a session that is needed."""

    def __init__(self, broker: MemoryBroker | None = None, **said: Any) -> None:
        self._broker = broker
        self.settings = Settings(**said)

    async def broker(self) -> MemoryBroker:
        if self._broker is None:
            raise BrokerUnavailable("Kafka does not answer")
        return self._broker


def session(broker: MemoryBroker | None = None, **said: Any) -> Session:
    return cast("Session", Opened(broker, **said))


async def cluster(**changed: Mapping[str, str]) -> MemoryBroker:
    """Every topic as it should be, but for what is *changed* of some streams'."""
    made = MemoryBroker()
    specs = topic_specs(Settings())
    await made.create_topics(
        [
            TopicSpec(s.name, 1, 1, {**s.config, **changed.get(s.name.rpartition(".")[2], {})})
            for s in specs
        ]
    )
    return made


async def test_a_setting_that_differs_is_a_failure() -> None:
    """Between two who publish, or between who publishes and these settings."""
    broker = await cluster()
    (none,) = await examining.publishing(session(broker))
    assert (none.verdict, none.says) == (Verdict.OK, "none")
    hall = Member("hall:7:1795999349", "tax")
    one = Agreement(broker, f"linkage.{PROTECTION}", hall, Tasks())
    async with one:
        (same,) = await examining.publishing(session(broker, intake=("tax",)))
        assert (same.verdict, same.says) == (Verdict.OK, "tax; 1 that publish have the same")
        (other,) = await examining.publishing(session(broker))
    assert other.verdict is Verdict.FAIL
    assert other.says == "here it is none; hall:7 has tax"
    assert "RENKEI_INTAKE" in str(other.mend)


async def test_a_log_that_forgets_too_soon_is_a_failure() -> None:
    """As Kafka has it, whatever the settings say."""
    lag = str(timedelta(days=28) // timedelta(milliseconds=1))
    (well,) = await examining.logs(session(await cluster()))
    (short,) = await examining.logs(
        session(await cluster(household={"min.compaction.lag.ms": lag}))
    )

    assert well.verdict is Verdict.OK
    assert short.verdict is Verdict.FAIL
    assert short.says == "compacted before 29 days: linkage.household after 28 days"
    assert short.mend == "renkei topics apply"


def test_what_is_owed_is_a_warning() -> None:
    """So many by each system; where nobody can say, another finding does."""
    owed = [
        Owed(number, system, "resident", 1, Retraction(everything=True), AT)
        for number, system in enumerate(("school", "tax", "school"))
    ]

    (nothing,) = examining.debts([])
    (finding,) = examining.debts(owed)

    assert (nothing.verdict, nothing.says) == (Verdict.OK, "nothing")
    assert finding.verdict is Verdict.WARN
    assert finding.says == "to be taken out by hand: 2 by school, 1 by tax"
    assert finding.mend == "renkei owed list"
    assert list(examining.debts(None)) == []


async def test_where_nobody_can_be_asked_nothing_is_said() -> None:
    """That Kafka is away is a finding by itself."""
    assert await examining.publishing(session()) == []
    assert await examining.logs(session()) == []
