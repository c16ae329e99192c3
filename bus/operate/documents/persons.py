"""Documents of protections, ends of protections, and erasures."""

from __future__ import annotations

from collections.abc import Sequence

from bus.model import Case
from bus.model.erasure import Erasure
from bus.operate.documents.shape import Document, named, of, shaped
from bus.operate.erasing import ErasurePlan, not_reached
from bus.operate.protections import EndsPlan, PersonListed, PersonShown
from bus.publish.outcome import Outcome


@shaped(PersonListed, "protection")
def ones_cases(value: PersonListed) -> Document:
    """A person's cases of protection."""
    return {
        "subject": value.key,
        "open": len(value.standing.open),
        "cases": [of(case) for _, case in sorted(value.standing.cases.items())],
    }


@shaped(Case, "protection-case")
def case(value: Case) -> Document:
    """One case."""
    return {
        "started_on": str(value.started_on),
        "status": value.status,
        "kind": value.kind,
        "ends_on": None if value.ends_on is None else str(value.ends_on),
        "suppresses": sorted(value.suppresses),
        "shared_with": sorted(value.shared_with),
    }


@shaped(PersonShown, "protection-shown")
def shown(value: PersonShown) -> Document:
    """A person's cases, whom they cover and why, and who else has the address."""
    covered = {
        person: [{"relation": each.relation.value, "via": each.via} for each in why]
        for person, why in value.covers.items()
    }
    found = {
        "covers": covered,
        "same_address_not_covered": list(value.same_address),
        "unread": [
            {"topic": topic, "partition": partition, "offset": offset}
            for topic, partition, offset in value.unread
        ],
    }
    return of(PersonListed(value.key, value.standing)) | found


@named("protections-ended")
def ended(plan: EndsPlan, outcomes: Sequence[Outcome] | None) -> Document:
    """The result of a list of ends; None if nothing was published."""
    done = [each.is_published for each in outcomes or ()]
    return {
        "ended": sum(done),
        "would_end": len(plan.taken),
        "persons": len(plan.persons),
        "stay_by_another_case": sorted(plan.staying),
        "refused": [
            *(
                {"line": one.end.line, "subject": one.end.key, "code": why.code, "field": why.field}
                for one in plan.entries
                for why in one.refused
            ),
            *(
                {"line": fault.line, "code": fault.code, "field": fault.field}
                for fault in plan.faults
            ),
            *(
                {"change_id": outcome.change_id, "code": fault.code, "field": fault.field}
                for outcome in outcomes or ()
                for fault in outcome.faults
                if fault.is_error
            ),
        ],
    }


@named("erasure")
def erasure(plan: ErasurePlan, erased: Erasure | None) -> Document:
    """The result of an erasure, without the subject's number."""
    done = erased or (plan.before if plan.is_done else None)
    places = () if done is None else zip(done.streams, done.partitions, done.offsets, strict=True)
    return {
        "state": "erased" if erased else "erased already" if plan.is_done else "not erased",
        "at": None if done is None else done.at.isoformat(),
        "streams": sorted({stream.name for stream, _ in plan.keys}),
        "null_values": [
            {"stream": stream, "partition": partition, "offset": offset}
            for stream, partition, offset in places
        ],
        "known_events": dict(plan.known),
        "set_aside": [
            {"system": system, "stream": stream, "events": count}
            for (system, stream), count in plan.set_aside.items()
        ],
        "waits_for": [operation.name for operation in plan.standing],
        "copies": [
            {
                "system": copies.system,
                "stream": copies.stream,
                "events": copies.events,
                "removed_by_its_lane": copies.has_lane,
            }
            for copies in plan.copies
        ],
        "not_reached": [{"what": what, "who": who} for what, who in not_reached(plan)],
    }
