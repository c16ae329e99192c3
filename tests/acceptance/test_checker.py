"""The checker finds what it is there to find: each kind of fault, planted into a faultless run."""

from __future__ import annotations

import ast
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.checker import NO_PREVIOUS, chain_value, judge
from tests.acceptance.evidence import Entry, Evidence, Grant, Logged, Step
from tests.architecture.source import tree_of

HERE = Path(__file__).parent
MUNICIPALITY = "131041"
KEYS = {"k1": bytes(range(32))}
HIDDEN, OPEN = "000000000000018", "000000000000026"  # under protection, and not
WITHHOLDS, IS_CAPABLE = "child_allowance", "public_assistance"
TYPES = ("resident.moved_in", "resident.address_changed")


def resident(subject: str, version: int) -> Entry:
    """A resident's entry; the version is in the address."""
    body = {
        "name": {"full": "山田　花子", "kana": None},
        "birth_date": {"date": "1990-01-31", "unknown": False, "text": None},
        "address": {"town": "町", "lot": f"{version}番"},
        "previous_address": None,
        "protected": subject == HIDDEN,
    }
    change = hashlib.sha256(f"{subject}{version}".encode()).hexdigest()
    return Entry("resident", subject, version, change, TYPES[version > 1], body)


def a_run() -> Evidence:
    """Two residents with two entries each, and a protection, as they should have arrived."""
    entries = [resident(subject, version) for version in (1, 2) for subject in (HIDDEN, OPEN)]
    fields = ("name", "birth_date", "address", "protected")
    grants: dict[str, dict[str, Grant]] = {
        system: {"resident": Grant(frozenset(TYPES), fields, system == IS_CAPABLE)}
        for system in (WITHHOLDS, IS_CAPABLE)
    }
    log = [logged(entry, offset) for offset, entry in enumerate(entries)]
    run = Evidence(
        entries=sorted(entries, key=lambda each: (each.subject, each.version)),
        sent={entry.change_id for entry in entries},
        log=log,
        ends={("resident", 0): len(log)},
        grants=grants,
        keys=KEYS,
        rows={
            system: {"resident": [row(resident(s, 2), system) for s in (HIDDEN, OPEN)]}
            for system in grants
        },
        steps={
            system: [
                *[Step("resident", subject, "INSERT", None, 1) for subject in (HIDDEN, OPEN)],
                *[Step("resident", subject, "UPDATE", 1, 2) for subject in (HIDDEN, OPEN)],
            ]
            for system in grants
        },
        ledger_events=[("resident", 0, r.offset, r.header["event_id"]) for r in log],
    )
    for system in grants:
        previous = NO_PREVIOUS
        for start, end in ((0, 1), (1, 4)):
            run.receipts.append(receipt(system, log, start, end, previous))
            previous = run.receipts[-1]["chain"]
    run.ledger_chains = {each["chain"] for each in run.receipts}
    return run


def logged(entry: Entry, offset: int) -> Logged:
    """The record that an entry becomes."""
    header = {
        "event_id": f"{entry.subject}-{entry.version}",
        "event_type": entry.event_type,
        "change_id": entry.change_id,
        "municipality_code": MUNICIPALITY,
        "subject_id": entry.subject,
        "version": entry.version,
    }
    key = f"{MUNICIPALITY}/{entry.subject}"
    value = f"{entry.subject} {entry.version}".encode()
    return Logged("resident", 0, offset, key, value, {"header": header, **entry.body})


def row(entry: Entry, system: str) -> dict[str, Any]:
    """The row that an entry becomes in a system's store."""
    hides = entry.subject == HIDDEN and system == WITHHOLDS
    return {
        "municipality_code": MUNICIPALITY,
        "subject_id": entry.subject,
        "version": entry.version,
        "event_type": entry.event_type,
        "change_id": entry.change_id,
        "name_full": entry.body["name"]["full"],
        "name_kana": None,
        "birth_date": datetime(1990, 1, 31, tzinfo=UTC).date(),
        "birth_date_unknown": False,
        "birth_date_text": None,
        "address_town": None if hides else entry.body["address"]["town"],
        "address_lot": None if hides else entry.body["address"]["lot"],
        "protected": entry.subject == HIDDEN,
    }


def digest(values: bytes) -> str:
    """As a receipt has it: HMAC-SHA-256, by a key derived for digests."""
    own = hmac.digest(KEYS["k1"], b"renkei digest", "sha256")
    return f"hmac-sha256:k1:{hmac.digest(own, values, 'sha256').hex()}"


def receipt(system: str, log: list[Logged], start: int, end: int, previous: str) -> dict[str, Any]:
    """A lane's receipt for so many offsets, all delivered."""
    stated = {
        "system": system,
        "stream": "resident",
        "partition": 0,
        "start": start,
        "end": end,
        "delivered": f"{{[{start},{end})}}",
        "view": "v",
        "rows": end - start,
        "digest": digest(b"".join(each.value for each in log[start:end])),
        "previous": previous,
    }
    return {**stated, "chain": chain_value(stated)}


def of(run: Evidence, system: str, subject: str) -> dict[str, Any]:
    """A subject's row in a system's store."""
    return next(r for r in run.rows[system]["resident"] if r["subject_id"] == subject)


def a_row_is_deleted(run: Evidence) -> None:
    run.rows[WITHHOLDS]["resident"].pop()


def a_row_is_there_twice(run: Evidence) -> None:
    run.rows[WITHHOLDS]["resident"].append(of(run, WITHHOLDS, OPEN))


def a_row_of_nobody(run: Evidence) -> None:
    run.rows[WITHHOLDS]["resident"].append(of(run, WITHHOLDS, OPEN) | {"subject_id": "x"})


def a_version_is_lowered(run: Evidence) -> None:
    of(run, IS_CAPABLE, OPEN)["version"] = 1


def a_version_went_down_and_up_again(run: Evidence) -> None:
    run.steps[WITHHOLDS] += [
        Step("resident", OPEN, "UPDATE", 2, 1),
        Step("resident", OPEN, "UPDATE", 1, 2),
    ]


def a_row_was_written_twice(run: Evidence) -> None:
    run.steps[WITHHOLDS].append(Step("resident", OPEN, "UPDATE", 2, 2))


def a_row_was_deleted_meanwhile(run: Evidence) -> None:
    run.steps[WITHHOLDS].append(Step("resident", OPEN, "DELETE", 2, None))


def a_value_is_another(run: Evidence) -> None:
    of(run, WITHHOLDS, OPEN)["name_full"] = "山田　華子"


def a_date_is_another(run: Evidence) -> None:
    of(run, WITHHOLDS, OPEN)["birth_date"] = datetime(1990, 2, 1, tzinfo=UTC).date()


def an_address_is_unmasked(run: Evidence) -> None:
    of(run, WITHHOLDS, HIDDEN)["address_lot"] = "2番"


def a_flag_is_off(run: Evidence) -> None:
    of(run, WITHHOLDS, HIDDEN)["protected"] = False


def a_capable_system_lacks_the_address(run: Evidence) -> None:
    of(run, IS_CAPABLE, HIDDEN)["address_lot"] = None


def a_column_is_not_granted(run: Evidence) -> None:
    of(run, WITHHOLDS, OPEN)["sex"] = "1"


def an_unflagged_event_of_the_protected(run: Evidence) -> None:
    """The flag of the record is off, and the protection stream says otherwise."""
    body = {"status": "ACTIVE"}
    run.entries.append(Entry("protection", OPEN, 1, "unsent", "protection.started", body))


def a_record_is_lost(run: Evidence) -> None:
    del run.log[1]


def a_record_is_doubled(run: Evidence) -> None:
    run.log.append(replace(run.log[3], offset=4))


def a_record_of_nobody(run: Evidence) -> None:
    run.log.append(logged(resident(OPEN, 3), 4))


def two_records_change_places(run: Evidence) -> None:
    run.log[0], run.log[2] = replace(run.log[2], offset=0), replace(run.log[0], offset=2)


def a_subject_is_in_two_partitions(run: Evidence) -> None:
    run.log[3] = replace(run.log[3], partition=1)


def a_record_says_something_else(run: Evidence) -> None:
    run.log[3] = replace(run.log[3], event={**run.log[3].event, "protected": True})


def a_change_stays_in_the_outbox(run: Evidence) -> None:
    run.pending = 1


def a_receipt_is_altered(run: Evidence) -> None:
    run.receipts[0]["delivered"] = "{[0,1),[7,8)}"


def a_receipt_is_missing(run: Evidence) -> None:
    """As if its batch had never been reported; the ledger lacks it too."""
    run.ledger_chains.discard(run.receipts.pop(0)["chain"])


def a_chain_is_broken(run: Evidence) -> None:
    """The second receipt is rewritten to name another before it, with a chain of its own."""
    broken = receipt(WITHHOLDS, run.log, 1, 4, "f" * 64)
    run.ledger_chains = run.ledger_chains - {run.receipts[1]["chain"]} | {broken["chain"]}
    run.receipts[1] = broken


def a_receipt_leaves_an_event_out(run: Evidence) -> None:
    """A receipt, well chained, that passes over an event which was granted."""
    short = receipt(WITHHOLDS, run.log, 1, 4, run.receipts[0]["chain"])
    values = b"".join(each.value for each in run.log[1:3])
    short |= {
        "delivered": "{[1,3)}",
        "rows": 2,
        "digest": digest(values),
    }
    short["chain"] = chain_value(short)
    run.ledger_chains = run.ledger_chains - {run.receipts[1]["chain"]} | {short["chain"]}
    run.receipts[1] = short


def a_digest_without_a_key(run: Evidence) -> None:
    """Whoever has the ledger could try out what the events may have been."""
    bare = receipt(WITHHOLDS, run.log, 1, 4, run.receipts[0]["chain"])
    bare["digest"] = hashlib.sha256(b"".join(each.value for each in run.log[1:4])).hexdigest()
    bare["chain"] = chain_value(bare)
    run.ledger_chains = run.ledger_chains - {run.receipts[1]["chain"]} | {bare["chain"]}
    run.receipts[1] = bare


def a_receipt_proves_other_bytes(run: Evidence) -> None:
    run.log[2] = replace(run.log[2], value=b"altered")


def the_ledger_lacks_a_receipt(run: Evidence) -> None:
    run.ledger_chains.pop()


def the_ledger_lacks_an_event(run: Evidence) -> None:
    run.ledger_events.pop()


FAULTS: dict[Callable[[Evidence], None], str] = {
    a_row_is_deleted: "lost",
    a_row_is_there_twice: "doubled",
    a_row_of_nobody: "invented",
    a_version_is_lowered: "lost",
    a_version_went_down_and_up_again: "reordered",
    a_row_was_written_twice: "doubled",
    a_row_was_deleted_meanwhile: "lost",
    a_value_is_another: "differs",
    a_date_is_another: "differs",
    an_address_is_unmasked: "unmasked",
    a_flag_is_off: "unmasked",
    a_capable_system_lacks_the_address: "differs",
    a_column_is_not_granted: "unmasked",
    an_unflagged_event_of_the_protected: "unmasked",
    a_record_is_lost: "lost",
    a_record_is_doubled: "doubled",
    a_record_of_nobody: "invented",
    two_records_change_places: "reordered",
    a_subject_is_in_two_partitions: "reordered",
    a_record_says_something_else: "differs",
    a_change_stays_in_the_outbox: "lost",
    a_receipt_is_altered: "unproven",
    a_receipt_is_missing: "unproven",
    a_chain_is_broken: "unproven",
    a_receipt_leaves_an_event_out: "unproven",
    a_digest_without_a_key: "unproven",
    a_receipt_proves_other_bytes: "unproven",
    the_ledger_lacks_a_receipt: "unproven",
    the_ledger_lacks_an_event: "unproven",
}


def test_a_faultless_run_has_no_finding() -> None:
    """Nothing is held against a run in which all is as it should be."""
    assert judge(a_run()) == []


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Callable[[Evidence], None]) -> None:
    """One fault of each kind, each found as what it is."""
    run = a_run()
    plant(run)

    assert FAULTS[plant] in {finding.kind for finding in judge(run)}


@pytest.mark.parametrize("name", ["checker.py", "evidence.py"])
def test_the_checker_shares_no_code_with_the_product(name: str) -> None:
    """It imports neither ``bus`` nor ``connectors``, so it cannot make the same mistake."""
    tree = tree_of(HERE / name)
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert not [module for module in imported if module.split(".")[0] in ("bus", "connectors")]
