"""The table: one entry for each piece without which a promise would not hold."""

from tests.mutants.table import covered

MUTANTS = covered.MUTANTS
