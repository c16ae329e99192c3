"""Each promise, and the piece of the product that keeps it: taken out, a named test must fail.

``python -m tests.mutants`` copies the tree, takes one piece out, runs the tests that are named for
it and expects them to fail. It never edits the tree that it is started from. The table is in
:mod:`tests.mutants.table`; ``tests/architecture/test_mutants.py`` holds it to the tree.
"""
