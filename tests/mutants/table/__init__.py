"""The table: one entry for each piece without which a promise would not hold."""

from tests.mutants.table import beliefs, covered, lines, outboxes, stores, told

MUTANTS = (
    covered.MUTANTS
    + outboxes.MUTANTS
    + beliefs.MUTANTS
    + stores.MUTANTS
    + lines.MUTANTS
    + told.MUTANTS
)
