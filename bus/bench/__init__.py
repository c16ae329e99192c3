"""Benchmarks: each figure beside a ceiling that is measured in the same run.

Machines are noisy and differ: read ratios. Each measurement is its own module with one function
that returns flat figures; :mod:`bus.bench.figures` says what at least is meant by each.
"""
