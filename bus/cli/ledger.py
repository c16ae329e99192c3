"""``renkei ledger``: is it what it was, where does it end, what may go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bus.cli import names
from bus.cli.asking import ask
from bus.cli.options import By, OnlySystem, WhyDone, order_of
from bus.cli.output import DryRun, Json, err, out, show_json
from bus.cli.times import shown
from bus.observe.moments import TO_THE_SECOND
from bus.operate import auditing, deeds, documents, jobs
from bus.operate.auditing import Anchor, ChainFault, Pruned, Verified
from bus.operate.deeds import Order
from bus.operate.session import Session

WRONG = 4  # exit status: the ledger is not what it was
_SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="The record of what was given: proved and kept.")
    group.command()(verify)
    group.command()(anchor)
    group.command()(prune)
    app.add_typer(group, name="ledger")


def verify(
    system: OnlySystem = None,
    stream: Annotated[
        str | None, typer.Option(parser=names.stream, metavar="STREAM", help="Only this stream.")
    ] = None,
    anchor_file: Annotated[
        Path | None, typer.Option("--anchor", help="An anchor of before: is it still in there?")
    ] = None,
    without_log: Annotated[
        bool, typer.Option("--without-log", help="Check the chains alone, without Kafka.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Verify the ledger: chains, what the log has of it, and digests of what was delivered.

    The exit status is 0 if all is as it was, and 4 if a row was changed, removed, added or moved,
    or if nothing shows that the bus said it (a receipt, a deed, a look-up); each is named.
    """
    before = None if anchor_file is None else auditing.read_anchor(anchor_file)
    choice = auditing.AuditScope(system, stream)
    with _progress() as progress:
        found = ask(
            lambda session: jobs.start(
                lambda step: auditing.verify(
                    session, choice, step, anchor=before, with_log=not without_log
                ),
                progress,
            ).result()
        )
    if as_json:
        show_json(documents.shown(found))
    else:
        _print(found)
    if not found.verdict.is_good:
        raise typer.Exit(WRONG)


def anchor(reason: WhyDone = None, by: By = None, as_json: Json = False) -> None:
    """Print where every chain of receipts ends, and the digest of that, to be kept elsewhere.

    It is a deed, and recorded: an anchor that nobody recorded is found to be none.
    """
    order = order_of(by, reason)
    found = ask(lambda session: _anchor(session, order))
    if as_json:
        show_json(documents.shown(found))
    else:
        out().print(str(found), end="", markup=False, soft_wrap=True)


def prune(
    reason: WhyDone = None, by: By = None, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Take from the ledger what is older than RENKEI_PROVISION_RETENTION; chains stay provable."""
    order = order_of(by, reason)
    done = ask(lambda session: _prune(session, order, dry=dry_run))
    if as_json:
        show_json(documents.pruning(done, is_dry=dry_run))
    else:
        out().print(_pruned_line(done, "would take" if dry_run else "took"))


async def _anchor(session: Session, order: Order) -> Anchor:
    preview = await deeds.plan(session, auditing.TakeAnchor())
    return await deeds.perform(session, preview, order.actor, order.reason)


async def _prune(session: Session, order: Order, *, dry: bool) -> Pruned:
    async def work(_: jobs.OnProgress) -> Pruned:
        return await deeds.carry_out(session, auditing.Prune(), order, is_dry=dry)

    return await jobs.start(work).result()


def _print(found: Verified) -> None:
    say, verdict = out().print, found.verdict
    say(_counts(found))
    for head in verdict.lost_heads[:_SHOWN]:
        lane = f"{head.system}/{head.stream}/{head.partition}"
        say(f"lost: {lane} up to {head.end}", style="bold red", markup=False)
    for what in verdict.wrong_marks:
        say(f"retention: {what}", style="bold red", markup=False)
    for view, what in verdict.false_views.items():
        say(f"view {view}: {what}", style="bold red", markup=False)
    for begun in verdict.deeds_without_end[:_SHOWN]:
        deed = begun.deed
        at = shown(deed.at, TO_THE_SECOND)
        said = f"no end is recorded of {deed.act} at {at} by {deed.actor}: cut off, or at work"
        say(said, style="yellow", markup=False)
    for finding in verdict.findings[:_SHOWN]:
        say(_line(finding), style="bold red", markup=False)
    if len(verdict.findings) > _SHOWN:
        say(f"and {len(verdict.findings) - _SHOWN:,} more: --json has them")
    say("all is as it was" if verdict.is_good else "the ledger is not what it was")


def _counts(found: Verified) -> Table:
    """What was verified, one line each."""
    verdict, anchor = found.verdict, found.anchor
    counted: list[tuple[int, str]] = [
        (verdict.receipts, f"receipts of {verdict.lanes:,} lanes in {verdict.chains:,} chains"),
        (verdict.repeats, "of them sent twice"),
        (verdict.forks, "of them after a store was restored"),
        (verdict.proved, "of them proved to be the bus's own"),
        (verdict.unproved, "of them from before there were proofs"),
        (verdict.deeds_proved, "deeds and look-ups proved to be the bus's own"),
    ]
    if found.with_log:
        counted += [
            (verdict.in_log, "receipts are so in the log"),
            (verdict.no_longer_in_log, "receipts are older than the log"),
            (verdict.digests, "receipts delivered what the log has"),
            (verdict.compacted, "receipts of which compaction took some"),
            (verdict.events, "events and words of the bus are so in the log"),
            (verdict.events_compacted, "of them are not in the log any more"),
            (verdict.ahead, "of them are in the log, and not in the ledger yet"),
            (verdict.deeds, "prunings and anchors are recorded"),
        ]
    counted += [
        (verdict.views, "views with a recorded ground"),
        (len(verdict.unrecorded_views), "views without one"),
    ]
    if anchor is not None:
        counted += [
            (found.heads_there, f"heads of the anchor of {shown(anchor.at)}"),
            (verdict.pruned_heads, "heads that retention took since"),
            (len(verdict.lost_heads), "heads that are lost"),
        ]
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    table.columns[0].justify = "right"
    for count, what in counted:
        table.add_row(f"{count:,}", what)
    if verdict.pruned_before is not None:
        table.add_row("", f"retention took what was applied before {shown(verdict.pruned_before)}")
    return table


def _line(finding: ChainFault) -> str:
    place = f"{finding.place[0]}/{finding.place[1]}"
    if not finding.system:
        return f"{finding.kind.value}: {finding.stream} {place}: {finding.what}"
    lane = f"{finding.system}/{finding.stream}/{finding.partition}"
    span = f"{finding.start}-{finding.end}"
    return f"{finding.kind.value}: {lane} {span} (receipt {place}): {finding.what}"


def _pruned_line(done: Pruned, what: str) -> str:
    events = sum(done.events.values())
    return (
        f"{what} {done.receipts:,} receipts, {events:,} events, {done.exceptions:,} exceptions,\n"
        f"{done.operations:,} operations from before {shown(done.before)}"
    )


@contextmanager
def _progress() -> Iterator[jobs.OnProgress]:
    """Show how far it is, if stderr is a terminal."""
    console = err()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("…") as status:
        yield lambda progress: status.update(progress.name)
