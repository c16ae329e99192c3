"""``renkei subscriptions simulate``: whom a change of policy touches, counted on the real log."""

from __future__ import annotations

from collections.abc import Iterator

from bus.cli.asking import ask
from bus.cli.output import Json, bars, out, show_json
from bus.cli.policyapply import Files
from bus.cli.policydiff import words
from bus.operate import documents, jobs, simulating
from bus.operate.applying import consequences
from bus.operate.simulating import Simulated


def simulate(files: Files = None, as_json: Json = False) -> None:
    """Say what putting subscriptions in force would change, and how many subjects it touches.

    Reads the topics of the streams concerned, whole, and changes nothing. A subject is counted as
    a store would hold it in the end: by its newest event that a view shows.
    """
    with bars() as show:
        found = ask(
            lambda session: jobs.start(
                lambda step: simulating.simulate(session, files or [], step), show
            ).result()
        )
    if as_json:
        show_json(documents.listed(found))
        return
    if not found:
        out().print("no view changes")
    for line in (line for each in found for line in lines_of(each)):
        out().print(line, markup=False)


def lines_of(simulated: Simulated) -> Iterator[str]:
    """A simulated difference in lines of words and numbers."""
    difference, touched = simulated.difference, simulated.touched
    yield from words(difference)
    yield from consequences(difference)
    yield f"  holds    {touched.rows:,} rows now"
    yield f"  rows     {touched.rows_gained:,} more, {touched.rows_lost:,} fewer"
    for name, items in touched.columns.items():
        yield f"  column   {name}: {items.gained:,} gain a value, {items.lost:,} lose theirs"
    yield f"  touched  {touched.subjects:,} subjects"
    if simulated.unreadable:
        yield f"  {simulated.unreadable:,} events could not be read, and are not counted"
