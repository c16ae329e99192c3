"""What is old goes from the ledger, and what is left can still be proved and asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from bus.ledger import Ledger
from bus.ledger import prune as pruning
from bus.ledger.audit import Audit, AuditResult, AuditScope, anchor_of
from bus.ledger.custody import PruneMarks
from bus.ledger.provision_queries import Period, ProvisionQueries
from bus.ledger.prune import Pruned
from bus.ledger.store import connected, prepare
from bus.ledger.subjects import PersonsStreams
from bus.model.subject import subject_digest
from bus.sealing import KeyRing
from tests.support import ledgers
from tests.support.keys import key
from tests.support.ledgers import BEGAN, MUNICIPALITY, Chain

pytestmark = pytest.mark.service
STREAMS = ["household", "resident"]
RING = KeyRing.parse(key("town").line)
YEARS = timedelta(days=365)
OLD, CUT, YOUNG = BEGAN, BEGAN + 4 * YEARS, BEGAN + 5 * YEARS


def do(uri: str, statement: str, about: Any = None) -> list[Any]:
    with psycopg.connect(uri, autocommit=True) as connection:
        cursor = connection.execute(statement, about)
        return cursor.fetchall() if cursor.description else []


async def prune(uri: str, before: datetime, streams: list[str], **more: Any) -> Pruned:
    """As the command has it done, with nobody who records it."""

    async def insist(left: PruneMarks) -> None:
        del left

    async def record(done: Pruned, left: PruneMarks) -> None:
        del done, left

    return await pruning.prune(
        connected(uri), before, streams, insist=insist, record=record, **more
    )


async def alone(uri: str) -> AuditResult:
    taken_before = YOUNG + 20 * YEARS
    return await Audit(connected(uri), AuditScope(), lambda _: None, RING, taken_before, UTC).run(
        None
    )


@pytest.fixture
async def filled(database: str) -> str:
    """A lane that goes on, one that stood still since, one that is rebuilt; an event each day."""
    await prepare(connected(database), STREAMS)
    log: list[dict[str, Any]] = []
    goes_on = Chain("school", "resident", 0, log, at=OLD)
    stands = Chain("welfare", "household", 0, log, at=OLD)
    for offset in range(5):
        goes_on.give([offset], offset + 1)
        stands.give([offset], offset + 1)
    goes_on.at = YOUNG
    for offset in range(5, 8):
        goes_on.give([offset], offset + 1)
    stands.repeat()  # the lane opened again: its last receipt, with its old time
    events = {
        s: [ledgers.event(s, 0, o, "1", o) for o in range(8)] for s in ("resident", "household")
    }
    ledgers.fill_events(database, events)
    do(database, "UPDATE ledger.event_resident SET renkei_applied_at = %s", (OLD,))
    do(database, "UPDATE ledger.event_household SET renkei_applied_at = %s", (OLD,))
    ledgers.insert(database, "event_receipt", log)
    return database


async def test_what_is_left_can_still_be_verified(filled: str) -> None:
    """Chains go on from what was taken; the lane that stands still may go on one day."""
    assert (await alone(filled)).is_good

    done = await prune(filled, CUT, STREAMS, is_dry=False)
    verdict = await alone(filled)

    assert done.receipts == 10
    assert verdict.is_good, verdict.findings
    assert verdict.pruned_before == CUT
    assert verdict.receipts == 4
    heads = do(filled, 'SELECT system, "end" FROM ledger.pruned_head ORDER BY 1, 2')
    assert heads == [("school", 5), ("welfare", 4), ("welfare", 5)]  # the repeat follows 4


async def test_a_lane_goes_on_after_all_of_it_was_taken(filled: str) -> None:
    """Its next receipt follows one that only the mark remembers."""
    last = do(filled, "SELECT chain FROM ledger.event_receipt WHERE system = 'welfare'"
              " ORDER BY log_offset DESC LIMIT 1")[0][0]  # fmt: skip
    await prune(filled, YOUNG + YEARS, STREAMS, is_dry=False)
    log: list[dict[str, Any]] = [{}] * 100
    chain = Chain("welfare", "household", 0, log, position=5, chain=last, at=YOUNG + 2 * YEARS)
    chain.give([5], 6)
    ledgers.insert(filled, "event_receipt", chain.rows)

    verdict = await alone(filled)
    await prune(filled, YOUNG + 9 * YEARS, STREAMS, is_dry=False)

    assert verdict.is_good, verdict.findings
    assert verdict.receipts == 1
    heads = do(filled, "SELECT \"end\" FROM ledger.pruned_head WHERE system = 'welfare'")
    assert heads == [(6,)]  # and not the one that it followed


async def test_an_event_stays_as_long_as_a_receipt_of_it(filled: str) -> None:
    """A rebuild gave it again: that provision is young."""
    log: list[dict[str, Any]] = [{}] * 100
    rebuilt = Chain("pension", "resident", 0, log, at=YOUNG)
    rebuilt.give([2, 3, 4], 8)
    ledgers.insert(filled, "event_receipt", rebuilt.rows)

    do(filled, "DELETE FROM ledger.event_household WHERE log_offset > 4")  # 4 is the newest
    done = await prune(filled, CUT, STREAMS, is_dry=False)
    ledger = Ledger(filled)
    persons = PersonsStreams(("resident",), (), ())
    answer = await ProvisionQueries(ledger).of_subject(MUNICIPALITY, "1", persons, Period())
    await ledger.close()

    assert done.events == {
        "household": 4,
        "resident": 2,
    }  # of the repeated receipt, and the newest, one stays
    assert {(p.system, p.offset) for p in answer.provisions} == {
        *(("pension", offset) for offset in (2, 3, 4)),
        *(("school", offset) for offset in (5, 6, 7)),
    }


async def test_a_subjects_newest_event_may_be_given_again(filled: str) -> None:
    """No receipt of it is left, but a rebuild would give it: it must be known then."""
    do(filled, "DELETE FROM ledger.event_receipt")
    await prune(filled, CUT, STREAMS, is_dry=False)
    left = do(filled, "SELECT log_offset FROM ledger.event_resident")
    log: list[dict[str, Any]] = [{}] * 100
    rebuilt = Chain("pension", "resident", 0, log, at=YOUNG + YEARS)
    rebuilt.give([7], 8)
    ledgers.insert(filled, "event_receipt", rebuilt.rows)
    ledger = Ledger(filled)
    persons = PersonsStreams(("resident",), (), ())
    answer = await ProvisionQueries(ledger).of_subject(MUNICIPALITY, "1", persons, Period())
    await ledger.close()

    assert left == [(7,)]
    assert [p.system for p in answer.provisions] == ["pension"]


async def test_an_erased_subjects_number_goes_when_it_may(filled: str) -> None:
    """With the key it is known which subjects were erased; what came after an erasure stays."""
    key = b"k" * 32
    do(filled, "DELETE FROM ledger.event_receipt")
    do(filled, "INSERT INTO ledger.event_resident SELECT r.municipality_code, '2-2025', r.version,"
       " r.event_id, r.event_type, r.nature, r.change_id, r.change_size, r.change_index,"
       " r.processed_at, r.source, r.cancels, 0, 50, r.renkei_applied_at"
       " FROM ledger.event_resident AS r WHERE log_offset = 0")  # fmt: skip
    ledgers.insert(
        filled,
        "event_erasure",
        [
            {
                "subject_digest": subject_digest(key, MUNICIPALITY, number),
                "municipality_code": MUNICIPALITY,
                "state": "ERASED",
                "streams": ["resident"],
                "partitions": ["0"],
                "offsets": [offset],
                "at": OLD,
                "operator": "ops",
                "reason": "T-1",
                "log_partition": 0,
                "log_offset": int(number),
            }
            for number, offset in (("1", "5"), ("2", "60"))
        ],
    )

    without = await prune(filled, CUT, ["resident"], is_dry=True)
    done = await prune(filled, CUT, ["resident"], is_dry=False, erasure_key=key)

    assert without.events == {"resident": 7}
    assert done.events == {"resident": 8}
    assert do(filled, "SELECT subject_id, log_offset FROM ledger.event_resident") == [("1", 7)]


async def test_a_trial_takes_nothing(filled: str) -> None:
    """It says the same."""
    trial = await prune(filled, CUT, STREAMS, is_dry=True)
    untouched = do(filled, "SELECT count(*) FROM ledger.event_receipt")
    done = await prune(filled, CUT, STREAMS, is_dry=False)
    again = await prune(filled, CUT, STREAMS, is_dry=False)

    assert trial == done
    assert untouched == [(14,)]
    assert again.rows == 0


async def test_what_is_closed_goes_and_what_is_open_stays(filled: str) -> None:
    """Also what was said of lanes, but for the newest word."""
    for number, (offset, state, at) in enumerate(
        ((1, "PARKED", OLD), (1, "APPLIED", OLD), (2, "PARKED", OLD), (3, "DISMISSED", YOUNG))
    ):
        ledgers.insert(
            filled,
            "event_exception",
            [
                {
                    "system": "school", "stream": "resident", "partition": 0, "offset": offset,
                    "subject": "1", "event_id": None, "state": state, "code": "RK-202",
                    "attempts": 1, "at": at, "note": None, "log_partition": 0,
                    "log_offset": number,
                }
            ],
        )  # fmt: skip
    for number, (state, at) in enumerate((("PAUSED", OLD), ("RUNNING", OLD), ("PAUSED", YOUNG))):
        ledgers.insert(
            filled,
            "event_operation",
            [
                {
                    "system": "school", "stream": "resident", "partition": None, "state": state,
                    "operator": "ops", "at": at, "code": None, "offset": None, "note": "T-1",
                    "log_partition": 0, "log_offset": number,
                }
            ],
        )  # fmt: skip

    done = await prune(filled, CUT, STREAMS, is_dry=False)

    assert (done.exceptions, done.operations) == (2, 2)
    left = do(filled, 'SELECT "offset" FROM ledger.event_exception ORDER BY 1')
    assert left == [(2,), (3,)]


async def test_an_anchor_of_before_knows_what_was_taken(filled: str) -> None:
    """Its heads are not lost: retention took them."""
    log: list[dict[str, Any]] = [{}] * 100
    anchor = await anchor_of(connected(filled), datetime.now(UTC))
    lane = do(filled, "SELECT chain FROM ledger.event_receipt WHERE system = 'school'"
              " ORDER BY log_offset DESC LIMIT 1")[0][0]  # fmt: skip
    chain = Chain("school", "resident", 0, log, position=8, chain=lane, at=YOUNG + 2 * YEARS)
    chain.give([8], 9)
    ledgers.insert(filled, "event_receipt", chain.rows)

    await prune(filled, YOUNG + YEARS, STREAMS, is_dry=False)
    verdict = await Audit(
        connected(filled), AuditScope(), lambda _: None, RING, YOUNG + 20 * YEARS, UTC
    ).run(None, anchor)

    assert verdict.is_good, (verdict.lost_heads, verdict.findings)
    assert verdict.pruned_heads == 2
